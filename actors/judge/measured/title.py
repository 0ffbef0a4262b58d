"""Is the expected title readable in the pixels?

The picture is split into light and dark ink about the local midpoint, ink is closed into candidate
lines, and every way to break the title into lines is typeset and correlated with the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
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
LOWEST, HIGHEST = 0.022, 0.32
"""Of a line of text, by the frame's short side."""
MAX_LINES = 4
SLIP = 3
ALIKE = 0.2
"""Correlation of whole lines below which their cells are not compared."""
WEIGHTS = (380, 760)
"""Weights of the typeface that stand for all."""
_UNIT = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+")

THIN = 0.12
"""Rows with less than this share of the fullest row's ink, and columns inked over less of the line's height,
are not text at a candidate's edges."""
Ink = NDArray[np.float32]
Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]


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
    """A candidate line of text: its ink 0 or 255, and box x, y, w, h in px."""

    mask: Mask
    box: Box
    light: bool

    @cached_property
    def aspect(self) -> float:
        return self.box[2] / self.box[3]

    @cached_property
    def ink(self) -> Ink:
        """Brought to `LINE_HEIGHT`."""
        return _soft(self.mask.astype(np.float32) / np.float32(255), max(4, round(LINE_HEIGHT * self.aspect)))


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
    quality, used = _cover(len(units), _runs(title), lines)
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
    seen: set[tuple[Box, int]] = set()
    for across, down in ((0.02, 0.004), (0.045, 0.008), (0.08, 0.016)):
        kernel = _rectangle(short * across, short * down)
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)
        outlines, family = cv2.findContours(closed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for index in range(len(outlines))[::-1]:
            outline, is_hole = outlines[index], family[0, index, 3] >= 0
            if is_hole:
                continue
            box = x, y, w, h = tuple(cv2.boundingRect(outline))
            if not (LOWEST * short <= h <= 2 * HIGHEST * short and w >= 0.7 * LOWEST * short):
                continue
            part = slice(y, y + h), slice(x, x + w)
            body = _body(closed[part], outline[0, 0, 0] - x, outline[0, 0, 1] - y)
            ink = np.asarray(cv2.bitwise_and(mask[part], body), np.uint8)
            # A wider closing may join more strokes within the same box.
            if (known := (box, cv2.countNonZero(ink))) in seen:
                continue
            seen.add(known)
            for left, top, right, bottom in dict.fromkeys(((0, 0, w, h), _dense(ink))):
                inner = x + left, y + top, right - left, bottom - top
                if _may_be_a_line(body[top:bottom, left:right], short):
                    yield _Line(ink[top:bottom, left:right], inner, light)


def _may_be_a_line(body: Mask, short: int) -> bool:
    height, width = body.shape
    sized = LOWEST * short <= height <= HIGHEST * short and width >= 0.7 * height
    return sized and bool(cv2.countNonZero(body) >= 0.18 * width * height)


def _dense(ink: Mask) -> Box:
    """Left, top, right and bottom of the part of a candidate that is full of ink: without thin things that
    touch a title, as a string or an edge that runs on beyond it."""
    x0, x1 = 0, ink.shape[1]
    for _ in range(2):
        rows = cv2.reduce(ink[:, x0:x1], 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
        y0, y1 = _ends(rows, int(rows.max()))
        columns = cv2.reduce(ink[y0:y1], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
        x0, x1 = _ends(columns, min(255 * (y1 - y0), int(columns.max())))
    return x0, y0, x1, y1


def _ends(ink: NDArray[np.int32], full: int) -> tuple[int, int]:
    """Where what is not thin begins and ends."""
    thick = np.flatnonzero(ink >= THIN * full)
    return int(thick[0]), int(thick[-1]) + 1


def _body(mask: Mask, x: int, y: int) -> Mask:
    """The connected part of a mask that holds a point; black where the point is."""
    _, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_16U)
    return np.asarray(cv2.compare(labels, float(labels[y, x]), cv2.CMP_EQ), np.uint8)


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


def _best(text: str, lines: list[_Line], bar: float) -> tuple[float, _Line]:
    """The candidate that shows a text best and better than a bar 0..1, and how well; 0 where none does."""
    best = (0.0, lines[0])
    for weight in WEIGHTS:
        wanted = _typeset(text, weight)
        aspect = wanted.shape[1] / LINE_HEIGHT
        likely = [line for line in lines if 0.85 < line.aspect / aspect < 1.18]
        fitted = [np.asarray(cv2.resize(line.ink, wanted.shape[::-1]), np.float32) for line in likely]
        alike = _correlations(wanted, fitted)
        for index in sorted(range(len(likely)), key=lambda index: -alike[index]):
            if alike[index] < ALIKE:
                break
            quality, line = _likeness(wanted, fitted[index], max(bar, best[0])), likely[index]
            if quality > best[0]:
                best = (quality, line)
    return best


def _likeness(wanted: Ink, ink: Ink, bar: float) -> float:
    """How alike two lines of ink of one size are: half the mean, half the worst, over cells of about one
    character; 0 as soon as it cannot be more than the bar.

    A cell may slip sideways by `SLIP` px: glyphs set at another size stand at rounded places.
    """
    wide = cv2.copyMakeBorder(ink, 0, 0, SLIP, SLIP, cv2.BORDER_CONSTANT)
    cells = _cells(wanted.shape[1])
    lost, worst = 0.0, 1.0
    for i, j in cells:
        alike = _slip(wanted[:, i:j], wide[:, i : j + 2 * SLIP])
        lost, worst = lost + (1 - alike) / len(cells), min(worst, alike)
        if 0.5 * (1 - lost) + 0.5 * worst <= bar:
            return 0.0
    return 0.5 * (1 - lost) + 0.5 * worst


@lru_cache(maxsize=4096)
def _cells(width: int) -> tuple[tuple[int, int], ...]:
    """Where the cells of a line begin and end, px."""
    count = max(1, round(width / LINE_HEIGHT))
    return tuple(pairwise(np.linspace(0, width, count + 1).astype(int).tolist()))


def _slip(cell: Ink, window: Ink) -> float:
    """The best correlation of a cell at any place of a window; 0 where either is blank."""
    if _blank(cell) or _blank(window):
        return 0.0
    return max(0.0, cv2.minMaxLoc(cv2.matchTemplate(window, cell, cv2.TM_CCOEFF_NORMED))[1])


def _blank(ink: Ink) -> bool:
    low, high, _, _ = cv2.minMaxLoc(ink)
    return high - low < 0.05


def _correlations(wanted: Ink, lines: list[Ink]) -> list[float]:
    """Of one line with each of others of its size, -1..1; 0 where one is blank."""
    if not lines:
        return []
    inks = np.stack(lines).reshape(len(lines), -1)
    inks = inks - inks.mean(1, keepdims=True)
    centred = (wanted - wanted.mean()).ravel()
    norms = np.sqrt(np.einsum("ij,ij->i", inks, inks) * (centred @ centred))
    correlations: list[float] = np.where(norms > 1e-6, inks @ centred / np.maximum(norms, 1e-6), 0.0).tolist()
    return correlations


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


def _cover(count: int, runs: Sequence[_Run], lines: list[_Line]) -> tuple[float, list[_Line]]:
    """The best way to cover all units by runs: the least likeness of its lines, and the lines.

    Runs that start lower come first, the whole title on one line before all: a cover is as good as its worst
    line, so a run that cannot beat the cover at hand is not looked for.
    """
    best: list[tuple[float, list[_Line]]] = [(0.0, [])] * (count + 1)
    best[0] = (1.0, [])
    for run in sorted(runs, key=lambda run: (run.start, -run.stop)):
        bar = max(best[run.stop][0], best[count][0])
        if best[run.start][0] <= bar:
            continue
        quality, line = _best(run.text, lines, bar)
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
