"""Landscapes of water, and the island in it."""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import RGB, mix
from actors.generator.procedural.lands import OVER, across, swells, under
from actors.generator.procedural.palettes import Tones, shade
from actors.generator.procedural.pen import Pen, arc, moved, petal, smooth
from actors.generator.procedural.stage import Band, Landscape, Stage


def pool(stage: Stage, top: float) -> None:
    """Plain flat water, for heroes afloat."""
    t = stage.tones
    with stage.layer(depth=0.4) as pen:
        xs = across(stage, 2)
        pen.fill(under(xs, np.full(2, top), stage.height + 0.5), t.water)
    with stage.layer(depth=0.8) as pen:
        pen.fill(
            under(xs, np.full(2, top + (stage.height - top) * 0.55), stage.height + 0.5),
            shade(t.water, 0.12),
        )


def sea(stage: Stage, band: Band, dice: Dice) -> None:
    """Open water to a level horizon, covered with rows of wave marks."""
    t = stage.tones
    xs = across(stage, 2)
    tall = stage.height - band.top
    with stage.layer(depth=0.3, focal=True) as pen:
        pen.fill(under(xs, np.full(2, band.top), stage.height + 0.5), t.water)
        for i in range(1, 5):
            pen.fill(
                under(xs, np.full(2, band.top + tall * (i / 5) ** 1.4), stage.height + 0.5),
                shade(t.water, 0.07 * i),
            )
    crest = mix(t.water, t.light, 0.6)
    path = t.light if t.night else mix(t.light, t.accent, 0.35)
    shimmer = mix(t.water, path, 0.45)
    with stage.layer(depth=0.5, focal=True) as pen:
        for i in range(11):
            k = (i + 0.3) / 11
            half = (0.05 + 0.2 * k) * (0.75 + 0.25 * (i % 2)) * stage.reach * 1.7
            pen.oval(
                stage.focus[0], band.top + tall * (0.015 + 0.97 * k**1.5), half, 0.005 + 0.014 * k, shimmer
            )
    with stage.layer(depth=0.6) as pen:
        rows = 8
        for i in range(rows):
            k = (i + 0.5) / rows
            y = band.top + tall * (0.04 + 0.94 * k**1.5)
            size = 0.045 + 0.16 * k
            x = -OVER + (i % 2) * size * 0.75
            while x < stage.width + OVER:
                mark = arc(x, y, size * 0.5, size * 0.22, 190, 350, 12)
                inner = arc(x, y + size * 0.05, size * 0.5, size * 0.17, 350, 190, 12)
                lit = float(np.exp(-(((x - stage.focus[0]) / (0.1 + 0.1 * k)) ** 2)))
                pen.fill(np.concatenate((mark, inner)), mix(crest, path, lit))
                x += size * 1.5


def waves(stage: Stage, band: Band, dice: Dice) -> None:
    """A great curling breaker with claws of foam."""
    t = stage.tones
    size = max(0.85, stage.reach * 1.75)
    fx, fy = stage.focus
    fy = max(band.top + 0.25, min(fy, band.bottom - 0.2))
    flip = stage.arrangement.side > 0
    foam = t.light
    with stage.layer(depth=0.3) as pen:
        xs = across(stage, 48)
        pen.fill(
            under(xs, fy + 0.06 + 0.035 * np.abs(np.sin(xs * 7)), stage.height + 0.5),
            mix(t.water, t.sky[2], 0.3),
        )
    with stage.layer(depth=0.6, focal=True) as pen:
        _breaker(pen.at(fx, fy, size, 0, flip), t, foam)
    with stage.layer(depth=0.9) as pen:
        xs = across(stage, 72)
        ys = fy + size * 0.36 - 0.06 * np.abs(np.sin(xs * 4.4 + 0.5))
        pen.fill(under(xs, ys - 0.02, stage.height + 0.5), foam)
        pen.fill(under(xs, ys, stage.height + 0.5), shade(t.water, 0.3))


