"""Heroes that live."""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import RGB, mix
from actors.generator.procedural.palettes import Tones, shade, tint
from actors.generator.procedural.pen import Pen, moved, path, petal, smooth


def cat(pen: Pen, t: Tones, dice: Dice) -> None:
    """Sitting, seen from the front, its tail around its side."""
    fur, dark = t.main, shade(t.main, 0.25)
    tail = smooth(path("0.2,0.44 0.4,0.42 0.45,0.22 0.36,0.06 0.42,-0.06"))
    pen.stroke(tail, 0.1, dark, 0.06)
    pen.disc(0.42, -0.06, 0.03, dark)
    body = smooth(
        path("-0.13,-0.1 -0.22,0.12 -0.29,0.36 -0.22,0.5 0.22,0.5 0.29,0.36 0.22,0.12 0.13,-0.1"),
        True,
    )
    pen.fill(body, fur)
    pen.fill(smooth(path("0.05,0.0 0.16,0.14 0.27,0.36 0.22,0.5 0.09,0.5 0.12,0.26"), True), dark)
    pen.fill(smooth(path("-0.09,0.0 -0.1,0.2 0,0.3 0.1,0.2 0.09,0.0"), True), tint(fur, 0.5))
    for x in (-0.08, 0.08):
        pen.oval(x, 0.47, 0.075, 0.042, tint(fur, 0.3))
    for s in (-1, 1):
        pen.fill([(s * 0.22, -0.22), (s * 0.235, -0.5), (s * 0.04, -0.36)], fur)
        pen.fill([(s * 0.185, -0.29), (s * 0.2, -0.43), (s * 0.09, -0.355)], t.accent)
    pen.oval(0, -0.2, 0.235, 0.19, fur)
    pen.fill(smooth(path("0.08,-0.36 0.2,-0.29 0.23,-0.18 0.14,-0.05 0.16,-0.2"), True), dark)
    for x in (-0.09, 0.09):
        pen.oval(x, -0.21, 0.05, 0.056, t.light)
        pen.oval(x, -0.21, 0.02, 0.05, t.dark)
    pen.fill([(-0.026, -0.145), (0.026, -0.145), (0, -0.115)], t.accent)
    for s in (-1, 1):
        for k in (-0.02, 0.015):
            pen.stroke(
                [(s * 0.1, -0.12 + k), (s * 0.31, -0.13 + 2.2 * k)],
                0.01,
                t.light,
                0.004,
            )
    for x in (-0.05, 0.0, 0.05):
        pen.stroke([(x, -0.385), (x * 0.7, -0.31)], 0.022, dark, 0.008)


def rabbit(pen: Pen, t: Tones, dice: Dice) -> None:
    """In profile, sitting up, with long ears."""
    fur = mix(t.light, t.second, 0.12)
    fur = fur if not t.night else t.light
    soft = shade(fur, 0.16)
    line = t.main
    for a, tone in ((-112, soft), (-90, fur)):
        pen.fill(petal(-0.19, -0.17, 0.37, 0.115, a, 0.6), shade(fur, 0.3))
        pen.fill(petal(-0.19, -0.17, 0.355, 0.095, a, 0.6), tone)
        pen.fill(petal(-0.19, -0.2, 0.27, 0.045, a, 0.6), line)
    edge = shade(fur, 0.34)
    haunch = smooth(
        path("-0.1,-0.02 0.08,-0.08 0.27,0.03 0.36,0.24 0.33,0.45 0.1,0.5 -0.22,0.5 -0.24,0.3 -0.2,0.1"),
        True,
    )
    pen.fill(moved(haunch, 0.014, 0.012), edge)
    pen.disc(0.37, 0.36, 0.085, edge)
    pen.disc(0.372, 0.352, 0.075, t.light)
    pen.fill(haunch, fur)
    pen.fill(smooth(path("0.02,0.46 0.04,0.26 0.18,0.2 0.31,0.3 0.31,0.46"), True), soft)
    pen.fill(smooth(path("0.05,0.46 0.08,0.3 0.19,0.25 0.29,0.34 0.29,0.45"), True), fur)
    pen.oval(0.06, 0.478, 0.15, 0.034, soft)
    pen.oval(-0.16, 0.478, 0.1, 0.032, fur)
    pen.fill(smooth([(-0.2, 0.12), (-0.1, 0.2), (-0.12, 0.46), (-0.2, 0.46)], True), soft)
    head = smooth(
        path("-0.02,-0.14 -0.07,-0.24 -0.2,-0.27 -0.33,-0.19 -0.395,-0.08 -0.33,0.01 -0.16,0.05 -0.04,0.0"),
        True,
    )
    pen.fill(moved(head, 0.008, 0.012), edge)
    pen.fill(head, fur)
    pen.oval(-0.24, -0.13, 0.032, 0.04, t.dark)
    pen.disc(-0.25, -0.145, 0.011, t.light)
    pen.oval(-0.385, -0.085, 0.024, 0.018, line)
    pen.oval(-0.2, -0.03, 0.045, 0.026, mix(fur, line, 0.4))


