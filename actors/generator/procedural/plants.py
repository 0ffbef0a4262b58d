"""Heroes that grow."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import mix
from actors.generator.procedural.palettes import Tones, shade, tint
from actors.generator.procedural.pen import Pen, Points, arc, moved, path, petal, smooth


def pine(pen: Pen, t: Tones, dice: Dice) -> None:
    bark = shade(t.dark, 0.0)
    green = t.main
    for x, size in ((-0.27, 0.62), (0.29, 0.5), (0.0, 1.0)):
        foot, h = 0.5, 0.98 * size
        pen.rect(x - 0.025 * size, foot - 0.14 * size, x + 0.025 * size, foot, bark)
        leaf = green if size == 1.0 else mix(green, t.land(0.4), 0.35)
        for i in range(5):
            y = foot - 0.1 * size - i * h * 0.165
            w = 0.25 * size * (1 - i * 0.165)
            top = y - h * 0.29
            zig = [
                (x - w, y),
                (x - w * 0.6, y - 0.022 * size),
                (x - w * 0.3, y + 0.006),
                (x, y - 0.02 * size),
            ]
            zag = [(x + w * 0.3, y + 0.006), (x + w * 0.6, y - 0.022 * size), (x + w, y), (x, top)]
            pen.fill(zig + zag, leaf)
            pen.fill([(x, y - 0.02 * size), *zag], shade(leaf, 0.24))


def tree(pen: Pen, t: Tones, dice: Dice) -> None:
    bark = mix(t.dark, t.second, 0.15)
    trunk = path("-0.1,0.5 -0.05,0.36 -0.042,0.1 -0.03,-0.1 0.03,-0.1 0.042,0.1 0.06,0.38 0.12,0.5")
    crown = [
        (0, -0.3, 0.24),
        (-0.22, -0.16, 0.2),
        (0.22, -0.17, 0.2),
        (-0.1, -0.06, 0.19),
        (0.13, -0.05, 0.18),
    ]
    crown = [(x, y, r * float(dice.uniform(0.92, 1.06))) for x, y, r in crown]
    for x, y, r in crown:
        pen.disc(x, y + 0.015, r, shade(t.main, 0.26))
    pen.fill(trunk, bark)
    pen.stroke([(0, 0.16), (-0.12, 0.0), (-0.18, -0.14)], 0.045, bark, 0.012)
    pen.stroke([(0, 0.1), (0.1, -0.04), (0.17, -0.16)], 0.04, bark, 0.012)
    for x, y, r in crown:
        pen.disc(x - 0.02, y - 0.03, r * 0.84, t.main)
    for x, y, r in crown[:3]:
        pen.disc(x - 0.05, y - 0.07, r * 0.5, tint(t.main, 0.22))


def _maple_leaf(x: float, y: float, r: float, turn: float) -> Points:
    half = [
        (0.0, -1.0),
        (0.12, -0.72),
        (0.3, -0.78),
        (0.24, -0.42),
        (0.5, -0.62),
        (0.6, -0.5),
        (0.95, -0.42),
        (0.82, -0.24),
    ]
    half += [(0.95, -0.02), (0.6, 0.1), (0.66, 0.28), (0.3, 0.24), (0.05, 0.36), (0.035, 0.85)]
    shape = np.array(half + [(-px, py) for px, py in half[::-1]]) * r
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    turned: Points = shape @ np.array([[c, s], [-s, c]])
    return moved(turned, x, y)


def maple(pen: Pen, t: Tones, dice: Dice) -> None:
    leaves = [
        (0.02, 0.02, 0.4, -14.0, t.main),
        (-0.3, 0.3, 0.21, 38.0, t.second),
        (0.33, -0.3, 0.2, -52.0, t.second),
    ]
    leaves += [
        (-0.31, -0.31, 0.15, 20.0, mix(t.main, t.second, 0.5)),
        (0.34, 0.33, 0.15, 70.0, mix(t.main, t.accent, 0.4)),
    ]
    for x, y, r, turn, colour in leaves[::-1]:
        turn += float(dice.uniform(-8, 8))
        pen.fill(_maple_leaf(x, y, r, turn), colour)
        vein = shade(colour, 0.32)
        local = pen.at(x, y, r, turn)
        local.stroke([(0, 0.84), (0, -0.75)], 0.05, vein, 0.012)
        for tip in ((0.72, -0.36), (0.4, 0.12)):
            local.stroke([(0, 0.22), tip], 0.035, vein, 0.01)
            local.stroke([(0, 0.22), (-tip[0], tip[1])], 0.035, vein, 0.01)


def plum(pen: Pen, t: Tones, dice: Dice) -> None:
    bark = t.dark
    main = smooth(path("-0.5,0.46 -0.28,0.26 -0.2,0.08 0.02,-0.06 0.16,-0.24 0.42,-0.42"))
    pen.stroke(main, 0.085, bark, 0.014)
    twigs = [
        [(-0.24, 0.17), (-0.34, -0.06), (-0.3, -0.3), (-0.36, -0.44)],
        [(0.0, -0.05), (0.2, 0.0), (0.36, -0.05), (0.47, 0.04)],
        [(-0.05, -0.02), (-0.08, -0.2), (0.02, -0.4)],
        [(-0.3, 0.28), (-0.1, 0.34), (0.1, 0.3)],
    ]
    for twig in twigs:
        pen.stroke(smooth(twig), 0.034, bark, 0.007)
    spots = [
        (-0.3, -0.3, 0.09),
        (0.02, -0.36, 0.1),
        (0.2, -0.25, 0.115),
        (0.36, -0.06, 0.1),
        (-0.2, 0.06, 0.12),
    ]
    spots += [(0.05, 0.31, 0.09), (0.07, -0.07, 0.085), (0.4, -0.4, 0.075), (-0.4, 0.34, 0.08)]
    for x, y, r in spots:
        _blossom(pen, x + float(dice.uniform(-0.02, 0.02)), y, r, float(dice.uniform(0, 72)), t)
    for x, y in ((-0.36, -0.44), (0.47, 0.04), (-0.33, -0.12), (0.28, 0.0), (0.12, 0.3), (0.03, -0.43)):
        pen.disc(x, y, 0.028, t.main)


def _blossom(pen: Pen, x: float, y: float, r: float, turn: float, t: Tones) -> None:
    for i in range(5):
        a = math.radians(turn + 72 * i)
        pen.disc(
            x + r * 0.55 * math.cos(a),
            y + r * 0.55 * math.sin(a),
            r * 0.47,
            t.main if i % 2 else tint(t.main, 0.14),
        )
    pen.disc(x, y, r * 0.36, tint(t.main, 0.45))
    for i in range(5):
        a = math.radians(turn + 36 + 72 * i)
        pen.disc(x + r * 0.3 * math.cos(a), y + r * 0.3 * math.sin(a), r * 0.085, t.accent)
    pen.disc(x, y, r * 0.12, shade(t.main, 0.45))


def lotus(pen: Pen, t: Tones, dice: Dice) -> None:
    leaf = mix(t.land(0.75), t.second, 0.35)
    for x, y, r in ((-0.34, 0.33, 0.26), (0.36, 0.36, 0.24), (0.02, 0.42, 0.2)):
        pen.fill([*arc(x, y, r, r * 0.3, -70, 262, 30).tolist(), (x, y)], leaf)
        pen.fill([*arc(x, y + 0.012, r * 0.82, r * 0.2, -70, 262, 30).tolist(), (x, y)], tint(leaf, 0.14))
    pen.stroke(smooth([(0.02, 0.4), (-0.01, 0.28), (0.0, 0.14)]), 0.03, shade(leaf, 0.25))
    pen.stroke(smooth([(0.42, 0.36), (0.44, 0.1), (0.4, -0.12)]), 0.018, shade(leaf, 0.25))
    pen.fill(petal(0.4, -0.06, 0.24, 0.12, -96), t.main)
    back = shade(t.main, 0.14)
    for a, length in ((-158, 0.36), (-22, 0.36), (-136, 0.44), (-44, 0.44), (-112, 0.5), (-68, 0.5)):
        pen.fill(petal(0, 0.18, length, 0.2, a, 0.55), back)
    pen.fill(petal(0, 0.18, 0.54, 0.22, -90, 0.55), t.main)
    for a, length in ((-172, 0.34), (-8, 0.34), (-146, 0.38), (-34, 0.38), (-119, 0.4), (-61, 0.4)):
        pen.fill(petal(0, 0.2, length, 0.17, a, 0.55), tint(t.main, 0.28))
        pen.fill(petal(0, 0.2, length * 0.6, 0.09, a, 0.5), tint(t.main, 0.55))
    pen.fill(petal(0, 0.21, 0.33, 0.17, -90, 0.5), tint(t.main, 0.42))
    pen.oval(0, 0.19, 0.09, 0.035, t.accent)


def bamboo(pen: Pen, t: Tones, dice: Dice) -> None:
    """Jointed canes that run beyond both edges, with blades in fans."""
    for x, w, tone in ((-0.34, 0.05, 0.5), (0.3, 0.055, 0.4), (-0.12, 0.09, 0.0), (0.1, 0.07, 0.2)):
        cane = mix(t.main, t.land(0.2), tone)
        lean = float(dice.uniform(-0.06, 0.06))
        start = float(dice.uniform(0, 0.2))
        for i in range(11):
            y0 = 1.15 - start - i * 0.2
            y1 = y0 - 0.188
            xa, xb = x + lean * (0.5 - y0), x + lean * (0.5 - y1)
            pen.fill([(xa - w / 2, y0), (xa + w / 2, y0), (xb + w * 0.46, y1), (xb - w * 0.46, y1)], cane)
            pen.fill(
                [(xa + w * 0.12, y0), (xa + w / 2, y0), (xb + w * 0.46, y1), (xb + w * 0.12, y1)],
                shade(cane, 0.22),
            )
            pen.rect(xb - w * 0.6, y1 - 0.01, xb + w * 0.6, y1 + 0.008, shade(cane, 0.38))
    forks = (
        (-0.12, -0.3, -1),
        (-0.12, 0.04, 1),
        (0.1, -0.4, 1),
        (0.1, -0.06, -1),
        (0.3, -0.2, 1),
        (-0.34, -0.1, -1),
        (0.3, 0.22, -1),
        (-0.12, 0.34, -1),
    )
    for x, y, side in forks:
        pen.stroke(
            smooth([(x, y), (x + side * 0.08, y - 0.045), (x + side * 0.18, y - 0.05)]),
            0.014,
            shade(t.main, 0.3),
            0.005,
        )
        for k in range(4):
            angle = (90 - side * (80 - 34 * k)) + float(dice.uniform(-8, 8))
            leaf = t.main if k % 2 else mix(t.main, t.second, 0.4)
            pen.fill(petal(x + side * (0.07 + 0.04 * k), y - 0.045, 0.25, 0.055, angle, 0.35), leaf)


def sunflower(pen: Pen, t: Tones, dice: Dice) -> None:
    stem = mix(t.land(0.85), t.second, 0.2)
    pen.stroke(smooth([(0.03, 0.52), (0.01, 0.25), (0.0, -0.1)]), 0.04, stem)
    for a, y in ((-28.0, 0.36), (-152.0, 0.28)):
        pen.fill(petal(0.01, y, 0.3, 0.17, a, 0.55), stem)
        pen.fill(petal(0.01, y, 0.3, 0.06, a, 0.55), shade(stem, 0.22))
    x, y, r = 0.0, -0.17, 0.32
    for ring, colour, width in ((0, shade(t.second, 0.16), 0.105), (1, t.second, 0.1)):
        for i in range(16):
            a = (i + 0.5 * ring) * 22.5
            pen.fill(petal(x, y, r * (1.0 - 0.07 * ring), width, a, 0.66), colour)
    core = mix(t.dark, t.main, 0.3)
    pen.disc(x, y, r * 0.5, core)
    pen.disc(x, y, r * 0.33, shade(core, 0.3))
    for i in range(30):
        a, d = i * 2.39996, r * 0.44 * math.sqrt((i + 1) / 30)
        pen.disc(x + d * math.cos(a), y + d * math.sin(a), 0.011, tint(core, 0.3))


def cactus(pen: Pen, t: Tones, dice: Dice) -> None:
    body = t.main
    dark = shade(body, 0.24)

    def limb(points: list[tuple[float, float]], w: float) -> None:
        line = smooth(points)
        pen.stroke(line, w, body)
        x, y = points[-1]
        pen.disc(x, y, w / 2, body)
        pen.stroke(moved(line, w * 0.27, 0), w * 0.36, dark)
        for k in (-0.18, 0.1):
            pen.stroke(moved(line, w * k, 0), w * 0.07, dark)

    limb([(0.0, 0.2), (-0.18, 0.17), (-0.25, 0.06), (-0.25, -0.14)], 0.11)
    limb([(0.0, 0.06), (0.17, 0.03), (0.24, -0.09), (0.24, -0.27)], 0.1)
    limb([(0.0, 0.5), (0.0, 0.1), (0.0, -0.36)], 0.19)
    for x, y, r in ((0.0, -0.46, 0.05), (-0.25, -0.2, 0.035), (0.24, -0.32, 0.035)):
        for a in (-150, -90, -30):
            pen.fill(petal(x, y + r * 0.4, r * 1.6, r * 1.1, a), t.accent)


HEROES: Final[dict[str, Hero]] = {
    "pine": Hero("ground", 0.86, 1.0, pine),
    "tree": Hero("ground", 0.92, 1.06, tree),
    "maple": Hero("sky", 1.0, 1.0, maple),
    "plum": Hero("sky", 1.04, 1.0, plum),
    "lotus": Hero("water", 1.1, 0.95, lotus),
    "bamboo": Hero("hang", 0.8, 1.0, bamboo),
    "sunflower": Hero("ground", 0.68, 1.0, sunflower, True),
    "cactus": Hero("ground", 0.62, 1.0, cactus),
}
