"""Heroes that people built."""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import RGB, mix
from actors.generator.procedural.palettes import Tones, shade, tint
from actors.generator.procedural.pen import Pen, arc, path, smooth


def _half(pen: Pen, x0: float, y0: float, x1: float, y1: float, colour: RGB) -> None:
    """A rectangle lit from the left."""
    pen.rect(x0, y0, x1, y1, colour)
    pen.rect(x0 + (x1 - x0) * 0.58, y0, x1, y1, shade(colour, 0.2))


def lighthouse(pen: Pen, t: Tones, dice: Dice) -> None:
    def wall(y: float) -> float:
        return 0.075 + (y + 0.26) * 0.095

    for i in range(6):
        y0, y1 = -0.26 + i * 0.125, -0.26 + (i + 1) * 0.125
        colour = t.main if i % 2 == 0 else t.light
        a, b = wall(y0), wall(y1)
        pen.fill([(-a, y0), (a, y0), (b, y1), (-b, y1)], colour)
        pen.fill([(a * 0.25, y0), (a, y0), (b, y1), (b * 0.25, y1)], shade(colour, 0.2))
    rock = path("-0.24,0.5 -0.2,0.43 -0.1,0.42 0.02,0.45 0.12,0.415 0.2,0.44 0.25,0.5")
    pen.fill(rock, shade(t.near, 0.1))
    pen.rect(-0.07, -0.37, 0.07, -0.28, tint(t.accent, 0.35))
    for x in (-0.07, -0.023, 0.023, 0.07):
        pen.rect(x - 0.006, -0.37, x + 0.006, -0.28, t.dark)
    pen.rect(-0.115, -0.285, 0.115, -0.255, t.dark)
    pen.fill(arc(0, -0.37, 0.085, 0.085, 180, 360, 16), t.main)
    pen.fill([*arc(0, -0.37, 0.085, 0.085, 280, 360, 10).tolist(), (0.015, -0.37)], shade(t.main, 0.2))
    pen.rect(-0.008, -0.5, 0.008, -0.44, t.dark)
    pen.fill(arc(0, 0.44, 0.032, 0.09, 180, 360, 12), t.dark)
    for y in (-0.08, 0.16):
        pen.rect(-0.018, y - 0.03, 0.018, y + 0.02, t.dark)


def pagoda(pen: Pen, t: Tones, dice: Dice) -> None:
    tiers = 5
    pen.rect(-0.27, 0.455, 0.27, 0.5, shade(t.land(0.6), 0.2))
    pen.rect(-0.23, 0.42, 0.23, 0.46, t.land(0.5))
    for i in range(tiers):
        y = 0.42 - i * 0.152
        w = 0.175 - i * 0.024
        _half(pen, -w, y - 0.1, w, y, mix(t.light, t.second, 0.25))
        for x in np.linspace(-w, w, 4):
            pen.rect(x - 0.009, y - 0.1, x + 0.009, y, t.main)
        pen.fill(arc(0, y, 0.026, 0.062, 180, 360, 10), t.dark)
        roof = w + 0.085
        eave = [(-roof, y - 0.115), (-roof * 0.55, y - 0.098), (roof * 0.55, y - 0.098), (roof, y - 0.115)]
        top = [(w * 0.6, y - 0.172), (-w * 0.6, y - 0.172)]
        right = smooth([(roof, y - 0.122), (roof * 0.62, y - 0.13), (w * 0.6, y - 0.172)])
        left = smooth([(-w * 0.6, y - 0.172), (-roof * 0.62, y - 0.13), (-roof, y - 0.122)])
        pen.fill([*eave, *right.tolist(), *top, *left.tolist()], t.main)
        pen.rect(-roof * 0.55, y - 0.104, roof * 0.55, y - 0.09, shade(t.main, 0.35))
    pen.stroke([(0, -0.33), (0, -0.5)], 0.024, t.second, 0.006)
    for i in range(3):
        pen.oval(0, -0.37 - i * 0.035, 0.024 - i * 0.005, 0.01, t.second)