def deer(pen: Pen, t: Tones, dice: Dice) -> None:
    """A stag in profile with branching antlers."""
    fur, dark = t.main, shade(t.main, 0.26)
    for x, foot in ((-0.16, -0.12), (0.2, 0.235)):
        pen.stroke([(x, 0.1), (x - 0.01, 0.3), (foot, 0.5)], 0.055, dark, 0.028)
    body = smooth(
        path(
            "-0.26,-0.03 -0.08,-0.03 0.14,-0.045 0.27,0.01 0.29,0.12 0.2,0.19 -0.05,0.2 -0.22,0.18 -0.29,0.08"
        ),
        True,
    )
    pen.fill(body, fur)
    pen.fill(
        smooth(path("-0.2,0.14 0.05,0.15 0.22,0.12 0.18,0.19 -0.05,0.205 -0.2,0.185"), True),
        dark,
    )
    for x, foot in ((-0.22, -0.235), (0.255, 0.3)):
        pen.stroke(smooth([(x, 0.1), (x + 0.005, 0.28), (foot, 0.5)]), 0.07, fur, 0.03)
        pen.rect(foot - 0.022, 0.475, foot + 0.022, 0.5, t.dark)
    pen.fill(
        smooth(
            path("-0.29,0.12 -0.34,-0.1 -0.35,-0.2 -0.28,-0.23 -0.23,-0.15 -0.14,-0.02 -0.16,0.1"),
            True,
        ),
        fur,
    )
    pen.fill(petal(-0.27, -0.23, 0.14, 0.07, -20), dark)
    pen.fill(
        smooth(
            path("-0.25,-0.25 -0.33,-0.275 -0.46,-0.18 -0.47,-0.14 -0.42,-0.12 -0.3,-0.15"),
            True,
        ),
        fur,
    )
    pen.disc(-0.465, -0.16, 0.018, t.dark)
    pen.disc(-0.345, -0.215, 0.014, t.dark)
    horn = mix(t.second, t.light, 0.15)
    for s, base in ((1.0, -0.27), (-0.72, -0.32)):
        beam = smooth(
            [(base, -0.25), (base + 0.05 * s, -0.34), (base + 0.15 * s, -0.4), (base + 0.17 * s, -0.5)]
        )
        pen.stroke(beam, 0.03, horn, 0.012)
        for x, y, dx, dy in (
            (0.04, -0.33, -0.05, -0.1),
            (0.1, -0.37, -0.02, -0.12),
            (0.16, -0.42, 0.09, -0.06),
        ):
            pen.stroke([(base + x * s, y), (base + (x + dx) * s, y + dy)], 0.022, horn, 0.008)
    pen.fill(petal(0.28, 0.01, 0.1, 0.055, 50), t.light)
    for x, y in ((-0.1, 0.03), (0.0, 0.07), (0.09, 0.02), (0.17, 0.07), (-0.15, 0.09), (0.06, 0.12)):
        pen.disc(x, y, 0.016, tint(fur, 0.6))