def _breaker(pen: Pen, t: Tones, foam: RGB) -> None:
    back = [
        (-1.6, 0.42),
        (-0.95, 0.3),
        (-0.6, 0.1),
        (-0.36, -0.16),
        (-0.1, -0.38),
        (0.16, -0.43),
        (0.36, -0.33),
        (0.44, -0.14),
    ]
    inner = [
        (0.33, -0.22),
        (0.17, -0.24),
        (0.03, -0.1),
        (0.0, 0.1),
        (0.12, 0.28),
        (0.45, 0.38),
        (1.0, 0.36),
        (1.6, 0.4),
    ]
    top, belly = smooth(back), smooth(inner)
    pen.fill([*top.tolist(), *belly.tolist(), (1.6, 1.6), (-1.6, 1.6)], shade(t.water, 0.18))
    for k, tone in ((0.2, 0.0), (0.4, 0.35), (0.6, 0.0), (0.8, 0.35)):
        m = min(len(top), len(belly))
        a = top[np.linspace(4, len(top) - 1, m).astype(int)]
        b = belly[::-1][np.linspace(0, len(belly) - 1, m).astype(int)]
        line = a * (1 - k) + b * k
        pen.stroke(line, 0.05, mix(mix(t.water, t.light, tone), t.main, 0.25), 0.02)
    pen.stroke(top[12:], 0.03, foam, 0.1)
    for x, y in top[18::2]:
        pen.disc(float(x), float(y), 0.034, foam)
    for x, y in ((0.44, -0.14), (0.4, -0.2), (0.33, -0.22), (0.25, -0.24), (0.47, -0.06), (0.36, -0.13)):
        pen.disc(x, y, 0.042, foam)
    for x, y, r in (
        (0.55, -0.02, 0.02),
        (0.5, 0.05, 0.014),
        (0.6, -0.12, 0.014),
        (0.42, 0.0, 0.018),
        (0.3, -0.06, 0.014),
        (0.56, -0.24, 0.012),
    ):
        pen.disc(x, y, r, foam)


def lake(stage: Stage, band: Band, dice: Dice) -> None:
    """Still water that holds the mirror image of its far bank, with level glints and reeds."""
    t = stage.tones
    tall = stage.height - band.top
    fx = stage.focus[0]
    xs = across(stage, 64)
    shore = band.top + tall * 0.16
    bumps = 0.02 + 0.07 * np.abs(np.sin(xs * 5.1 + 1)) * np.abs(np.sin(xs * 2.3 + float(dice.uniform(0, 3))))
    bumps += 0.13 * np.exp(-(((xs - fx) / 0.22) ** 2))
    bumps *= min(1.0, tall / 0.45)
    water = mix(t.water, t.light, 0.3)
    bank = t.land(0.62)
    with stage.layer(depth=0.4, focal=True) as pen:
        pen.fill(under(xs, np.full_like(xs, shore), stage.height + 0.5), water)
        pen.fill(
            np.concatenate(
                (np.stack((xs, shore + bumps * 1.15), 1), np.stack((xs, np.full_like(xs, shore)), 1)[::-1])
            ),
            mix(bank, water, 0.5),
        )
        pen.fill(
            np.concatenate(
                (np.stack((xs, shore - bumps), 1), np.stack((xs, np.full_like(xs, shore)), 1)[::-1])
            ),
            bank,
        )
        pen.rect(-OVER, shore - 0.004, stage.width + OVER, shore + 0.006, mix(water, t.light, 0.8))
    glint = mix(water, t.light, 0.85)
    with stage.layer(depth=0.6) as pen:
        for i in range(9):
            k = (i + 1) / 9.5
            x = fx + float(dice.uniform(-0.45, 0.45)) * stage.width
            pen.oval(x, shore + tall * 0.76 * k, 0.05 + 0.17 * k, 0.003 + 0.007 * k, glint)
    _reeds(stage, tall)


def _reeds(stage: Stage, tall: float) -> None:
    """A near shore that curves in from both corners, with bulrushes."""
    t, w, h = stage.tones, stage.width, stage.height
    with stage.layer(depth=0.9) as pen:
        for s, x0 in ((1, 0.0), (-1, w)):
            reach = 0.42 if s == stage.arrangement.side else 0.26
            edge = [
                (x0 - s * OVER, h - tall * 0.32),
                (x0 + s * 0.05, h - tall * 0.22),
                (x0 + s * reach, h - tall * 0.03),
                (x0 + s * reach * 1.4, h + 0.2),
            ]
            pen.fill([*smooth(edge).tolist(), (x0 - s * OVER, h + 0.5)], shade(t.near, 0.05))
            for i in range(6 if s == stage.arrangement.side else 4):
                x, foot = x0 + s * (0.03 + 0.04 * i), h - tall * (0.19 - 0.026 * i)
                top = foot - tall * (0.3 + 0.16 * (i % 3) / 2)
                pen.stroke(
                    smooth([(x, foot + 0.03), (x + s * 0.008, (foot + top) / 2), (x + s * 0.03, top)]),
                    0.013,
                    shade(t.near, 0.2),
                    0.005,
                )
                if i % 2 == 0:
                    pen.fill(petal(x + s * 0.028, top + 0.07, 0.1, 0.03, -90 + s * 8), t.main)


