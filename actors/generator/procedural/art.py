"""What a subject is to the composition: how it is seated, its shape, and who paints it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from actors.generator.procedural.palettes import Tones
from actors.generator.procedural.pen import Pen

Dice = np.random.Generator
Seat = Literal["ground", "water", "sky", "table", "hang"]
"""On land, afloat, in the air, on a table top, from the upper edge."""


@dataclass(frozen=True)
class Hero:
    """An object drawn in a box of `width` x `height` around the origin, its foot at `height / 2`."""

    seat: Seat
    width: float
    height: float
    paint: Callable[[Pen, Tones, Dice], None]
    symmetric: bool = False
    """Whether it looks the same in a mirror."""
