"""Vector drawing onto an array, in units that do not depend on the picture's size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
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

    __slots__ = ("_box", "_image", "_map")

    def __init__(self, image: Image, matrix: NDArray[np.float64], box: list[float] | None = None) -> None:
        self._image = image
        self._map = matrix
        self._box = box if box is not None else [_FAR, _FAR, -_FAR, -_FAR]

    @classmethod
    def over(cls, image: Image, scale: float) -> Pen:
        """A pen whose unit is `scale` px, with the origin at the top left."""
        return cls(image, np.array([[scale, 0.0, -0.5], [0.0, scale, -0.5]]))

    def at(self, x: float, y: float, size: float = 1.0, angle: float = 0.0, flip: bool = False) -> Pen:
        """A pen with its origin at (x, y), `size` larger, turned clockwise by `angle` degrees."""
        c, s = math.cos(math.radians(angle)) * size, math.sin(math.radians(angle)) * size
        f = -1.0 if flip else 1.0
        local = np.array([[c * f, -s, x], [s * f, c, y], [0.0, 0.0, 1.0]])
        return Pen(self._image, self._map @ local, self._box)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in px of all that was drawn, clipped to the image; empty when x1 <= x0."""
        h, w = self._image.shape[:2]
        x0, y0, x1, y1 = self._box
        return max(0, int(x0) - 2), max(0, int(y0) - 2), min(w, int(x1) + 3), min(h, int(y1) + 3)

    def _pixels(self, points: Points | Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        at = np.asarray(points, np.float64) @ self._map[:, :2].T + self._map[:, 2]
        np.clip(at, -_FAR, _FAR, out=at)
        box = self._box
        (x0, y0), (x1, y1) = at.min(0), at.max(0)
        box[0], box[1] = min(box[0], x0), min(box[1], y0)
        box[2], box[3] = max(box[2], x1), max(box[3], y1)
        return np.round(at * (1 << _SHIFT)).astype(np.int32)

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
    a = np.radians(np.linspace(start, stop, n, endpoint=abs(stop - start) < 360))
    px, py = rx * np.cos(a), ry * np.sin(a)
    if angle:
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        px, py = px * c - py * s, px * s + py * c
    return np.stack((x + px, y + py), 1)


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
    step = np.gradient(line, axis=0)
    normal = np.stack((-step[:, 1], step[:, 0]), 1)
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
    t = np.linspace(0, 1, n, endpoint=False)[None, :, None]
    a, b, c, d = p[:-3, None], p[1:-2, None], p[2:-1, None], p[3:, None]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    flat: Points = curve.reshape(-1, 2)
    return flat if closed else np.concatenate((flat, p[-2:-1]))


def star(x: float, y: float, r: float, rays: int, inner: float, turn: float = -90.0) -> Points:
    """A star polygon; `inner` is the radius between rays, relative to `r`."""
    a = np.radians(turn + np.arange(rays * 2) * 180 / rays)
    radius = np.where(np.arange(rays * 2) % 2 == 0, r, r * inner)
    return np.stack((x + radius * np.cos(a), y + radius * np.sin(a)), 1)


def petal(x: float, y: float, length: float, width: float, angle: float, tip: float = 0.6) -> Points:
    """A petal or leaf that starts at (x, y) and points along `angle` (degrees, 0 = right).

    `tip` is where along it the petal is widest.
    """
    t = np.linspace(0, 1, 10)
    k = math.log(0.5) / math.log(tip)
    half = np.sin(np.pi * t**k) * width / 2
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    along = np.concatenate((t, t[::-1])) * length
    across = np.concatenate((half, -half[::-1]))
    return np.stack((x + along * c - across * s, y + along * s + across * c), 1)