def river(stage: Stage, band: Band, dice: Dice) -> None:
    """Water that winds from the horizon in widening bends, with ripples across it."""
    t = stage.tones
    swells(stage, band.top, dice, 2, 0.02)
    fx, side = stage.focus[0], stage.arrangement.side
    tall = stage.height - band.top
    v = np.linspace(0, 1, 56)
    y = band.top + 0.008 + (tall + 0.14) * v**1.5
    x = fx + side * np.sin((1 - v) ** 1.2 * 4.6 * np.pi * 0.72 + 0.4) * (0.06 + 0.3 * v)
    half = 0.012 + 0.2 * v**1.25
    left, right = np.stack((x - half, y), 1), np.stack((x + half, y), 1)
    water = mix(t.water, t.light, 0.3)
    bank = mix(t.second, t.light, 0.45)
    with stage.layer(depth=0.7, focal=True) as pen:
        pen.fill(
            np.concatenate(
                (
                    left - (0.006, 0.0) - half[:, None] * (0.12, 0),
                    (right + (0.006, 0.0) + half[:, None] * (0.12, 0))[::-1],
                )
            ),
            bank,
        )
        pen.fill(np.concatenate((left, right[::-1])), water)
        for i in range(7, 56, 4):
            u, w = (0.3, -0.3, 0.05)[i % 3] * half[i], half[i] * 0.42
            ripple = [
                (x[i] + u - w, y[i]),
                (x[i] + u - w * 0.4, y[i] - 0.09 * half[i]),
                (x[i] + u + w * 0.3, y[i] + 0.07 * half[i]),
                (x[i] + u + w, y[i] - 0.02 * half[i]),
            ]
            pen.stroke(smooth(ripple), 0.004 + 0.05 * half[i], mix(water, t.light, 0.75), 0.002)
    with stage.layer(depth=0.85) as pen:
        for i in range(int(10 * stage.amount)):
            k = int(dice.integers(14, 50))
            s = -1 if i % 2 else 1
            gx, gy = x[k] + s * half[k] * float(dice.uniform(1.3, 1.7)), y[k]
            size = 0.02 + 0.07 * v[k]
            for a in (-120, -90, -62):
                pen.fill(petal(gx, gy, size, size * 0.26, a), shade(t.land(0.95), 0.12))


def waterfall(stage: Stage, band: Band, dice: Dice) -> None:
    """White water falling between two cliffs into a pool."""
    t = stage.tones
    fx = stage.focus[0]
    tall = band.bottom - band.top
    half = max(0.12, stage.reach * 0.24)
    lip, foot = band.top + tall * 0.14, band.top + tall * 0.86
    rock = mix(t.near, t.main, 0.12)
    white = mix(t.light, t.water, 0.06)
    with stage.layer(depth=0.3, mist=0.3) as pen:
        pen.rect(fx - half * 2.2, lip - 0.01, fx + half * 2.2, stage.height + 0.5, mix(rock, t.far, 0.3))
    with stage.layer(depth=0.5, focal=True) as pen:
        side = smooth([(half, lip), (half * 1.02, lip + tall * 0.3), (half * 1.14, foot)])
        pen.fill(np.concatenate((moved(side * (-1, 1), fx, 0), moved(side, fx, 0)[::-1])), white)
        for i, u in enumerate(np.linspace(-0.85, 0.85, 9)):
            y0 = lip + tall * float(dice.uniform(0.02, 0.25))
            y1 = foot - tall * float(dice.uniform(0.0, 0.22))
            strand = [(fx + u * half, y0), (fx + u * half * 1.12, y1)]
            pen.stroke(strand, 0.012, mix(white, t.water, 0.55), 0.02 + 0.008 * (i % 2))
    for s in (-1, 1):
        with stage.layer(depth=0.7, mist=0.15) as pen:
            _cliff(pen.at(fx, 0, 1, 0, s < 0), lip, foot, half, stage.height + 0.5, rock, dice)
    with stage.layer(depth=0.85) as pen:
        basin = under(across(stage, 2), np.full(2, foot + tall * 0.02), stage.height + 0.5)
        pen.fill(basin, mix(t.water, t.near, 0.12))
        for i in range(3):
            ring = mix(t.water, t.light, 0.6 - 0.15 * i)
            pen.oval(fx, foot + 0.03 + 0.05 * i, half * (1.7 + 0.5 * i), 0.016, ring)
        for u in np.linspace(-1.25, 1.25, 9):
            y = foot + 0.015 - 0.02 * (1 - abs(u))
            pen.disc(fx + u * half, y, 0.045 + 0.012 * float(dice.random()), white)


