"""From decisions to pixels."""

from __future__ import annotations

import cv2
import numpy as np

from actors.contracts import derive_seed
from actors.generator.procedural import compose
from actors.generator.procedural.colours import RGB, apart, luma, mix
from actors.generator.procedural.layouts import Arrangement, arrange
from actors.generator.procedural.lighting import light_up
from actors.generator.procedural.palettes import VARIANTS, Tones, tones
from actors.generator.procedural.pen import Image
from actors.generator.procedural.scene import Scene
from actors.generator.procedural.seasons import seasoned
from actors.generator.procedural.stage import Stage
from actors.generator.procedural.styles import BRUSHES
from actors.generator.procedural.typeset import set_title
from actors.pixels import Pixels, frame_size

_WEIGHTS = {
    "watercolour": 550,
    "minimal": 500,
    "paper_cut": 800,
    "flat": 700,
    "retro": 900,
    "ink_painting": 600,
    "gradient": 600,
}
_AMOUNT = {"sparse": 0.5, "balanced": 1.0, "rich": 1.7, "cluttered": 2.6}


def render(scene: Scene, long_side: int) -> Pixels:
    """Draw a scene, RGB. The picture is the same at every size.

    Raises:
        BadInput: the aspect or the size is not one that Atelier draws.
    """
    w, h = frame_size(scene.aspect, long_side)
    variant = derive_seed(scene.seed, "palette", "variant") % VARIANTS
    colours = tones(scene.palette, scene.time, variant, scene.palette_mix)
    colours = seasoned(colours, scene.season, scene.palette)
    arrangement = arrange(scene)
    brush = BRUSHES[scene.style](derive_seed(scene.seed, "draw", "texture") % 4)
    canvas = np.empty((h, w, 3), np.uint8)
    brush.ground(canvas, colours, arrangement, compose.dice(scene, "sky"))
    stage = Stage(canvas, arrangement, colours, brush, _AMOUNT[scene.density])
    compose.compose(stage, scene)
    canvas = brush.finish(canvas, colours)
    canvas = light_up(canvas, scene, arrangement, colours)
    if arrangement.mirrored:
        half = canvas[:, : w // 2]
        canvas[:, w - w // 2 :] = cv2.flip(half, 1)
    if arrangement.panel:
        compose.frame(canvas, arrangement, colours, scene)
    if scene.palette == "ink" and scene.style == "ink_painting" and not arrangement.panel:
        compose.seal(canvas, arrangement)
    if scene.palette == "mono" and not scene.palette_mix:
        canvas = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if scene.title:
        _title(canvas, scene, arrangement, colours)
    return canvas


def _title(canvas: Image, scene: Scene, arrangement: Arrangement, colours: Tones) -> None:
    """Set the title in the palette's lightest or darkest colour, whichever its ground allows."""
    assert scene.title is not None
    unit = min(canvas.shape[:2])
    x0, y0, x1, y1 = (int(v * unit) for v in arrangement.title)
    mean = canvas[y0:y1, x0:x1].reshape(-1, 3).mean(0)
    ground: RGB = (float(mean[0]), float(mean[1]), float(mean[2]))
    bright = luma(ground) < 0.55
    colour = colours.light if bright else mix(colours.dark, colours.main, 0.12)
    colour = apart(colour, ground, 0.42)
    set_title(
        canvas,
        scene.title,
        arrangement.title,
        arrangement.align,
        colour,
        _WEIGHTS[scene.style],
        clean=arrangement.quiet or arrangement.panel is not None,
        rule=apart(colours.main, ground, 0.2) if arrangement.quiet else None,
    )