def bridge(pen: Pen, t: Tones, dice: Dice) -> None:
    deck = smooth(path("-0.65,0.02 -0.35,-0.13 0,-0.2 0.35,-0.13 0.65,0.02"))
    stone = mix(t.main, t.light, 0.12)
    body = [*deck.tolist(), (0.65, 0.22), (-0.65, 0.22)]
    pen.fill(body, stone)
    hole = mix(t.water, t.sky[2], 0.35)
    for x, r in ((0.0, 0.195), (-0.36, 0.12), (0.36, 0.12)):
        pen.fill(arc(x, 0.225, r + 0.032, r * 1.25 + 0.04, 180, 360, 26), shade(stone, 0.28))
        pen.fill(arc(x, 0.225, r, r * 1.25, 180, 360, 26), hole)
        pen.fill(
            [(x - r, 0.22), (x - r * 0.72, 0.22), (x - r * 0.62, 0.06), (x - r * 0.8, 0.1)], shade(hole, 0.3)
        )
    pen.stroke(deck - (0, 0.012), 0.042, shade(stone, 0.35))
    rail = deck - (0, 0.095)
    pen.stroke(rail, 0.02, t.second)
    for x in np.linspace(-0.6, 0.6, 15):
        y = float(np.interp(x, deck[:, 0], deck[:, 1]))
        pen.rect(x - 0.009, y - 0.1, x + 0.009, y, t.second)
    for x in (-0.36, -0.12, 0.12, 0.36):
        y = float(np.interp(x, deck[:, 0], deck[:, 1]))
        pen.disc(x, y - 0.115, 0.018, t.second)


def house(pen: Pen, t: Tones, dice: Dice) -> None:
    wall = mix(t.light, t.second, 0.2)
    pen.rect(0.2, -0.42, 0.29, -0.1, shade(t.main, 0.3))
    pen.rect(0.185, -0.44, 0.305, -0.4, shade(t.main, 0.45))
    pen.rect(-0.36, -0.08, 0.36, 0.42, wall)
    pen.rect(0.12, -0.08, 0.36, 0.42, shade(wall, 0.14))
    pen.fill(path("-0.48,-0.04 0,-0.42 0.48,-0.04 0.4,-0.04 0.36,-0.04"), t.main)
    pen.fill([(0, -0.42), (0.48, -0.04), (0.12, -0.04)], shade(t.main, 0.22))
    pen.rect(-0.07, 0.13, 0.09, 0.42, shade(t.main, 0.35))
    pen.disc(0.06, 0.28, 0.013, t.accent)
    glass = tint(t.accent, 0.2) if t.night else mix(t.accent, t.light, 0.35)
    for x in (-0.24, 0.235):
        pen.rect(x - 0.085, 0.06, x + 0.085, 0.25, t.dark)
        pen.rect(x - 0.068, 0.077, x + 0.068, 0.233, glass)
        pen.rect(x - 0.008, 0.07, x + 0.008, 0.24, t.dark)
        pen.rect(x - 0.07, 0.148, x + 0.07, 0.162, t.dark)
    pen.rect(-0.41, 0.405, 0.41, 0.45, shade(t.near, 0.15))


def windmill(pen: Pen, t: Tones, dice: Dice) -> None:
    wall = mix(t.light, t.second, 0.3)
    pen.fill([(-0.1, -0.12), (0.1, -0.12), (0.17, 0.5), (-0.17, 0.5)], wall)
    pen.fill([(0.03, -0.12), (0.1, -0.12), (0.17, 0.5), (0.05, 0.5)], shade(wall, 0.2))
    pen.fill(arc(0, -0.11, 0.125, 0.16, 180, 360, 18), t.main)
    pen.fill(arc(0, 0.5, 0.05, 0.14, 180, 360, 14), t.dark)
    for y in (0.05, 0.22):
        pen.rect(-0.022, y - 0.03, 0.022, y + 0.03, t.dark)
    turn = float(dice.uniform(28, 62))
    for i in range(4):
        blade = pen.at(0, -0.13, 1.0, turn + 90 * i)
        blade.rect(-0.008, -0.02, 0.008, 0.42, t.dark)
        blade.rect(0.008, 0.09, 0.11, 0.42, t.second)
        for k in range(5):
            y = 0.09 + k * 0.0825
            blade.rect(0.008, y - 0.005, 0.11, y + 0.005, t.dark)
        blade.rect(0.055, 0.09, 0.063, 0.42, t.dark)
    pen.disc(0, -0.13, 0.032, t.dark)


