"""What a season and the wished density add: the ground's colour, things in the air, small growth."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice
from actors.generator.procedural.colours import RGB, luma, mix
from actors.generator.procedural.palettes import Tones, shade, tint
from actors.generator.procedural.pen import Pen, arc, petal
from actors.generator.procedural.stage import Stage

_GROUNDS: Final[dict[str, RGB]] = {
    "spring": (150.0, 200.0, 110.0),
    "summer": (60.0, 150.0, 70.0),
    "autumn": (205.0, 120.0, 40.0),
    "winter": (244.0, 248.0, 252.0),
}
_FAITHFUL: Final = ("ink", "mono", "deep_blue_gold")
"""Palettes that a season may lighten or darken, never colour."""


def seasoned(tones: Tones, season: str | None, palette: str) -> Tones:
    """The tones with the season in the ground."""
    if season is None:
        return tones
    colour = _GROUNDS[season]
    if palette in _FAITHFUL:
        if season != "winter":
            return tones
        colour = tones.light
    share = 0.34 if season == "winter" else 0.2
    if tones.night:
        share *= 0.6
    return replace(tones, far=mix(tones.far, colour, share), near=mix(tones.near, colour, share))


def growth(stage: Stage, dice: Dice, top: float) -> None:
    """Tufts and stones on plain ground, as many as the density wants."""
    t = stage.tones
    count = int(9 * stage.amount * stage.width)
    if stage.amount < 0.6:
        return
    with stage.layer(depth=0.7) as pen:
        for i in range(count):
            k = float(dice.uniform(0.12, 1))
            x, y = float(dice.uniform(0, stage.width)), top + (stage.height - top) * k
            size = 0.02 + 0.05 * k
            colour = shade(t.land(0.3 + 0.6 * k), 0.22)
            if i % 5 == 4:
                pen.oval(x, y, size * 0.8, size * 0.35, mix(colour, t.light, 0.25))
                continue
            for a in (-128, -90, -55):
                pen.fill(petal(x, y, size, size * 0.24, a + float(dice.uniform(-8, 8))), colour)


def streaks(stage: Stage, dice: Dice) -> None:
    """Thin level streaks in a rich picture's air."""
    t = stage.tones
    if stage.amount < 1.5 or stage.arrangement.quiet:
        return
    with stage.layer(depth=1.0) as pen:
        for _ in range(int(5 * stage.width * stage.height)):
            x = float(dice.uniform(0, stage.width))
            v = float(dice.uniform(0.06, 0.8))
            half = float(dice.uniform(0.05, 0.14))
            colour = mix(stage.bare_sky(v), t.light, 0.3)
            for dx, dy, k in ((0.0, 0.0, 1.0), (half * 0.5, 0.018, 0.6)):
                pen.oval(x + dx, v * stage.arrangement.horizon + dy, half * k, 0.0045, colour)


def air(stage: Stage, dice: Dice, season: str | None) -> None:
    """Petals, motes, leaf specks or snow in the air."""
    if season is None:
        return
    t = stage.tones
    n = int(26 * min(stage.amount, 1.6) * max(stage.width, stage.height) ** 0.5)
    if stage.arrangement.quiet:
        n //= 2
    above = 0.05
    if season == "summer":
        n, above = n // 2, 0.5
    with stage.layer(depth=1.0, level=True) as pen:
        for _ in range(n):
            x, y = float(dice.uniform(0, stage.width)), float(dice.uniform(above, 1) * stage.height)
            _fleck(pen, x, y, float(dice.uniform(0.6, 1.25)), season, t, dice)


def _fleck(pen: Pen, x: float, y: float, k: float, season: str, t: Tones, dice: Dice) -> None:
    angle = float(dice.uniform(0, 360))
    if season == "spring":
        pen.fill(
            petal(x, y, 0.026 * k, 0.015 * k, angle),
            mix(tint(t.main, 0.5), (255.0, 190.0, 200.0), 0.35 if _coloured(t) else 0.0),
        )
    elif season == "summer":
        r = 0.0055 * k
        pen.fill(arc(x, y, r, r, 0, 360, 10), mix(t.light, t.accent, 0.3))
    elif season == "autumn":
        leaf = mix(t.second, (208.0, 110.0, 36.0), 0.5 if _coloured(t) else 0.0)
        pen.fill(petal(x, y, 0.032 * k, 0.013 * k, angle, 0.5), leaf)
    else:
        r = 0.0068 * k
        snow: RGB = (255.0, 255.0, 255.0) if luma(t.sky[1]) < 0.86 else shade(t.sky[1], 0.12)
        pen.fill(arc(x, y, r, r, 0, 360, 10), snow)


def _coloured(t: Tones) -> bool:
    return float(np.ptp(t.main)) > 24


def clutter(stage: Stage, dice: Dice) -> None:
    """Scattered shapes that say nothing: what an unguided density may do to a picture."""
    t = stage.tones
    with stage.layer(depth=0.6, level=True) as pen:
        for i in range(int(34 * stage.width * stage.height)):
            x, y = float(dice.uniform(0, stage.width)), float(dice.uniform(0, stage.height))
            r = float(dice.uniform(0.012, 0.035))
            colour = (t.main, t.second, t.dark, t.accent)[i % 4]
            sides = int(dice.integers(3, 6))
            pen.fill(arc(x, y, r, r, 0, 360, sides, float(dice.uniform(0, 90))), mix(colour, t.sky[1], 0.25))
