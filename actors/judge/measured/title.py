"""Is the expected title readable in the pixels?

The picture is split into light and dark ink about the local midpoint, ink is closed into candidate
lines, and every way to break the title into lines is typeset and correlated with the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from actors.fonts import font
from actors.pixels import Pixels

MAX_SIDE = 512
LINE_HEIGHT = 24
"""Height in px to which a line's ink is brought before it is compared."""
MAX_LINES = 4
SLIP = 3
WEIGHTS = (380, 760)
"""Weights of the typeface that stand for all."""
_UNIT = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+")

Ink = NDArray[np.float32]
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class TitleFound:
    """How well the title was found: each 0..1, except `size`, the line height by the frame's short side."""

    match: float
    contrast: float
    quiet: float
    size: float


ABSENT = TitleFound(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class _Line:
    """A candidate line of text: its ink brought to `LINE_HEIGHT`, aspect, and box x, y, w, h in px."""

    ink: Ink
    aspect: float
    box: tuple[int, int, int, int]
    light: bool


@dataclass(frozen=True)
class _Run:
    """Consecutive units of the title that may stand on one line."""

    start: int
    stop: int
    text: str


def find_title(pixels: Pixels, title: str) -> TitleFound:
    """Look for a title in a picture. Pure."""
    gray = _working_copy(pixels)
    lines = list(_lines(gray))
    units = _UNIT.findall(title)
    if not lines or not units:
        return ABSENT
    matches = {run: _best(run.text, lines) for run in _runs(title)}
    quality, used = _cover(len(units), matches)
    if not used:
        return ABSENT
    seen = [_ground(gray, line) for line in used]
    short = min(gray.shape)
    return TitleFound(
        match=quality,
        contrast=min(contrast for contrast, _ in seen),
        quiet=min(quiet for _, quiet in seen),
        size=min(line.box[3] for line in used) / short,
    )


def _working_copy(pixels: Pixels) -> Mask:
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = MAX_SIDE / max(gray.shape)
    if scale < 1:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    elif scale > 1.2:
        scale = min(1.5, scale)
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.asarray(gray)


def _lines(gray: Mask) -> Iterator[_Line]:
    """Candidate lines, light ink on dark and dark ink on light.

    Ink is what a hat transform leaves: strokes narrower than the window. Edges of wide shapes leave nothing.
    """
    short = min(gray.shape)
    window, around = _rectangle(short * 0.055, short * 0.055), _rectangle(short * 0.11, short * 0.05)
    for light in (True, False):
        hat = cv2.morphologyEx(gray, cv2.MORPH_TOPHAT if light else cv2.MORPH_BLACKHAT, window)
        bar = cv2.max(cv2.convertScaleAbs(cv2.dilate(hat, around), alpha=0.45), 16.0)
        yield from _boxes(cv2.compare(hat, bar, cv2.CMP_GT), short, light)


def _rectangle(width: float, height: float) -> Mask:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_RECT, (_odd(width), _odd(height))), np.uint8)


def _boxes(mask: Mask, short: int, light: bool) -> Iterator[_Line]:
    seen: set[tuple[int, int, int, int]] = set()
    for across, down in ((0.02, 0.004), (0.045, 0.008), (0.08, 0.016)):
        kernel = _rectangle(short * across, short * down)
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8, ltype=cv2.CV_16U)
        for index in range(1, count):
            x, y, w, h, area = (int(value) for value in stats[index])
            box = (x, y, w, h)
            if not (0.022 * short <= h <= 0.32 * short) or w < 0.7 * h or area < 0.18 * w * h or box in seen:
                continue
            seen.add(box)
            part = slice(y, y + h), slice(x, x + w)
            ink = np.asarray(np.where(labels[part] == index, mask[part], 0) / 255, np.float32)
            width = max(4, round(LINE_HEIGHT * w / h))
            yield _Line(_soft(ink, width), w / h, box, light)