def train(pen: Pen, t: Tones, dice: Dice) -> None:
    dark, steel = t.dark, shade(t.second, 0.1)
    pen.rect(-0.62, 0.285, 0.62, 0.305, shade(t.near, 0.3))
    for x in np.linspace(-0.6, 0.6, 13):
        pen.rect(x - 0.02, 0.3, x + 0.02, 0.33, shade(t.near, 0.45))
    puff = mix(t.light, t.sky[1], 0.25)
    for x, y, r in ((0.34, -0.27, 0.05), (0.25, -0.33, 0.07), (0.1, -0.37, 0.085), (-0.08, -0.36, 0.075)):
        pen.disc(x, y, r, puff)
    pen.rect(-0.05, -0.08, 0.46, 0.14, t.main)
    pen.rect(-0.05, 0.05, 0.46, 0.14, shade(t.main, 0.22))
    pen.oval(0.46, 0.03, 0.045, 0.11, steel)
    for x in (0.05, 0.2, 0.34):
        pen.rect(x - 0.009, -0.08, x + 0.009, 0.14, t.second)
    pen.fill(path("0.31,-0.08 0.33,-0.22 0.3,-0.25 0.43,-0.25 0.4,-0.22 0.41,-0.08"), dark)
    pen.fill(arc(0.15, -0.08, 0.055, 0.075, 180, 360, 12), t.second)
    pen.rect(-0.27, -0.23, -0.03, 0.14, t.main)
    pen.rect(-0.27, 0.05, -0.03, 0.14, shade(t.main, 0.22))
    pen.rect(-0.3, -0.27, 0.0, -0.22, dark)
    pen.rect(-0.22, -0.17, -0.08, -0.03, tint(t.accent, 0.3))
    pen.rect(-0.6, -0.12, -0.31, 0.14, t.second)
    pen.rect(-0.6, 0.05, -0.31, 0.14, shade(t.second, 0.22))
    pen.rect(-0.62, -0.16, -0.29, -0.11, dark)
    for x in (-0.54, -0.42):
        pen.rect(x - 0.035, -0.07, x + 0.045, 0.02, tint(t.accent, 0.3))
    pen.rect(-0.6, 0.13, 0.5, 0.175, dark)
    pen.fill([(0.48, 0.14), (0.62, 0.285), (0.46, 0.285)], dark)
    for x, r in ((-0.53, 0.065), (-0.38, 0.065), (-0.18, 0.1), (0.05, 0.1), (0.24, 0.065), (0.38, 0.065)):
        y = 0.285 - r
        pen.disc(x, y, r, dark)
        pen.disc(x, y, r * 0.7, t.second)
        pen.disc(x, y, r * 0.3, dark)
    pen.rect(-0.19, 0.17, 0.06, 0.195, t.light)


HEROES: Final[dict[str, Hero]] = {
    "lighthouse": Hero("ground", 0.5, 1.0, lighthouse, True),
    "pagoda": Hero("ground", 0.56, 1.0, pagoda, True),
    "bridge": Hero("water", 1.3, 0.46, bridge, True),
    "house": Hero("ground", 0.96, 0.9, house),
    "windmill": Hero("ground", 0.72, 1.06, windmill),
    "train": Hero("ground", 1.26, 0.72, train),
}