def _cliff(pen: Pen, lip: float, foot: float, half: float, bottom: float, rock: RGB, dice: Dice) -> None:
    """The rock to the right of a fall whose middle is x = 0."""
    tall = (foot - lip) / 0.72
    rim = [
        (3.0, lip - tall * 0.04),
        (half * 3.4, lip),
        (half * 2.4, lip - tall * 0.1),
        (half * 1.5, lip - tall * 0.06),
    ]
    edge = [(half * 0.96, lip - 0.03), (half * 1.1, lip + tall * 0.2), (half * 0.98, lip + tall * 0.42)]
    pen.fill([*rim, *edge, (half * 1.18, foot + 0.02), (half * 1.3, bottom), (3.0, bottom)], rock)
    for j in range(5):
        x, y = half * (1.35 + 0.55 * j), lip + tall * float(dice.uniform(0.0, 0.25))
        crack = [
            (x, y),
            (x + 0.05, y + tall * 0.08),
            (x + 0.035, y + tall * 0.5),
            (x - 0.012, y + tall * 0.3),
        ]
        pen.fill(crack, shade(rock, 0.22))


def island(pen: Pen, t: Tones, dice: Dice) -> None:
    """A small island with two palms."""
    sand = mix(t.second, t.light, 0.35)
    pen.oval(0, 0.39, 0.6, 0.08, mix(t.water, t.light, 0.5))
    mound = smooth([(-0.56, 0.39), (-0.36, 0.27), (-0.1, 0.17), (0.14, 0.19), (0.36, 0.28), (0.56, 0.39)])
    pen.fill([*mound.tolist(), *arc(0, 0.39, 0.56, 0.055, 0, 180, 16).tolist()], sand)
    hill = smooth([(-0.36, 0.3), (-0.2, 0.16), (0.0, 0.08), (0.18, 0.13), (0.36, 0.3)])
    pen.fill([*hill.tolist(), (0.1, 0.33), (-0.12, 0.33)], t.main)
    pen.fill([*hill[12:].tolist(), (0.1, 0.33), (0.06, 0.2)], shade(t.main, 0.2))
    for x, lean, top, size in ((-0.04, 0.15, -0.3, 1.0), (0.06, -0.2, -0.1, 0.74)):
        trunk = smooth([(x, 0.14), (x + lean * 0.35, -0.02 + top * 0.3), (x + lean, top)])
        pen.stroke(trunk, 0.045 * size, mix(t.dark, t.second, 0.25), 0.024 * size)
        cx, cy = x + lean, top
        for a in (-175, -140, -95, -50, -10, 25, 155):
            leaf = smooth(
                [
                    (cx, cy),
                    (
                        cx + 0.14 * size * np.cos(np.radians(a)),
                        cy + 0.14 * size * np.sin(np.radians(a)) - 0.03,
                    ),
                    (
                        cx + 0.27 * size * np.cos(np.radians(a)),
                        cy + 0.2 * size * np.sin(np.radians(a)) + 0.08 * size,
                    ),
                ]
            )
            pen.stroke(leaf, 0.07 * size, t.main if a < -60 else shade(t.main, 0.2), 0.006)
        pen.disc(cx, cy + 0.02, 0.026 * size, t.dark)


HEROES: Final[dict[str, Hero]] = {"island": Hero("water", 1.2, 0.94, island)}
LANDSCAPES: Final[dict[str, Landscape]] = {
    "waterfall": Landscape("far", waterfall),
    "sea": Landscape("near", sea),
    "waves": Landscape("near", waves),
    "lake": Landscape("near", lake),
    "river": Landscape("near", river),
}