def whale(pen: Pen, t: Tones, dice: Dice) -> None:
    skin, belly = t.main, mix(t.light, t.second, 0.15)
    spout = mix(t.light, t.sky[0], 0.1) if not t.night else t.light
    for s in (-1, 1):
        jet = smooth(
            [(-0.3, -0.17), (-0.3 + s * 0.03, -0.3), (-0.3 + s * 0.13, -0.34), (-0.3 + s * 0.17, -0.25)]
        )
        pen.stroke(jet, 0.03, spout, 0.02)
    body = smooth(
        path(
            "-0.6,0.05 -0.56,-0.1 -0.36,-0.18 -0.1,-0.16 0.18,-0.03 0.4,0.02 "
            "0.52,-0.1 0.57,-0.05 0.5,0.12 0.28,0.2 -0.05,0.24 -0.4,0.22 -0.56,0.16"
        ),
        True,
    )
    pen.fill(body, skin)
    pen.fill(
        smooth(
            path(
                "0.53,-0.08 0.41,-0.2 0.38,-0.28 0.5,-0.22 0.55,-0.16 0.6,-0.24 0.66,-0.3 "
                "0.66,-0.2 0.6,-0.08 0.55,-0.02"
            ),
            True,
        ),
        skin,
    )
    pen.fill(
        smooth(
            path("-0.59,0.08 -0.4,0.09 -0.15,0.16 0.15,0.18 0.3,0.185 -0.02,0.245 -0.38,0.225 -0.55,0.165"),
            True,
        ),
        belly,
    )
    for i in range(4):
        y = 0.115 + i * 0.026
        pen.stroke([(-0.55 + i * 0.05, y), (-0.2 + i * 0.04, y + 0.035)], 0.008, shade(belly, 0.3))
    pen.fill(smooth([(-0.2, 0.12), (-0.05, 0.14), (0.04, 0.28), (-0.08, 0.27)], True), shade(skin, 0.28))
    pen.disc(-0.43, 0.045, 0.022, t.light)
    pen.disc(-0.43, 0.045, 0.013, t.dark)
    pen.stroke(
        smooth([(-0.5, -0.09), (-0.34, -0.145), (-0.1, -0.12), (0.12, -0.03)]), 0.022, tint(skin, 0.25), 0.005
    )


def _bird(pen: Pen, x: float, y: float, size: float, flap: float, t: Tones, colour: RGB) -> None:
    """A crane-like bird with spread wings, flying to the left."""
    p = pen.at(x, y, size, -6)
    far = smooth(
        [
            (0.02, 0.0),
            (0.1, -0.2 * flap),
            (0.3, -0.42 * flap),
            (0.5, -0.46 * flap),
            (0.34, -0.24 * flap),
            (0.2, 0.02),
        ],
        True,
    )
    p.fill(far, shade(colour, 0.22))
    p.fill(
        smooth(path("-0.16,0.0 0.0,-0.035 0.2,0.0 0.36,0.04 0.2,0.06 0.0,0.06"), True),
        colour,
    )
    p.stroke(smooth([(-0.12, 0.02), (-0.26, 0.0), (-0.37, -0.06)]), 0.05, colour, 0.03)
    p.disc(-0.37, -0.06, 0.028, t.accent)
    p.fill([(-0.38, -0.08), (-0.5, -0.045), (-0.38, -0.04)], t.second)
    near = smooth(
        [
            (-0.06, 0.0),
            (-0.12, -0.22 * flap),
            (-0.04, -0.44 * flap),
            (0.1, -0.56 * flap),
            (0.12, -0.3 * flap),
            (0.15, 0.02),
        ],
        True,
    )
    p.fill(near, colour)
    p.fill(
        smooth(
            [(-0.05, -0.42 * flap), (0.1, -0.56 * flap), (0.115, -0.34 * flap), (0.03, -0.36 * flap)], True
        ),
        t.dark,
    )
    p.fill([(0.34, 0.025), (0.5, 0.03), (0.46, 0.07), (0.3, 0.06)], t.dark)


def birds(pen: Pen, t: Tones, dice: Dice) -> None:
    """A flock strung along a rising line."""
    flock = [
        (-0.22, -0.2, 0.5, 1.0),
        (0.2, 0.04, 0.42, 0.8),
        (-0.3, 0.24, 0.36, 0.95),
        (0.36, -0.32, 0.25, 0.9),
        (0.08, 0.4, 0.27, 0.75),
    ]
    body = t.light if t.sky[1][1] < 200 else tint(t.main, 0.05)
    for x, y, size, flap in flock:
        _bird(pen, x, y, size, flap, t, body)


