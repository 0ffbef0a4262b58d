"""What fills the sky: moon and sun as heroes; stars, clouds, rainbow and fireworks as landscapes."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import RGB, apart, luma, mix
from actors.generator.procedural.palettes import Tones, shade, tint
from actors.generator.procedural.pen import Pen, Points, arc, smooth, star
from actors.generator.procedural.stage import Band, Landscape, Stage


def _face(t: Tones) -> RGB:
    """The brightest thing in the sky: it must differ from any sky."""
    return t.light if luma(t.sky[1]) < 0.72 else mix(t.light, t.accent, 0.25)


def moon(pen: Pen, t: Tones, dice: Dice) -> None:
    """A full disc with a shaded rim and craters."""
    face = _face(t)
    dim = shade(face, 0.16) if luma(t.sky[1]) < 0.72 else shade(face, 0.24)
    pen.disc(0, 0, 0.5, dim)
    pen.disc(-0.05, -0.045, 0.435, face)
    for x, y, r in (
        (-0.17, -0.17, 0.1),
        (0.12, -0.05, 0.125),
        (-0.12, 0.16, 0.085),
        (0.14, 0.24, 0.07),
        (0.05, -0.29, 0.05),
        (-0.31, 0.02, 0.045),
    ):
        pen.disc(x, y, r, dim)
        pen.disc(x + r * 0.16, y + r * 0.16, r * 0.76, mix(face, dim, 0.45))


def sun(pen: Pen, t: Tones, dice: Dice) -> None:
    """A disc in a ring of tapering rays."""
    core, ray = t.main, t.second
    for i in range(16):
        a = math.radians(i * 22.5)
        far = 0.5 if i % 2 == 0 else 0.42
        c, s = math.cos(a), math.sin(a)
        w = 0.042 if i % 2 == 0 else 0.03
        pen.fill(
            [
                (0.315 * c - w * s, 0.315 * s + w * c),
                (far * c, far * s),
                (0.315 * c + w * s, 0.315 * s - w * c),
            ],
            ray,
        )
    pen.disc(0, 0, 0.285, core)
    pen.disc(0, 0, 0.225, tint(core, 0.16))


HEROES: Final[dict[str, Hero]] = {
    "moon": Hero("sky", 1.0, 1.0, moon, True),
    "sun": Hero("sky", 1.0, 1.0, sun, True),
}


def stars(stage: Stage, band: Band, dice: Dice) -> None:
    """Many points, a milky band and a few large four-pointed stars."""
    t, w = stage.tones, stage.width
    base = stage.bare_sky(0.35)
    glow = (
        apart(t.light, base, 0.36, t.night)
        if t.night or luma(base) < 0.55
        else apart(mix(t.main, t.dark, 0.25), base, 0.36)
    )
    dot = glow
    height = band.bottom - band.top
    with stage.layer(depth=0.05, focal=True) as pen:
        n = int(90 * stage.amount)
        xs, ys = dice.uniform(0, w, n), band.top + height * dice.uniform(0, 1, n) ** 1.2
        sizes = 0.0028 + 0.006 * dice.random(n) ** 3
        for x, y, r in zip(xs, ys, sizes, strict=True):
            pen.fill(arc(x, y, r, r, 0, 360, 8), mix(base, dot, 0.55 + 0.45 * float(dice.random())))
    with stage.layer(depth=0.2, focal=True) as pen:
        fx, fy = stage.focus[0], max(band.top + 0.18, min(stage.focus[1], band.bottom - 0.2))
        for x, y, r in (
            (fx, fy, 0.21),
            (fx - 0.27, fy - 0.2, 0.1),
            (fx + 0.27, fy + 0.16, 0.115),
            (fx + 0.22, fy - 0.24, 0.065),
            (fx - 0.24, fy + 0.2, 0.07),
            (fx + 0.05, fy - 0.34, 0.05),
        ):
            r *= stage.reach * 1.7
            pen.fill(star(x, y, r, 4, 0.17), dot)
            pen.disc(x, y, r * 0.2, t.second if luma(base) < 0.55 else t.main)
        for _ in range(int(7 * stage.amount)):
            x, y = float(dice.uniform(0.04, w - 0.04)), float(dice.uniform(band.top + 0.05, band.bottom))
            pen.fill(star(x, y, float(dice.uniform(0.02, 0.04)), 4, 0.17), dot)


def _puff(x: float, y: float, w: float, dice: Dice) -> list[Points]:
    """A cumulus: discs on a flat base."""
    bumps = [
        (-0.36, -0.1, 0.15),
        (-0.17, -0.2, 0.2),
        (0.06, -0.25, 0.24),
        (0.27, -0.14, 0.17),
        (0.41, -0.07, 0.11),
        (-0.47, -0.05, 0.09),
    ]
    shapes = [
        arc(x + bx * w, y + by * w, r * w * k, r * w * k, 0, 360, 24)
        for (bx, by, r), k in zip(bumps, dice.uniform(0.88, 1.1, 6), strict=True)
    ]
    shapes.append(
        np.array(
            [
                (x - 0.5 * w, y - 0.1 * w),
                (x + 0.48 * w, y - 0.1 * w),
                (x + 0.5 * w, y + 0.03 * w),
                (x - 0.53 * w, y + 0.03 * w),
            ]
        )
    )
    return shapes


def clouds(stage: Stage, band: Band, dice: Dice) -> None:
    """Billowing cumulus in front of banks of cloud."""
    t, w, h = stage.tones, stage.width, stage.height
    white = mix(t.light, t.sky[2], 0.12)
    lit = t.light
    rows = [(0.5, 0.42, 0.0, 0.3), (0.72, 0.6, 0.45, 0.55), (0.95, 0.8, 0.8, 0.85)]
    for k, (v, size, near, depth) in enumerate(rows):
        y = band.top + (band.bottom - band.top) * v
        colour = mix(mix(t.sky[1], t.sky[2], 0.5), white, 0.35 + 0.3 * near)
        with stage.layer(depth=depth, mist=0.35) as pen:
            x = -0.2 + float(dice.uniform(0, 0.2))
            while x < w + 0.3:
                pw = size * float(dice.uniform(0.7, 1.15))
                pen.fills(_puff(x, y, pw, dice), shade(colour, 0.1 - 0.03 * k))
                x += pw * 0.62
            pen.rect(-0.3, y, w + 0.3, h + 0.4, shade(colour, 0.1 - 0.03 * k))
    with stage.layer(depth=0.7, focal=True) as pen:
        fx, fy = stage.focus
        fy = min(fy, band.top + (band.bottom - band.top) * 0.75)
        size = max(0.62, stage.reach * 1.25)
        for dx, dy, s in ((0.0, 0.0, 1.0), (-0.5, 0.26, 0.5), (0.52, 0.3, 0.55)):
            shapes = _puff(fx + dx * size, fy + 0.15 + dy * size, size * s, dice)
            pen.fills(shapes, shade(mix(lit, t.sky[0], 0.28), 0.1))
            up = [shape * np.array([1.0, 1.0]) - (0.012 * s, 0.026 * s) for shape in shapes[:-1]]
            pen.fills([(p - p.mean(0)) * 0.9 + p.mean(0) for p in up], lit)


def rainbow(stage: Stage, band: Band, dice: Dice) -> None:
    """Concentric arches of colour."""
    t = stage.tones
    fx = stage.focus[0]
    foot = band.bottom + 0.06
    r = min(0.62 * stage.width, 0.95 * (foot - band.top), 0.62 + 0.3 * (stage.width - 1))
    hues = [
        t.main,
        mix(t.main, t.second, 0.55),
        t.second,
        mix(t.second, t.accent, 0.6),
        t.accent,
        mix(t.light, t.sky[1], 0.15),
        mix(t.dark, t.main, 0.45),
    ]
    with stage.layer(depth=0.25, focal=True) as pen:
        width = r * 0.07
        for i, hue in enumerate(hues):
            outer, inner = r - i * width, r - (i + 1) * width - 0.004
            pen.fill(
                np.concatenate(
                    (arc(fx, foot, outer, outer, 180, 360, 48), arc(fx, foot, inner, inner, 360, 180, 48))
                ),
                hue,
            )
    with stage.layer(depth=0.45) as pen:
        puff = mix(t.light, t.sky[2], 0.2)
        for s in (-1, 1):
            pen.fills(_puff(fx + s * (r - 3.5 * width), foot - 0.01, 0.3 * (0.7 + r), dice), puff)


def fireworks(stage: Stage, band: Band, dice: Dice) -> None:
    """Bursts of radial sparks."""
    t = stage.tones
    base = stage.bare_sky(0.3)
    fx, fy = stage.focus[0], min(stage.focus[1], band.top + (band.bottom - band.top) * 0.52)
    k = stage.reach / 0.56
    hues = [t.main, t.second, t.accent]
    if luma(base) < 0.45:
        hues = [tint(hue, 0.15) for hue in hues]
    bursts = [
        (fx, fy, 0.34 * k),
        (fx - 0.34, fy - 0.19, 0.2),
        (fx + 0.34, fy + 0.03, 0.23),
        (fx + 0.18, fy - 0.36, 0.15),
    ]
    with stage.layer(depth=0.3, focal=True) as pen:
        for i, (x, y, r) in enumerate(bursts):
            hue = hues[i % 3]
            pen.stroke(
                smooth([(x + 0.03, band.bottom + 0.1), (x - 0.01, y + r * 1.5), (x, y + r * 1.05)]),
                0.003,
                mix(base, hue, 0.5),
                0.008,
            )
            rays = 18 if i == 0 else 14
            for j in range(rays):
                a = 2 * math.pi * (j + 0.3 * i) / rays
                c, s = math.cos(a), math.sin(a)
                droop = 0.1 * r
                for inner, outer, w, tone in (
                    (0.16, 0.62, 0.016, hue),
                    (0.68, 0.9, 0.022, hues[(i + 1) % 3]),
                ):
                    line = [
                        (x + r * q * c, y + r * q * s + droop * q * q)
                        for q in (inner, (inner + outer) / 2, outer)
                    ]
                    pen.stroke(line, w * (0.4 + r), tone, w * (0.9 + r))
                pen.disc(x + r * c, y + r * s + droop, 0.03 * r + 0.003, hues[(i + 2) % 3])
            pen.disc(x, y, 0.06 * r, tint(hue, 0.5))


LANDSCAPES: Final[dict[str, Landscape]] = {
    "stars": Landscape("sky", stars),
    "clouds": Landscape("sky", clouds),
    "rainbow": Landscape("sky", rainbow),
    "fireworks": Landscape("sky", fireworks),
}