def _odd(size: float) -> int:
    return max(1, int(size) // 2 * 2 + 1)


@lru_cache(maxsize=4096)
def _typeset(text: str, weight: int) -> Ink:
    """A line of text as ink 0..1, cropped, `LINE_HEIGHT` px high."""
    face = font(48, weight)
    x0, y0, x1, y1 = (int(value) for value in face.getbbox(text))
    image = Image.new("L", (max(1, x1 - x0 + 4), max(1, y1 - y0 + 4)))
    ImageDraw.Draw(image).text((2 - x0, 2 - y0), text, fill=255, font=face)
    box = image.getbbox() or (0, 0, 1, 1)
    ink = (np.asarray(image.crop(box)) / 255).astype(np.float32)
    width = max(4, round(LINE_HEIGHT * ink.shape[1] / ink.shape[0]))
    return _soft(ink, width)


def _soft(ink: Ink, width: int) -> Ink:
    """Ink brought to a width and `LINE_HEIGHT`, blurred so that a hair's breadth does not matter."""
    small = cv2.resize(ink, (width, LINE_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.9), np.float32)


def _best(text: str, lines: list[_Line]) -> tuple[float, _Line]:
    """The candidate that shows a text best, and how well: 0..1."""
    best = (0.0, lines[0])
    for weight in WEIGHTS:
        wanted = _typeset(text, weight)
        aspect = wanted.shape[1] / LINE_HEIGHT
        for line in lines:
            if 0.85 < line.aspect / aspect < 1.18:
                quality = _likeness(wanted, line.ink)
                if quality > best[0]:
                    best = (quality, line)
    return best


def _likeness(wanted: Ink, ink: Ink) -> float:
    """How alike two lines of ink are: half the mean, half the worst, over cells of about one character.

    A cell may slip sideways by `SLIP` px: glyphs set at another size stand at rounded places.
    """
    fitted = cv2.resize(ink, (wanted.shape[1], LINE_HEIGHT), interpolation=cv2.INTER_LINEAR)
    if _correlation(wanted, fitted) < 0.2:
        return 0.0
    wide = cv2.copyMakeBorder(fitted, 0, 0, SLIP, SLIP, cv2.BORDER_CONSTANT)
    cells = max(1, round(wanted.shape[1] / LINE_HEIGHT))
    edges = np.linspace(0, wanted.shape[1], cells + 1).astype(int)
    alike = [_slip(wanted[:, i:j], wide[:, i : j + 2 * SLIP]) for i, j in pairwise(edges)]
    return float(0.5 * sum(alike) / cells + 0.5 * min(alike))


def _slip(cell: Ink, window: Ink) -> float:
    """The best correlation of a cell at any place of a window; 0 where either is blank."""
    if float(np.ptp(cell)) < 0.05 or float(np.ptp(window)) < 0.05:
        return 0.0
    return max(0.0, float(cv2.matchTemplate(window, cell, cv2.TM_CCOEFF_NORMED).max()))


def _correlation(a: Ink, b: Ink) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-6 else 0.0


@lru_cache(maxsize=1024)
def _runs(title: str) -> tuple[_Run, ...]:
    """The runs of units that a line may hold when the title is broken into near-equal lines."""
    spans = [found.span() for found in _UNIT.finditer(title)]
    count = len(spans)
    weight = np.cumsum([0] + [b - a + 1 if title[a:b].isascii() else 2 * (b - a) for a, b in spans])
    breaks: set[tuple[int, int]] = set()
    for lines in range(1, min(MAX_LINES, count) + 1):
        near = [{0}]
        for j in range(1, lines):
            middle = int(np.argmin(np.abs(weight - weight[-1] * j / lines)))
            near.append({min(count - 1, max(1, middle + step)) for step in (-1, 0, 1)})
        near.append({count})
        breaks |= {(i, j) for first, second in pairwise(near) for i in first for j in second if i < j}
    if title.isascii():
        breaks |= {(i, i + 1) for i in range(count)}
    return tuple(_Run(i, j, title[spans[i][0] : spans[j - 1][1]]) for i, j in sorted(breaks))


def _cover(count: int, matches: dict[_Run, tuple[float, _Line]]) -> tuple[float, list[_Line]]:
    """The best way to cover all units by runs: the least likeness of its lines, and the lines."""
    best: list[tuple[float, list[_Line]]] = [(0.0, [])] * (count + 1)
    best[0] = (1.0, [])
    for run in sorted(matches, key=lambda run: run.stop):
        quality, line = matches[run]
        reached = min(best[run.start][0], quality)
        if reached > best[run.stop][0]:
            best[run.stop] = (reached, [*best[run.start][1], line])
    return best[count]


def _ground(gray: Mask, line: _Line) -> tuple[float, float]:
    """Contrast of a line's ink against its ground, and how quiet the ground is: each 0..1."""
    x, y, w, h = line.box
    pad = h // 3
    part = gray[max(0, y - pad) : y + h + pad, max(0, x - pad) : x + w + pad].astype(np.float32)
    ink, ground = np.percentile(part, (92, 35) if line.light else (8, 65))
    rest = part[np.abs(part - ground) < 0.4 * abs(ink - ground) + 1]
    noise = float(rest.std()) / max(8.0, abs(float(ink - ground)))
    return min(1.0, abs(float(ink - ground)) / 140), float(np.clip(1.2 - 4 * noise, 0, 1))
