"""Vector drawing onto an array, in units that do not depend on the picture's size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from actors.generator.procedural.colours import RGB

Points = NDArray[np.float64]
"""[n, 2] of x, y; y points down."""
Image = NDArray[np.uint8]

_SHIFT: Final = 4
_FAR: Final = 30000.0


class Pen:
    """Draws filled shapes with smooth edges through an affine map from local units to px.

    On an image of four channels it draws premultiplied colour and coverage.
    """

    __slots__ = ("_drawn", "_image", "_map", "_shift", "_turn")

    def __init__(
        self, image: Image, matrix: NDArray[np.float64], drawn: list[NDArray[np.float64]] | None = None
    ) -> None:
        self._image = image
        self._map = matrix
        self._turn, self._shift = matrix[:, :2].T, matrix[:, 2]
        self._drawn = drawn if drawn is not None else []

    @classmethod
    def over(cls, image: Image, scale: float) -> Pen:
        """A pen whose unit is `scale` px, with the origin at the top left."""
        return cls(image, np.array([[scale, 0.0, -0.5], [0.0, scale, -0.5]]))

    def at(self, x: float, y: float, size: float = 1.0, angle: float = 0.0, flip: bool = False) -> Pen:
        """A pen with its origin at (x, y), `size` larger, turned clockwise by `angle` degrees."""
        c, s = math.cos(math.radians(angle)) * size, math.sin(math.radians(angle)) * size
        f = -1.0 if flip else 1.0
        local = np.array([[c * f, -s, x], [s * f, c, y], [0.0, 0.0, 1.0]])
        return Pen(self._image, self._map @ local, self._drawn)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in px of all that was drawn, clipped to the image; empty when x1 <= x0."""
        if not self._drawn:
            return 0, 0, 0, 0
        h, w = self._image.shape[:2]
        points = np.concatenate(self._drawn)
        x, y = points[:, 0], points[:, 1]
        x0, y0, x1, y1 = x.min(), y.min(), x.max(), y.max()
        return max(0, int(x0) - 2), max(0, int(y0) - 2), min(w, int(x1) + 3), min(h, int(y1) + 3)

    def _pixels(self, points: Points | Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        at = np.asarray(points, np.float64) @ self._turn
        at += self._shift
        np.maximum(at, -_FAR, out=at)
        np.minimum(at, _FAR, out=at)
        self._drawn.append(at)
        return np.rint(at * (1 << _SHIFT)).astype(np.int32)

    def fill(self, points: Points | Sequence[tuple[float, float]], colour: RGB) -> None:
        """Fill a closed polygon."""
        cv2.fillPoly(self._image, [self._pixels(points)], (*colour, 255.0), cv2.LINE_AA, _SHIFT)

    def fills(self, shapes: Sequence[Points], colour: RGB) -> None:
        """Fill polygons that may overlap one another."""
        paint = (*colour, 255.0)
        for shape in shapes:
            cv2.fillPoly(self._image, [self._pixels(shape)], paint, cv2.LINE_AA, _SHIFT)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: RGB, angle: float = 0.0) -> None:
        """Fill an ellipse."""
        self.fill(arc(x, y, rx, ry, 0, 360, 40, angle), colour)

    def disc(self, x: float, y: float, r: float, colour: RGB) -> None:
        """Fill a circle."""
        self.fill(arc(x, y, r, r, 0, 360, 40), colour)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
        """Fill a rectangle."""
        self.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def stroke(
        self,
        points: Points | Sequence[tuple[float, float]],
        width: float,
        colour: RGB,
        end: float | None = None,
    ) -> None:
        """A brush stroke along a line, from `width` to `end` (default the same)."""
        self.fill(ribbon(points, width, width if end is None else end), colour)

    def ring(self, x: float, y: float, r: float, width: float, colour: RGB, ry: float | None = None) -> None:
        """An elliptic outline."""
        self.fill(annulus(x, y, r, ry if ry is not None else r, width), colour)