def butterfly(pen: Pen, t: Tones, dice: Dice) -> None:
    for s in (-1, 1):
        p = pen.at(0, 0, 1, 0, s < 0)
        upper = smooth(path("0.02,-0.02 0.1,-0.28 0.32,-0.45 0.5,-0.38 0.47,-0.15 0.3,0.02"), True)
        lower = smooth(path("0.02,0.02 0.26,0.02 0.4,0.14 0.36,0.32 0.22,0.44 0.1,0.3"), True)
        for shape, colour, cx, cy in ((lower, t.second, 0.22, 0.19), (upper, t.main, 0.28, -0.2)):
            p.fill(shape, t.dark)
            centre = np.array([cx, cy])
            p.fill((shape - centre) * 0.84 + centre, colour)
            p.fill((shape - centre) * 0.5 + centre * 0.92, tint(colour, 0.35))
        p.disc(0.42, -0.33, 0.03, t.light)
        p.disc(0.43, -0.22, 0.022, t.light)
        p.disc(0.3, 0.3, 0.034, t.accent)
        p.stroke(smooth([(0.01, -0.18), (0.06, -0.32), (0.14, -0.42)]), 0.014, t.dark, 0.008)
        p.disc(0.14, -0.42, 0.016, t.dark)
    pen.oval(0, 0.03, 0.035, 0.24, t.dark)
    pen.disc(0, -0.19, 0.045, t.dark)


def _koi(pen: Pen, t: Tones, colour: RGB, patch: RGB) -> None:
    spine = smooth(path("0.0,-0.46 0.05,-0.3 0.03,-0.08 -0.06,0.12 -0.06,0.26 0.03,0.36"), n=8)
    k = np.linspace(0, 1, len(spine))
    half = 0.125 * np.sin(np.pi * np.clip(k * 0.86 + 0.14, 0, 1) ** 0.75) + 0.012
    step = np.gradient(spine, axis=0)
    normal = np.stack((-step[:, 1], step[:, 0]), 1) / np.hypot(step[:, 0], step[:, 1])[:, None]
    fin = mix(colour, t.light, 0.35)
    for s in (-1, 1):
        pen.fill(petal(0.03 + s * 0.08, -0.2, 0.2, 0.11, 90 - s * 58, 0.62), fin)
        pen.fill(petal(-0.05 + s * 0.05, 0.1, 0.11, 0.06, 90 - s * 48, 0.6), fin)
    for a in (112.0, 80.0, 46.0):
        pen.fill(petal(0.02, 0.33, 0.24, 0.11, a, 0.6), fin)
    side = normal * half[:, None]
    pen.fill(np.concatenate((spine + side, (spine - side)[::-1])), colour)
    for a, b, shift in ((0.15, 0.32, 0.2), (0.42, 0.6, -0.25), (0.7, 0.86, 0.2)):
        i, j = int(a * len(spine)), int(b * len(spine))
        pen.fill(
            smooth(
                np.concatenate(
                    (
                        spine[i:j:3] + side[i:j:3] * (0.72 + shift),
                        (spine[i:j:3] - side[i:j:3] * (0.72 - shift))[::-1],
                    )
                ),
                True,
            ),
            patch,
        )
    pen.stroke(spine[16:36], 0.028, fin, 0.008)
    for s in (-1, 1):
        pen.disc(0.02 + s * 0.055, -0.4, 0.016, t.dark)
        pen.stroke([(s * 0.03, -0.46), (s * 0.07, -0.5)], 0.012, colour, 0.005)


def koi(pen: Pen, t: Tones, dice: Dice) -> None:
    """Two carp circling, seen from above, with rings in the water."""
    ripple = mix(t.water, t.light, 0.5)
    pen.disc(0, 0, 0.54, mix(t.water, t.light, 0.12))
    for r in (0.5, 0.39):
        pen.ring(0, 0, r, 0.012, ripple)
    turn = float(dice.uniform(-20, 20))
    _koi(pen.at(-0.2, 0.02, 0.84, 12 + turn), t, t.light, t.main)
    _koi(pen.at(0.2, -0.02, 0.84, 192 + turn), t, t.main, t.light)


HEROES: Final[dict[str, Hero]] = {
    "cat": Hero("ground", 0.8, 1.0, cat),
    "rabbit": Hero("ground", 0.86, 1.06, rabbit),
    "deer": Hero("ground", 0.96, 1.06, deer),
    "whale": Hero("water", 1.3, 0.66, whale),
    "birds": Hero("sky", 1.0, 1.0, birds),
    "butterfly": Hero("sky", 1.04, 0.94, butterfly, True),
    "koi": Hero("water", 1.04, 1.04, koi),
}
