"""Titles set in type: balanced lines, sized to the frame, in a colour that stands out."""

from __future__ import annotations

import re

import cv2
import numpy as np
from PIL import Image as Pictures
from PIL import ImageDraw

from actors.fonts import font
from actors.generator.procedural.colours import RGB, luma
from actors.generator.procedural.layouts import Box
from actors.generator.procedural.pen import Image

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LEADING = 1.22
_MEASURE = 100
"""px at which widths are measured, before scaling."""


def breaks(title: str, lines: int) -> list[str]:
    """A title in at most `lines` lines of about equal width; Latin words stay whole."""
    words = _pieces(title)
    if lines <= 1 or len(words) <= 1:
        return [title]
    widths = [_width(word) for word in words]
    best = min(_splits(len(words), min(lines, len(words))), key=lambda cut: _raggedness(widths, cut))
    edges = [0, *best, len(words)]
    return ["".join(words[a:b]).strip() for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _pieces(title: str) -> list[str]:
    """Words with their spaces, or single characters for Chinese; punctuation stays with what precedes it."""
    if _HAN.search(title):
        return re.findall(r"[A-Za-z0-9'’.&-]+\s*|[^\s，。、！？：；,.!?:;]\s*[，。、！？：；,.!?:;]*\s*|\S\s*", title)
    return re.findall(r"\S+\s*", title)


def _splits(n: int, lines: int) -> list[tuple[int, ...]]:
    if lines == 1:
        return [()]
    if lines == 2:
        return [(i,) for i in range(1, n)]
    return [(i, j) for i in range(1, n - 1) for j in range(i + 1, n)]


def _raggedness(widths: list[float], cut: tuple[int, ...]) -> float:
    edges = [0, *cut, len(widths)]
    sums = [sum(widths[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    return max(sums) * 2 - min(sums)


def _width(text: str) -> float:
    return float(font(_MEASURE, 600).getlength(text)) / _MEASURE


def set_title(canvas: Image, title: str, box: Box, align: str, colour: RGB, halo: float, weight: int) -> None:
    """Typeset a title into a box, in place. Box in units of the short side."""
    unit = min(canvas.shape[:2])
    lines, size = fit(title, box)
    px = max(5, round(size * unit))
    face = font(px, weight)
    x0, y0, x1, y1 = (v * unit for v in box)
    mask = Pictures.new("L", (canvas.shape[1], canvas.shape[0]), 0)
    pen = ImageDraw.Draw(mask)
    step = px * _LEADING
    top = y0 if align != "plate" else y0
    anchor, x = {"left": ("ls", x0), "right": ("rs", x1)}.get(align, ("ms", (x0 + x1) / 2))
    for i, line in enumerate(lines):
        pen.text((round(x), round(top + px * 0.92 + i * step)), line, fill=255, font=face, anchor=anchor)
    ink = np.asarray(mask)
    ys = slice(max(0, int(y0 - px * 0.4)), min(canvas.shape[0], int(y0 + step * (len(lines) + 0.4))))
    part, ink = canvas[ys], np.ascontiguousarray(ink[ys])
    if halo:
        glow = cv2.GaussianBlur(ink, (0, 0), px * 0.14)
        toward = 0 if luma(colour) > 0.5 else 255
        soft = cv2.cvtColor(cv2.convertScaleAbs(glow, alpha=halo), cv2.COLOR_GRAY2RGB)
        cv2.multiply(part, cv2.bitwise_not(soft), dst=part, scale=1 / 255)
        if toward:
            cv2.add(part, soft, dst=part)
    rest = cv2.cvtColor(cv2.bitwise_not(ink), cv2.COLOR_GRAY2RGB)
    cv2.multiply(part, rest, dst=part, scale=1 / 255)
    cv2.add(part, cv2.merge([cv2.convertScaleAbs(ink, alpha=c / 255) for c in colour]), dst=part)


def fit(title: str, box: Box) -> tuple[list[str], float]:
    """Lines and type size (units of the short side) that fill a box best."""
    x0, y0, x1, y1 = box
    most = 0.15 if _HAN.search(title) else 0.135
    best: tuple[float, list[str]] = (0.0, [title])
    for count in (1, 2, 3):
        lines = breaks(title, count)
        widest = max(_width(line) for line in lines) or 1.0
        size = min(most, (x1 - x0) / widest * 0.98, (y1 - y0) / (_LEADING * len(lines)))
        if size > best[0] * 1.12:
            best = (size, lines)
    return best[1], best[0]