def arc(
    x: float,
    y: float,
    rx: float,
    ry: float,
    start: float = 0,
    stop: float = 360,
    n: int = 32,
    angle: float = 0.0,
) -> Points:
    """Points of an elliptic arc, degrees clockwise from the right."""
    cosines, sines = _on_circle(start, stop, n)
    px, py = rx * cosines, ry * sines
    if angle:
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        px, py = px * c - py * s, px * s + py * c
    return _pairs(x + px, y + py)


@lru_cache(1024)
def _on_circle(start: float, stop: float, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines and sines of `n` angles; a whole turn leaves out its end."""
    a = np.radians(np.linspace(start, stop, n, endpoint=abs(stop - start) < 360))
    return np.cos(a), np.sin(a)


def _pairs(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    points = np.empty((len(x), 2))
    points[:, 0], points[:, 1] = x, y
    return points


def annulus(x: float, y: float, rx: float, ry: float, width: float) -> Points:
    """An elliptic ring as one polygon with a seam."""
    outer = arc(x, y, rx, ry, 0, 359.99, 44)
    inner = arc(x, y, max(0.0, rx - width), max(0.0, ry - width), 359.99, 0, 44)
    return np.concatenate((outer, inner))


@cache
def path(text: str) -> Points:
    """Points written as `x,y x,y ...`."""
    points: Points = np.array([pair.split(",") for pair in text.split()], np.float64)
    points.setflags(write=False)
    return points


def moved(points: Points, dx: float, dy: float) -> Points:
    """The same shape elsewhere."""
    shifted: Points = points + np.array([dx, dy])
    return shifted


def ribbon(points: Points | Sequence[tuple[float, float]], start: float, end: float) -> Points:
    """The outline of a stroke whose width runs from `start` to `end`."""
    line = np.asarray(points, np.float64)
    step = np.empty_like(line)
    step[1:-1] = (line[2:] - line[:-2]) / 2
    step[0], step[-1] = line[1] - line[0], line[-1] - line[-2]
    normal = _pairs(-step[:, 1], step[:, 0])
    normal /= np.maximum(np.hypot(normal[:, 0], normal[:, 1])[:, None], 1e-9)
    half = np.linspace(start, end, len(line))[:, None] / 2
    return np.concatenate((line + normal * half, (line - normal * half)[::-1]))


def smooth(points: Points | Sequence[tuple[float, float]], closed: bool = False, n: int = 6) -> Points:
    """A Catmull-Rom curve through the points, `n` samples a span."""
    p = np.asarray(points, np.float64)
    if closed:
        p = np.concatenate((p[-1:], p, p[:2]))
    else:
        p = np.concatenate((2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]))
    t, t2, t3 = _powers(n)
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t2 + (3 * b - a - 3 * c + d) * t3)
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.concatenate((flat, p[-2:-1]))


@lru_cache(64)
def _powers(n: int) -> tuple[NDArray[np.float64], ...]:
    """Where the `n` samples of a span lie, squared and cubed."""
    t = np.linspace(0, 1, n, endpoint=False)[None, :, None]
    return t, t**2, t**3


def star(x: float, y: float, r: float, rays: int, inner: float, turn: float = -90.0) -> Points:
    """A star polygon; `inner` is the radius between rays, relative to `r`."""
    a = np.radians(turn + np.arange(rays * 2) * 180 / rays)
    radius = np.where(np.arange(rays * 2) % 2 == 0, r, r * inner)
    return _pairs(x + radius * np.cos(a), y + radius * np.sin(a))


def petal(x: float, y: float, length: float, width: float, angle: float, tip: float = 0.6) -> Points:
    """A petal or leaf that starts at (x, y) and points along `angle` (degrees, 0 = right).

    `tip` is where along it the petal is widest.
    """
    outline, half = _petal(tip)
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along, across = outline * length, half * width / 2
    return _pairs(x + along * c - across * s, y + along * s + across * c)


@lru_cache(256)
def _petal(tip: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along and across the petal of length and width 1."""
    t = np.linspace(0, 1, 10)
    half = np.sin(np.pi * t ** (math.log(0.5) / math.log(tip)))
    return np.concatenate((t, t[::-1])), np.concatenate((half, -half[::-1]))
