"""Where a picture is built: layers from far to near, each laid down by the style's brush."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from actors.generator.procedural.art import Dice
from actors.generator.procedural.colours import RGB, mix
from actors.generator.procedural.layouts import Arrangement
from actors.generator.procedural.palettes import Tones
from actors.generator.procedural.pen import Image, Pen
from actors.generator.procedural.styles import Brush, Layer


@dataclass(frozen=True)
class Band:
    """The part of the frame's height that a landscape fills."""

    top: float
    bottom: float


@dataclass(frozen=True)
class Landscape:
    """A subject that fills the frame's width. `slot` says where it lies when another shares the frame."""

    slot: Literal["sky", "far", "near"]
    paint: Callable[[Stage, Band, Dice], None]


class Stage:
    """The canvas of one picture. Lengths are in units of the frame's short side; y points down."""

    def __init__(
        self, canvas: Image, arrangement: Arrangement, tones: Tones, brush: Brush, amount: float
    ) -> None:
        self.canvas = canvas
        self.arrangement = arrangement
        self.tones = tones
        self.amount = amount
        """Secondary detail: 1 = balanced."""
        self.width, self.height = arrangement.width, arrangement.height
        self.focus = arrangement.focus
        self.reach = arrangement.reach
        self._brush = brush
        self._scale = min(canvas.shape[:2])

    def bare_sky(self, v: float) -> RGB:
        """The sky's colour at a height of 0 (top) to 1 (horizon)."""
        a, b, c = self.tones.sky
        return mix(a, b, v * 2) if v < 0.5 else mix(b, c, v * 2 - 1)

    @contextmanager
    def layer(
        self, depth: float, mist: float = 0.0, focal: bool = False, level: bool = False
    ) -> Iterator[Pen]:
        """Draw one layer; on leaving, the style's brush lays it on the canvas.

        Args:
            depth: 0 at the horizon, 1 in front.
            mist: how far the layer's foot fades into the air, 0..1.
            focal: it holds what the picture is about.
            level: it ignores the slope of a diagonal layout.
        """
        h, w = self.canvas.shape[:2]
        image = np.zeros((h, w, 4), np.uint8)
        matrix = np.array([[self._scale, 0.0, -0.5], [0.0, self._scale, -0.5]])
        slope = 0.0 if level else self.arrangement.slope
        if slope:
            matrix[1, 0] = slope * self._scale
            matrix[1, 2] -= slope * self._scale * self.width / 2
        pen = Pen(image, matrix)
        yield pen
        x0, y0, x1, y1 = pen.bounds
        if x1 > x0 and y1 > y0:
            self._brush.lay(self.canvas, Layer(image, pen.bounds, depth, mist, focal, self.tones))
