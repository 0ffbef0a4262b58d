"""Where things stand: the six layouts as numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from actors.contracts import ASPECTS, derive_seed
from actors.generator.procedural.scene import Scene

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""


@dataclass(frozen=True)
class Arrangement:
    """A layout on one frame. Lengths are in units of the frame's short side; y points down."""

    width: float
    height: float
    focus: tuple[float, float]
    """Centre of the focal mass."""
    reach: float
    """Its larger side."""
    horizon: float
    slope: float
    """Rise of the ground a unit of width."""
    side: int
    """-1 when the focal mass leans left, 1 right."""
    panel: Box | None
    """Inner edge of a drawn frame."""
    title: Box
    align: str
    mirrored: bool = False
    quiet: bool = False


def arrange(scene: Scene) -> Arrangement:
    """The scene's layout on its frame, strayed when nobody asked for it."""
    across, down = ASPECTS[scene.aspect]
    w, h = across / min(across, down), down / min(across, down)
    dice = random.Random(derive_seed(scene.seed, "layout", "side"))
    side = dice.choice((-1, 1))
    made = _LAYOUTS[scene.layout](w, h, side, bool(scene.title))
    jitter = scene.layout_jitter
    if jitter is None:
        return made
    x, y = made.focus
    moved = (x + jitter.dx * w, y + jitter.dy * h)
    return replace(
        made, focus=moved, reach=made.reach * jitter.scale, horizon=made.horizon + jitter.dy * h * 0.6
    )


def _thirds(w: float, h: float, side: int, titled: bool) -> Arrangement:
    x = w * (1 / 3 if side < 0 else 2 / 3)
    box = (0.07, 0.07, w - 0.07, 0.07 + 0.22 * h)
    align = "right" if side < 0 else "left"
    return Arrangement(w, h, (x, h * 0.585), 0.58, h * 0.667, 0.0, side, None, box, align)


def _centred(w: float, h: float, side: int, titled: bool) -> Arrangement:
    box = (0.08, 0.06, w - 0.08, 0.06 + 0.2 * h)
    focus, reach = ((w / 2, h * 0.6), 0.59) if titled else ((w / 2, h * 0.56), 0.64)
    return Arrangement(w, h, focus, reach, h * 0.72, 0.0, side, None, box, "centre")


def _symmetric(w: float, h: float, side: int, titled: bool) -> Arrangement:
    box = (0.08, 0.06, w - 0.08, 0.06 + 0.2 * h)
    focus, reach = ((w / 2, h * 0.6), 0.57) if titled else ((w / 2, h * 0.57), 0.6)
    return Arrangement(w, h, focus, reach, h * 0.7, 0.0, side, None, box, "centre", mirrored=True)


def _diagonal(w: float, h: float, side: int, titled: bool) -> Arrangement:
    x = w * (0.36 if side < 0 else 0.64)
    box = (0.07, 0.07, w - 0.07, 0.07 + 0.2 * h)
    align = "right" if side < 0 else "left"
    return Arrangement(w, h, (x, h * 0.6), 0.54, h * 0.66, 0.34 * -side, side, None, box, align)


def _framed(w: float, h: float, side: int, titled: bool) -> Arrangement:
    edge = 0.075
    plate = 0.225 * h**0.5 if titled else edge
    panel = (edge, edge, w - edge, h - plate - 0.01)
    centre = ((panel[0] + panel[2]) / 2, panel[1] + (panel[3] - panel[1]) * 0.56)
    box = (edge, panel[3] + 0.045, w - edge, h - 0.045)
    horizon = panel[1] + (panel[3] - panel[1]) * 0.7
    return Arrangement(w, h, centre, 0.54, horizon, 0.0, side, panel, box, "centre")


def _negative_space(w: float, h: float, side: int, titled: bool) -> Arrangement:
    x = w * (0.27 if side < 0 else 0.73)
    box = (0.09, 0.1, w - 0.09, 0.1 + 0.32 * h)
    align = "right" if side < 0 else "left"
    return Arrangement(w, h, (x, h * 0.76), 0.35, h * 0.86, 0.0, side, None, box, align, quiet=True)


_LAYOUTS = {
    "thirds": _thirds,
    "centred": _centred,
    "symmetric": _symmetric,
    "diagonal": _diagonal,
    "framed": _framed,
    "negative_space": _negative_space,
}
