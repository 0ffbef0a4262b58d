"""Heroes that people use and ride."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import mix
from actors.generator.procedural.palettes import Tones, shade, tint
from actors.generator.procedural.pen import Pen, arc, path, petal, smooth


def boat(pen: Pen, t: Tones, dice: Dice) -> None:
    pen.rect(-0.012, -0.5, 0.012, 0.3, t.dark)
    sail = smooth([(0.02, -0.47), (0.22, -0.12), (0.4, 0.2)])
    pen.fill([*sail.tolist(), (0.02, 0.23)], t.light)
    pen.fill([(0.02, -0.2), (0.16, -0.2), (0.4, 0.2), (0.02, 0.23)], tint(t.main, 0.1))
    pen.fill([(0.02, 0.02), (0.305, 0.02), (0.4, 0.2), (0.02, 0.23)], t.light)
    jib = smooth([(-0.02, -0.4), (-0.16, -0.06), (-0.34, 0.22)])
    pen.fill([*jib.tolist(), (-0.02, 0.23)], t.second)
    hull = [
        *smooth([(-0.44, 0.29), (-0.34, 0.42), (-0.18, 0.48)]).tolist(),
        (0.28, 0.48),
        *smooth([(0.28, 0.48), (0.4, 0.42), (0.46, 0.27)]).tolist(),
    ]
    pen.fill(hull, t.main)
    pen.fill([(-0.44, 0.29), (-0.42, 0.33), (0.445, 0.315), (0.46, 0.27)], t.light)
    pen.fill(
        [
            *smooth([(-0.34, 0.42), (-0.18, 0.48), (0.28, 0.48), (0.4, 0.42)]).tolist(),
            (0.28, 0.44),
            (-0.18, 0.44),
        ],
        shade(t.main, 0.3),
    )
    pen.fill([(0.0, -0.5), (0.13, -0.475), (0.0, -0.445)], t.accent)


def balloon(pen: Pen, t: Tones, dice: Dice) -> None:
    colours = (t.main, t.second, t.light, t.second, t.main)
    n = 24
    v = np.linspace(0, 1, n)
    width = 0.37 * np.where(
        v < 0.55,
        np.sin(np.pi * (0.06 + 0.44 * v / 0.55)),
        np.cos(np.pi * 0.42 * np.maximum(0, v - 0.55) / 0.45) ** 0.9,
    )
    y = -0.5 + v * 0.72
    edges = np.array([-1.0, -0.78, -0.32, 0.32, 0.78, 1.0])
    for i, colour in enumerate(colours):
        a, b = edges[i], edges[i + 1]
        gore = np.concatenate((np.stack((width * a, y), 1), np.stack((width * b, y), 1)[::-1]))
        pen.fill(gore, shade(colour, 0.2) if i >= 3 else colour)
    band = (v > 0.5) & (v < 0.62)
    pen.fill(
        np.concatenate((np.stack((-width[band], y[band]), 1), np.stack((width[band], y[band]), 1)[::-1])),
        t.accent,
    )
    foot = float(width[-1])
    for s in (-1, 1):
        pen.stroke([(s * foot * 0.9, 0.22), (s * 0.065, 0.37)], 0.01, t.dark)
        pen.stroke([(s * foot * 0.35, 0.22), (s * 0.03, 0.37)], 0.008, t.dark)
    pen.fill([(-0.08, 0.365), (0.08, 0.365), (0.065, 0.5), (-0.065, 0.5)], shade(t.second, 0.35))
    pen.rect(-0.088, 0.358, 0.088, 0.388, t.dark)
    pen.fill(petal(0, 0.3, 0.09, 0.04, -90), t.accent)


def rocket(pen: Pen, t: Tones, dice: Dice) -> None:
    for s in (-1, 1):
        fin = smooth([(s * 0.11, 0.08), (s * 0.25, 0.2), (s * 0.28, 0.36), (s * 0.12, 0.29)])
        pen.fill(fin, t.main if s < 0 else shade(t.main, 0.2))
    for w, h, colour in ((0.2, 0.27, t.second), (0.13, 0.2, t.accent), (0.07, 0.13, t.light)):
        pen.fill(petal(0, 0.29, h, w, 90, 0.35), colour)
    right = smooth(path("0.0,-0.5 0.09,-0.38 0.145,-0.16 0.14,0.1 0.1,0.29"))
    left = right[::-1] * (-1, 1)
    pen.fill(np.concatenate((right, left)), t.light)
    pen.fill(np.concatenate((right, right[::-1] * (0.3, 1))), shade(t.light, 0.18))
    nose = smooth([(0.0, -0.5), (0.09, -0.38), (0.118, -0.28)])
    pen.fill(np.concatenate((nose, nose[::-1] * (-1, 1))), t.main)
    pen.fill(np.concatenate((nose, nose[::-1] * (0.3, 1))), shade(t.main, 0.2))
    pen.disc(0, -0.12, 0.075, t.main)
    pen.disc(0, -0.12, 0.055, t.dark)
    pen.disc(0, -0.12, 0.044, mix(t.second, t.light, 0.4))
    pen.fill(arc(0, -0.12, 0.044, 0.044, 150, 300, 12), t.light)
    pen.fill([(-0.14, 0.13), (0.137, 0.13), (0.128, 0.18), (-0.13, 0.18)], t.main)
    pen.fill([(-0.105, 0.27), (0.105, 0.27), (0.08, 0.325), (-0.08, 0.325)], t.dark)
    pen.rect(-0.02, 0.08, 0.02, 0.36, shade(t.main, 0.25))


def airplane(pen: Pen, t: Tones, dice: Dice) -> None:
    """An airliner in profile, climbing to the right."""
    p = pen.at(0, 0, 1, -14)
    p.fill([(-0.02, -0.02), (0.1, -0.02), (-0.1, -0.26), (-0.17, -0.26)], shade(t.main, 0.35))
    body = smooth(
        path(
            "0.52,0.02 0.46,-0.055 0.3,-0.085 -0.3,-0.08 -0.52,-0.07 -0.48,-0.02 "
            "-0.3,0.055 0.3,0.075 0.47,0.06"
        ),
        True,
    )
    p.fill([(-0.52, -0.07), (-0.58, -0.3), (-0.48, -0.3), (-0.33, -0.07)], t.main)
    p.fill(body, t.light)
    p.fill(
        smooth(
            path("0.51,0.03 0.3,0.02 -0.36,0.015 -0.42,-0.005 -0.3,0.055 0.3,0.075 0.46,0.06"),
            True,
        ),
        shade(t.light, 0.2),
    )
    p.fill([(0.5, 0.012), (-0.42, 0.0), (-0.38, 0.024), (0.5, 0.032)], t.main)
    for x in np.linspace(-0.28, 0.3, 9):
        p.disc(x, -0.03, 0.016, t.dark)
    p.fill([(0.4, -0.06), (0.46, -0.052), (0.49, -0.02), (0.41, -0.022)], t.dark)
    p.fill([(0.1, 0.03), (-0.08, 0.03), (-0.27, 0.34), (-0.17, 0.34)], t.second)
    p.fill([(0.02, 0.03), (-0.08, 0.03), (-0.27, 0.34), (-0.225, 0.34)], shade(t.second, 0.25))
    p.fill([(-0.4, -0.03), (-0.5, -0.03), (-0.62, 0.1), (-0.55, 0.1)], t.second)
    p.oval(0.02, 0.15, 0.07, 0.033, t.dark)


def bicycle(pen: Pen, t: Tones, dice: Dice) -> None:
    rear, front, axle, r = (-0.34, 0.14), (0.36, 0.14), (-0.06, 0.14), 0.235
    for x, y in (rear, front):
        pen.ring(x, y, r, 0.03, t.dark)
        for i in range(6):
            turn = math.radians(15 + i * 30)
            dx, dy = (r - 0.02) * math.cos(turn), (r - 0.02) * math.sin(turn)
            pen.stroke([(x - dx, y - dy), (x + dx, y + dy)], 0.006, mix(t.dark, t.sky[2], 0.3))
        pen.disc(x, y, 0.028, t.dark)
    seat, head = (-0.16, -0.2), (0.25, -0.22)
    for a, b in (
        (rear, axle),
        (rear, (-0.14, -0.13)),
        (axle, seat),
        (axle, (0.265, -0.14)),
        ((-0.14, -0.13), (0.25, -0.17)),
    ):
        pen.stroke([a, b], 0.036, t.main)
    pen.stroke([(0.24, -0.26), (0.28, -0.12), front], 0.036, t.main)
    pen.stroke(smooth([head, (0.24, -0.3), (0.34, -0.33), (0.39, -0.27)]), 0.026, t.dark)
    pen.fill(
        smooth(path("-0.27,-0.22 -0.16,-0.25 -0.05,-0.225 -0.13,-0.19 -0.22,-0.18"), True),
        t.dark,
    )
    pen.disc(*axle, 0.055, t.second)
    pen.stroke([(-0.06, 0.14), (0.0, 0.24)], 0.02, t.dark)
    pen.rect(-0.045, 0.235, 0.045, 0.258, t.dark)
    pen.fill([(0.32, -0.25), (0.5, -0.25), (0.47, -0.1), (0.35, -0.1)], t.second)
    pen.rect(0.315, -0.265, 0.505, -0.24, shade(t.second, 0.25))
    for x, y, c in ((0.36, -0.28, t.accent), (0.42, -0.31, t.main), (0.47, -0.28, t.accent)):
        pen.disc(x, y, 0.036, c)


def kite(pen: Pen, t: Tones, dice: Dice) -> None:
    string = smooth([(0.06, 0.0), (0.0, 0.28), (-0.2, 0.42), (-0.5, 0.5)])
    pen.stroke(string, 0.008, t.dark)
    p = pen.at(0.1, -0.12, 1.0, 24)
    top, left, right, foot = (0.0, -0.36), (-0.25, -0.1), (0.25, -0.1), (0.0, 0.36)
    mid = (0.0, -0.1)
    for a, b, colour in (
        (top, left, t.main),
        (top, right, t.second),
        (left, foot, t.second),
        (right, foot, t.main),
    ):
        p.fill([a, b, mid], colour)
    p.fill([mid, right, foot], shade(t.main, 0.18))
    p.stroke([top, foot], 0.014, t.dark)
    p.stroke([left, right], 0.014, t.dark)
    tail = smooth([(0.0, 0.36), (0.08, 0.46), (-0.03, 0.56), (0.06, 0.68)])
    p.stroke(tail, 0.014, t.dark)
    for x, y, s in ((0.07, 0.45, 1), (-0.01, 0.55, -1), (0.05, 0.66, 1)):
        for side in (-1, 1):
            p.fill(
                [(x, y), (x + side * 0.075, y - 0.04 + 0.02 * s), (x + side * 0.075, y + 0.04 + 0.02 * s)],
                t.accent,
            )


def umbrella(pen: Pen, t: Tones, dice: Dice) -> None:
    """Open, with ribs and a hooked handle."""
    p = pen.at(0, 0, 1, -12)
    p.rect(-0.013, -0.44, 0.013, 0.36, t.dark)
    p.stroke(smooth(path("0.0,0.34 0.01,0.45 0.07,0.49 0.13,0.45 0.13,0.4")), 0.032, t.dark)
    r, cy = 0.5, 0.02
    a = np.linspace(180, 360, 37)
    dome = np.stack((r * np.cos(np.radians(a)), cy + 0.42 * np.sin(np.radians(a))), 1)
    ribs = np.array([-1.0, -0.62, -0.21, 0.21, 0.62, 1.0]) * r
    for i in range(5):
        x0, x1 = float(ribs[i]), float(ribs[i + 1])
        colour = t.main if i % 2 == 0 else t.second
        k = dome[:, 0] / r
        u0, u1 = x0 / r, x1 / r
        v = np.linspace(0, 1, 12)
        e0 = np.stack((u0 * r * np.sin(v * np.pi / 2), cy - 0.42 * np.cos(v * np.pi / 2)), 1)
        e1 = np.stack((u1 * r * np.sin(v * np.pi / 2), cy - 0.42 * np.cos(v * np.pi / 2)), 1)
        scallop = smooth([(x1, cy), ((x0 + x1) / 2, cy - 0.05), (x0, cy)])
        p.fill(np.concatenate((e1, scallop, e0[::-1])), shade(colour, 0.05 * i) if k.size else colour)
    p.stroke([(0, -0.4), (0, -0.48)], 0.03, t.dark, 0.01)


def book(pen: Pen, t: Tones, dice: Dice) -> None:
    """Lying open, seen from above and in front."""
    pen.fill([(-0.56, -0.18), (0.56, -0.18), (0.63, 0.3), (-0.63, 0.3)], t.main)
    pen.fill([(0.0, -0.18), (0.56, -0.18), (0.63, 0.3), (0.0, 0.3)], shade(t.main, 0.2))
    paper = mix(t.light, t.second, 0.06)
    for k in range(3):
        d = 0.02 * (2 - k)
        for s in (-1, 1):
            curve = smooth([(0.0, 0.2 + d), (s * 0.18, 0.16 + d), (s * 0.4, 0.19 + d), (s * 0.58, 0.24 + d)])
            top = smooth(
                [(s * 0.52, -0.22 + d), (s * 0.36, -0.27 + d), (s * 0.16, -0.29 + d), (0.0, -0.25 + d)]
            )
            page = shade(paper, 0.1 * (2 - k)) if s < 0 else shade(paper, 0.08 + 0.1 * (2 - k))
            pen.fill(np.concatenate((curve, top)), page)
    line = mix(paper, t.dark, 0.5)
    for s in (-1, 1):
        for i in range(6):
            y = -0.19 + i * 0.055
            x1 = s * (0.46 + 0.012 * i)
            pen.stroke(smooth([(s * 0.07, y - 0.01), (s * 0.22, y - 0.033), (x1, y + 0.01)]), 0.012, line)
    pen.stroke(smooth([(0.0, -0.25), (0.004, 0.0), (0.0, 0.22)]), 0.016, mix(t.dark, paper, 0.3))
    pen.fill(path("0.1,0.16 0.15,0.155 0.16,0.37 0.13,0.34 0.105,0.37"), t.accent)


def coffee(pen: Pen, t: Tones, dice: Dice) -> None:
    cup = mix(t.main, t.light, 0.05)
    pen.oval(0, 0.4, 0.5, 0.1, shade(t.second, 0.25))
    pen.oval(0, 0.385, 0.5, 0.095, t.second)
    pen.oval(0, 0.385, 0.3, 0.055, shade(t.second, 0.2))
    pen.fill(
        np.concatenate((arc(0.34, 0.1, 0.17, 0.15, -90, 90, 20), arc(0.34, 0.1, 0.1, 0.09, 90, -90, 20))),
        shade(cup, 0.15),
    )
    body = [
        *smooth([(0.36, -0.05), (0.34, 0.16), (0.24, 0.33), (0.14, 0.38)]).tolist(),
        *smooth([(-0.14, 0.38), (-0.24, 0.33), (-0.34, 0.16), (-0.36, -0.05)]).tolist(),
    ]
    pen.fill(body, cup)
    pen.fill(
        [
            *smooth([(0.36, -0.05), (0.34, 0.16), (0.24, 0.33), (0.14, 0.38)]).tolist(),
            *smooth([(0.06, 0.38), (0.16, 0.24), (0.2, -0.02)]).tolist(),
        ],
        shade(cup, 0.2),
    )
    pen.oval(0, -0.05, 0.36, 0.085, tint(cup, 0.4))
    brew = mix((74.0, 44.0, 28.0), t.dark, 0.6)
    pen.oval(0, -0.042, 0.32, 0.066, brew)
    pen.oval(-0.02, -0.035, 0.16, 0.032, mix(brew, t.light, 0.55))
    steam = mix(t.light, t.sky[1], 0.3) if t.sky[1][1] < 200 else mix(t.sky[1], t.dark, 0.22)
    for x, h in ((-0.13, 0.32), (0.0, 0.4), (0.13, 0.3)):
        line = smooth(
            [(x, -0.12), (x + 0.06, -0.12 - h * 0.3), (x - 0.05, -0.12 - h * 0.65), (x + 0.03, -0.12 - h)]
        )
        pen.stroke(line, 0.038, steam, 0.01)


def teapot(pen: Pen, t: Tones, dice: Dice) -> None:
    clay = t.main
    handle = np.concatenate(
        (arc(0.36, 0.06, 0.21, 0.23, -100, 100, 22), arc(0.36, 0.06, 0.14, 0.16, 100, -100, 22))
    )
    pen.fill(handle, shade(clay, 0.2))
    pen.fill(
        smooth(
            path("-0.26,0.2 -0.42,0.1 -0.5,-0.14 -0.6,-0.2 -0.53,-0.24 -0.42,-0.17 -0.36,-0.02 -0.24,0.0"),
            True,
        ),
        shade(clay, 0.1),
    )
    pen.oval(0, 0.365, 0.24, 0.05, shade(clay, 0.35))
    body = smooth(
        path("-0.2,-0.2 -0.38,-0.02 -0.4,0.14 -0.28,0.33 0,0.38 0.28,0.33 0.4,0.14 0.38,-0.02 0.2,-0.2"),
        True,
    )
    pen.fill(body, clay)
    pen.fill(
        smooth(
            path("0.12,-0.2 0.3,-0.08 0.38,0.12 0.28,0.33 0.04,0.38 0.24,0.2 0.26,0.0"),
            True,
        ),
        shade(clay, 0.2),
    )
    pen.fill(smooth([(-0.26, -0.06), (-0.31, 0.1), (-0.25, 0.2), (-0.22, 0.06)], True), tint(clay, 0.35))
    pen.oval(0, -0.21, 0.22, 0.045, shade(clay, 0.3))
    pen.fill(arc(0, -0.215, 0.2, 0.13, 180, 360, 20), clay)
    pen.fill([*arc(0, -0.215, 0.2, 0.13, 285, 360, 12).tolist(), (0.05, -0.215)], shade(clay, 0.2))
    pen.disc(0, -0.365, 0.05, t.second)
    for i in range(5):
        x = -0.2 + 0.1 * i
        pen.fill(petal(x, 0.16, 0.1, 0.05, -90), t.accent)
    pen.stroke(smooth([(-0.38, 0.18), (0, 0.24), (0.38, 0.18)]), 0.018, t.second)


def lanterns(pen: Pen, t: Tones, dice: Dice) -> None:
    """Three hanging round lanterns with tassels."""
    for x, y, r in ((-0.3, 0.02, 0.17), (0.3, -0.1, 0.17), (0.0, 0.12, 0.22)):
        pen.stroke([(x, -0.7), (x, y - r * 0.85)], 0.01, t.dark)
        glow = mix(t.main, t.second, 0.45)
        pen.oval(x, y, r * 1.12, r * 0.86, t.main)
        pen.oval(x, y, r * 0.78, r * 0.86, mix(t.main, glow, 0.55))
        pen.oval(x, y, r * 0.4, r * 0.86, glow)
        for k in (1.12, 0.78, 0.4):
            pen.ring(x, y, r * k, r * 0.035, shade(t.main, 0.28), r * 0.86)
        for s in (-1, 1):
            pen.rect(
                x - r * 0.48, y + s * r * 0.82 - r * 0.1, x + r * 0.48, y + s * r * 0.82 + r * 0.1, t.second
            )
        pen.rect(x - 0.008, y + r * 0.9, x + 0.008, y + r * 1.2, t.dark)
        for k in np.linspace(-0.2, 0.2, 5):
            pen.stroke(
                [(x + k * r * 0.4, y + r * 1.15), (x + k * r, y + r * 1.8)], r * 0.07, t.second, r * 0.04
            )


HEROES: Final[dict[str, Hero]] = {
    "boat": Hero("water", 0.92, 1.0, boat),
    "balloon": Hero("sky", 0.76, 1.0, balloon, True),
    "rocket": Hero("sky", 0.58, 1.06, rocket, True),
    "airplane": Hero("sky", 1.2, 0.8, airplane),
    "bicycle": Hero("ground", 1.2, 0.76, bicycle),
    "kite": Hero("sky", 1.0, 1.06, kite),
    "umbrella": Hero("ground", 1.06, 1.0, umbrella),
    "book": Hero("table", 1.26, 0.66, book, True),
    "coffee": Hero("table", 1.04, 1.0, coffee),
    "teapot": Hero("table", 1.18, 0.84, teapot),
    "lanterns": Hero("hang", 1.0, 1.06, lanterns),
}
