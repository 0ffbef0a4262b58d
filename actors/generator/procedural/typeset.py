"""Titles set in type: balanced lines, sized to the frame, in a colour that stands out."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw

from actors.fonts import font
from actors.generator.procedural.colours import RGB, luma
from actors.generator.procedural.layouts import Box
from actors.generator.procedural.pen import Image

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_MARKS: Final = "，。、！？：；）》」』”’,.!?:;)"
_PIECE_HAN = re.compile(rf"[A-Za-z0-9'’&-]+[{_MARKS}]*\s*|\S[{_MARKS}]*\s*")
_PIECE_LATIN = re.compile(r"\S+\s*")
_LEADING: Final = 1.24
_ASCENT: Final = 0.9
"""From the top of a line to its baseline, in sizes."""
_MEASURE: Final = 100
"""px at which widths are measured, before scaling."""
_LARGEST: Final = {"zh": 0.15, "en": 0.135}
"""Type size, units of the short side."""
_MOST_LINES: Final = 6


def breaks(title: str, lines: int, weight: int = 600) -> list[str]:
    """A title in at most `lines` lines of about equal width; Latin words stay whole."""
    pieces = (_PIECE_HAN if _HAN.search(title) else _PIECE_LATIN).findall(title)
    widths = [_width(piece, weight) for piece in pieces]
    limit = max(sum(widths) / lines, max(widths, default=0.0))
    while True:
        made = _greedy(pieces, widths, limit)
        if len(made) <= lines:
            return made
        limit *= 1.04


def _greedy(pieces: list[str], widths: list[float], limit: float) -> list[str]:
    lines: list[str] = []
    here, used = "", 0.0
    for piece, width in zip(pieces, widths, strict=True):
        if here and used + width > limit * 1.001:
            lines.append(here.strip())
            here, used = "", 0.0
        here, used = here + piece, used + width
    return [*lines, here.strip()]


@lru_cache(maxsize=4096)
def _width(text: str, weight: int) -> float:
    return float(font(_MEASURE, weight).getlength(text)) / _MEASURE


@lru_cache(maxsize=1024)
def fit(title: str, box: Box, weight: int) -> tuple[tuple[str, ...], float]:
    """Lines, and the type size in units of the short side, that fill a box best. Never beyond the box."""
    title = " ".join(title.split())
    x0, y0, x1, y1 = box
    most = _LARGEST["zh" if _HAN.search(title) else "en"]
    best: tuple[tuple[str, ...], float] = ((title,), 0.0)
    for count in range(1, _MOST_LINES + 1):
        lines = breaks(title, count, weight)
        widest = max(_width(line, weight) for line in lines) or 1.0
        size = min(most, (x1 - x0) / widest * 0.98, (y1 - y0) / (_LEADING * len(lines)))
        if size > best[1] * 1.12:
            best = (tuple(lines), size)
    return best


def set_title(
    canvas: Image,
    title: str,
    box: Box,
    align: str,
    colour: RGB,
    weight: int,
    *,
    clean: bool,
    rule: RGB | None = None,
) -> None:
    """Typeset a title into a box, in place.

    Args:
        box: in units of the canvas's short side.
        align: `left`, `right` or `centre`.
        clean: the box is quiet; else a soft halo keeps the letters apart from what lies behind.
        rule: colour of a short line under the title.
    """
    unit = min(canvas.shape[:2])
    lines, size = fit(title, box, weight)
    px = max(5, round(size * unit))
    x0, y0, x1, y1 = (v * unit for v in box)
    step = size * unit * _LEADING
    top = y0 if y1 - y0 > 1.6 * step * len(lines) else y0 + ((y1 - y0) - step * len(lines)) / 2
    first, last = max(0, int(top - px * 0.5)), min(canvas.shape[0], int(top + step * (len(lines) + 0.5)))
    mask = Pictures.new("L", (canvas.shape[1], last - first), 0)
    pen = ImageDraw.Draw(mask)
    anchor, x = {"left": ("ls", x0), "right": ("rs", x1)}.get(align, ("ms", (x0 + x1) / 2))
    for i, line in enumerate(lines):
        baseline = top + step * i + px * (_ASCENT + 0.08)
        pen.text((round(x), round(baseline - first)), line, fill=255, font=font(px, weight), anchor=anchor)
    _print(canvas[first:last], np.asarray(mask), colour, 0.0 if clean else px * 0.14)
    if rule is not None:
        y = round(top + step * len(lines) + 0.028 * unit)
        length, thick = round(0.12 * unit), max(1, round(0.007 * unit))
        left = {"left": x0, "right": x1 - length}.get(align, x - length / 2)
        canvas[y : y + thick, round(left) : round(left) + length] = np.round(rule).astype(np.uint8)


def _print(part: Image, ink: Image, colour: RGB, halo: float) -> None:
    """Lay type on its ground, in place, with a soft halo of the opposite lightness."""
    if halo:
        glow = cv2.convertScaleAbs(cv2.GaussianBlur(ink, (0, 0), halo), alpha=0.3)
        soft = cv2.cvtColor(glow, cv2.COLOR_GRAY2RGB)
        cv2.multiply(part, cv2.bitwise_not(soft), dst=part, scale=1 / 255)
        if luma(colour) < 0.5:
            cv2.add(part, soft, dst=part)
    rest = cv2.cvtColor(cv2.bitwise_not(ink), cv2.COLOR_GRAY2RGB)
    cv2.multiply(part, rest, dst=part, scale=1 / 255)
    cv2.add(part, cv2.merge([cv2.convertScaleAbs(ink, alpha=c / 255) for c in colour]), dst=part)
