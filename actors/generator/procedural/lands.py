"""Landscapes: subjects that fill the frame's width."""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import luma, mix
from actors.generator.procedural.palettes import Tones, shade
from actors.generator.procedural.pen import Pen, Points, arc, petal, smooth
from actors.generator.procedural.stage import Band, Landscape, Stage

_OVER: Final = 0.35
"""How far landscapes reach beyond the frame, so that a slope never shows their ends."""


def _xs(stage: Stage, n: int) -> Points:
    return np.linspace(-_OVER, stage.width + _OVER, n)


def _jagged(xs: Points, dice: Dice, rough: float = 0.55) -> Points:
    """A mountain profile, 0..1, by midpoint displacement on as many points as xs has."""
    n = len(xs)
    y = np.interp(xs, np.linspace(xs[0], xs[-1], 5), dice.random(5))
    amplitude, steps = 0.5, 9
    while steps < n:
        y += amplitude * rough * np.interp(xs, np.linspace(xs[0], xs[-1], steps), dice.uniform(-1, 1, steps))
        amplitude, steps = amplitude * rough, steps * 2 - 1
    span: Points = (y - y.min()) / max(1e-6, float(np.ptp(y)))
    return span


def _under(xs: Points, ys: Points, bottom: float) -> Points:
    ends = np.array([(xs[-1], bottom), (xs[0], bottom)])
    return np.concatenate((np.stack((xs, ys), 1), ends))


def swells(stage: Stage, top: float, dice: Dice, layers: int = 3, rise: float = 0.03) -> None:
    """Plain gently rolling ground, for heroes that bring no landscape."""
    xs = _xs(stage, 24)
    for i in range(layers):
        k = i / max(1, layers - 1)
        y = top + (stage.height - top) * (0.0, 0.32, 0.66, 0.85)[i]
        phase = float(dice.uniform(0, 6.3))
        ys = y - rise * (1 + 0.5 * k) * np.sin(xs * (1.9 + 0.7 * i) + phase)
        with stage.layer(depth=0.35 + 0.6 * k, mist=0.25) as pen:
            pen.fill(_under(xs, ys, stage.height + 0.5), stage.tones.land(0.3 + 0.55 * k))


def pool(stage: Stage, top: float) -> None:
    """Plain flat water, for heroes afloat."""
    t = stage.tones
    with stage.layer(depth=0.4) as pen:
        xs = _xs(stage, 2)
        pen.fill(_under(xs, np.full(2, top), stage.height + 0.5), t.water)
    with stage.layer(depth=0.8) as pen:
        pen.fill(_under(xs, np.full(2, top + (stage.height - top) * 0.55), stage.height + 0.5), shade(t.water, 0.12))


def mountains(stage: Stage, band: Band, dice: Dice) -> None:
    t = stage.tones
    xs = _xs(stage, 97)
    tall = band.bottom - band.top
    fx = stage.focus[0]
    for i in range(4):
        k = i / 3
        peak = np.exp(-(((xs - fx - (0.0, -0.2, 0.28, 0.0)[i]) / (0.34 + 0.12 * i)) ** 2))
        profile = 0.42 * _jagged(xs, dice) + 0.58 * peak
        y0 = band.top + tall * (0.42, 0.6, 0.78, 1.0)[i]
        ys = y0 - tall * (0.46, 0.4, 0.32, 0.16)[i] * profile
        colour = t.land(0.12 + 0.8 * k)
        with stage.layer(depth=0.15 + 0.7 * k, mist=0.6 - 0.3 * k, focal=i < 2) as pen:
            pen.fill(_under(xs, ys, stage.height + 0.5), colour)
            if i < 3:
                _facets(pen, xs, ys, tall * 0.34, shade(colour, 0.16))


def _facets(pen: Pen, xs: Points, ys: Points, depth: float, colour: tuple[float, float, float]) -> None:
    """The shadow side of each peak: a jagged wedge to the right of the summit."""
    tops = [i for i in range(3, len(xs) - 3) if ys[i] == ys[max(0, i - 6) : i + 7].min()]
    for i in tops:
        j = i
        while j < len(xs) - 1 and ys[j + 1] >= ys[j] - 0.004 and xs[j] - xs[i] < 0.3:
            j += 1
        ridge = np.stack((xs[i : j + 1], ys[i : j + 1]), 1)
        if len(ridge) < 3:
            continue
        drop = min(depth, float(ridge[-1, 1] - ridge[0, 1]) * 1.2)
        x, y = ridge[0]
        back = [(x + 0.01, y + drop), (x - 0.025, y + drop * 0.66), (x + 0.02, y + drop * 0.4), (x - 0.008, y + drop * 0.2)]
        pen.fill(np.concatenate((ridge, np.array(back))), colour)


def snowy_hills(stage: Stage, band: Band, dice: Dice) -> None:
    """Rounded hills with white caps."""
    t = stage.tones
    tall = band.bottom - band.top
    fx = stage.focus[0]
    snow = t.light if not t.night else mix(t.light, t.sky[1], 0.15)
    hills = [(fx + 0.34, 0.5, 0.34, 0.1), (fx - 0.36, 0.52, 0.36, 0.2), (fx, 0.66, 0.44, 0.45), (fx - 0.62, 0.8, 0.42, 0.65), (fx + 0.6, 0.85, 0.46, 0.7)]
    v = np.linspace(-1, 1, 33)
    for x, foot, half, depth in hills:
        height = tall * (0.6 if depth == 0.45 else 0.44)
        y = band.top + tall * foot + height * 0.4
        shape = (1 - np.abs(v) ** 2.2) ** 1.0
        ys = y - height * shape
        px = x + half * v * 1.25
        colour = mix(t.land(0.3 + 0.6 * depth), t.main, 0.2)
        with stage.layer(depth=depth, mist=0.2, focal=depth == 0.45) as pen:
            pen.fill(_under(px, ys, stage.height + 0.5), colour)
            cap = slice(6, 27)
            hem = y - height * (0.6 + 0.09 * np.sin(np.linspace(0, 15.7, 21)) + 0.05 * dice.uniform(-1, 1, 21))
            hem = np.maximum(hem, ys[cap])
            pen.fill(np.concatenate((np.stack((px[cap], ys[cap]), 1), np.stack((px[cap], hem), 1)[::-1])), snow)
            right = slice(18, 27)
            pen.fill(np.concatenate((np.stack((px[right], ys[right]), 1), np.stack((px[right], hem[12:]), 1)[::-1])), shade(snow, 0.14))
    xs = _xs(stage, 24)
    with stage.layer(depth=0.95, mist=0.1) as pen:
        pen.fill(_under(xs, band.bottom - 0.05 * tall + 0.03 * np.sin(xs * 2.3 + 1), stage.height + 0.5), shade(snow, 0.05))


def desert(stage: Stage, band: Band, dice: Dice) -> None:
    """Dunes: a sinuous crest between a lit and a shadowed face."""
    t = stage.tones
    tall = band.bottom - band.top
    fx = stage.focus[0]
    for i, (dx, v, lift, half) in enumerate(((-0.4, 0.2, 0.2, 0.7), (0.0, 0.42, 0.42, 0.85), (0.55, 0.68, 0.3, 0.8), (-0.5, 0.95, 0.3, 0.95))):
        k = i / 3
        x, y = fx + dx, band.top + tall * (v + 0.1)
        top = y - tall * lift
        lit = mix(mix(t.second, t.light, 0.25), t.far, 0.5 - 0.4 * k)
        if t.night:
            lit = mix(lit, t.sky[1], 0.45)
        dark = shade(mix(lit, t.near, 0.35), 0.2)
        left = smooth([(x - half * 1.6, y + 0.04), (x - half * 0.7, y - tall * lift * 0.45), (x, top)])
        right = smooth([(x, top), (x + half * 0.55, y - tall * lift * 0.5), (x + half * 1.5, y + 0.02)])
        crest = smooth([(x, top), (x + 0.05, top + tall * 0.16), (x - 0.1, top + tall * 0.3), (x + 0.06, top + tall * 0.5), (x - 0.06, stage.height + 0.5)])
        with stage.layer(depth=0.2 + 0.7 * k, mist=0.25, focal=i == 1) as pen:
            pen.rect(-_OVER, y, stage.width + _OVER, stage.height + 0.5, lit)
            pen.fill([*left.tolist(), *right.tolist(), (x + half * 1.5, stage.height + 0.5), (x - half * 1.6, stage.height + 0.5)], lit)
            pen.fill([*right.tolist(), (x + half * 1.5, stage.height + 0.5), *crest[::-1].tolist()], dark)
            if i >= 2:
                for j in range(int(4 * stage.amount)):
                    ry = y + 0.03 + j * 0.045
                    pen.stroke(smooth([(x - half, ry + 0.03), (x - half * 0.6, ry), (x - half * 0.25, ry + 0.025)]), 0.004, shade(lit, 0.12), 0.008)


def sea(stage: Stage, band: Band, dice: Dice) -> None:
    """Open water to a level horizon, covered with rows of wave marks."""
    t = stage.tones
    xs = _xs(stage, 2)
    tall = stage.height - band.top
    with stage.layer(depth=0.3, focal=True) as pen:
        pen.fill(_under(xs, np.full(2, band.top), stage.height + 0.5), t.water)
        for i in range(1, 5):
            pen.fill(_under(xs, np.full(2, band.top + tall * (i / 5) ** 1.4), stage.height + 0.5), shade(t.water, 0.07 * i))
    crest = mix(t.water, t.light, 0.72)
    with stage.layer(depth=0.6) as pen:
        rows = 8
        for i in range(rows):
            k = (i + 0.5) / rows
            y = band.top + tall * (0.04 + 0.94 * k**1.5)
            size = 0.045 + 0.16 * k
            x = -_OVER + (i % 2) * size * 0.75
            while x < stage.width + _OVER:
                mark = arc(x, y, size * 0.5, size * 0.22, 190, 350, 12)
                inner = arc(x, y + size * 0.05, size * 0.5, size * 0.17, 350, 190, 12)
                pen.fill(np.concatenate((mark, inner)), crest)
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
        xs = _xs(stage, 48)
        pen.fill(_under(xs, fy + 0.06 + 0.035 * np.abs(np.sin(xs * 7)), stage.height + 0.5), mix(t.water, t.sky[2], 0.3))
    with stage.layer(depth=0.6, focal=True) as pen:
        _breaker(pen.at(fx, fy, size, 0, flip), t, foam)
    with stage.layer(depth=0.9) as pen:
        xs = _xs(stage, 72)
        ys = fy + size * 0.36 - 0.06 * np.abs(np.sin(xs * 4.4 + 0.5))
        pen.fill(_under(xs, ys - 0.02, stage.height + 0.5), foam)
        pen.fill(_under(xs, ys, stage.height + 0.5), shade(t.water, 0.3))


def _breaker(pen: Pen, t: Tones, foam: tuple[float, float, float]) -> None:
    back = [(-1.6, 0.42), (-0.95, 0.3), (-0.6, 0.1), (-0.36, -0.16), (-0.1, -0.38), (0.16, -0.43), (0.36, -0.33), (0.44, -0.14)]
    inner = [(0.33, -0.22), (0.17, -0.24), (0.03, -0.1), (0.0, 0.1), (0.12, 0.28), (0.45, 0.38), (1.0, 0.36), (1.6, 0.4)]
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
    for x, y, r in ((0.55, -0.02, 0.02), (0.5, 0.05, 0.014), (0.6, -0.12, 0.014), (0.42, 0.0, 0.018), (0.3, -0.06, 0.014), (0.56, -0.24, 0.012)):
        pen.disc(x, y, r, foam)


def lake(stage: Stage, band: Band, dice: Dice) -> None:
    """A bright ellipse of still water in the land, with level glints and reeds."""
    t = stage.tones
    swells(stage, band.top, dice, 2, 0.02)
    fx = stage.focus[0]
    y = band.top + (stage.height - band.top) * 0.5
    rx, ry = max(0.46, stage.reach * 0.85), (stage.height - band.top) * 0.34
    water = mix(t.water, t.light, 0.25)
    with stage.layer(depth=0.6, focal=True) as pen:
        pen.oval(fx, y + 0.012, rx + 0.03, ry + 0.025, shade(t.land(0.85), 0.25))
        pen.oval(fx, y, rx, ry, water)
        pen.fill(arc(fx, y, rx, ry, 180, 360, 30).tolist() + arc(fx, y - ry * 0.3, rx * 0.93, ry * 0.45, 360, 180, 30).tolist(), shade(water, 0.22))
        for dx, dy, w in ((-0.3, 0.2, 0.3), (0.25, 0.35, 0.38), (0.0, 0.62, 0.3), (-0.1, 0.02, 0.5), (0.42, 0.1, 0.2)):
            pen.oval(fx + dx * rx, y + dy * ry, w * rx * 0.5, 0.009, mix(water, t.light, 0.7))
    with stage.layer(depth=0.9) as pen:
        for s in (-1, 1):
            for i in range(7):
                x = fx + s * (rx * 0.86 + 0.022 * i)
                foot = y + ry * (0.55 - 0.05 * i) + 0.03
                height = 0.15 + 0.06 * float(dice.random())
                pen.stroke(smooth([(x, foot), (x + s * 0.012, foot - height * 0.6), (x + s * 0.035, foot - height)]), 0.01, shade(t.near, 0.1), 0.004)
                if i % 2 == 0:
                    pen.fill(petal(x + s * 0.032, foot - height * 0.9, 0.06, 0.022, -90 + s * 12), t.main)


def river(stage: Stage, band: Band, dice: Dice) -> None:
    """An S-curve that winds from the horizon and widens towards us."""
    t = stage.tones
    swells(stage, band.top, dice, 2, 0.02)
    fx = stage.focus[0]
    side = stage.arrangement.side
    tall = stage.height - band.top
    v = np.linspace(0, 1, 40)
    y = band.top + 0.012 + (tall + 0.1) * v**1.25
    x = fx + side * 0.28 * np.sin(v**0.75 * 2 * np.pi * 1.08) * (0.25 + 0.9 * v)
    half = 0.012 + 0.17 * v**1.35
    left, right = np.stack((x - half, y), 1), np.stack((x + half, y), 1)
    bank = np.stack((x + half * 1.14 + 0.006, y + 0.006), 1)
    water = mix(t.water, t.light, 0.42)
    with stage.layer(depth=0.7, focal=True) as pen:
        pen.fill(np.concatenate((left - (0.014, 0), bank[::-1])), shade(t.near, 0.2))
        pen.fill(np.concatenate((left, right[::-1])), water)
        for k in (-0.45, 0.15, 0.6):
            pen.stroke(np.stack((x + half * k, y), 1)[8:], 0.004, mix(water, t.light, 0.75), 0.02)


def city(stage: Stage, band: Band, dice: Dice) -> None:
    """A skyline of towers with lit windows."""
    t = stage.tones
    fx = stage.focus[0]
    tall = band.bottom - band.top
    dark_sky = luma(t.sky[1]) < 0.45
    for i in range(3):
        k = i / 2
        colour = mix(t.land(0.25 + 0.6 * k), t.main, 0.12 + 0.1 * k)
        if dark_sky:
            colour = mix(t.land(0.2 + 0.4 * k), t.dark, 0.25 * k)
        pane = mix(t.accent, t.light, 0.4) if (dark_sky or luma(colour) < 0.45) else shade(colour, 0.3)
        with stage.layer(depth=0.25 + 0.5 * k, mist=0.3 - 0.15 * k, focal=i == 1) as pen:
            x = -_OVER
            while x < stage.width + _OVER:
                w = float(dice.uniform(0.075, 0.15)) * (0.8 + 0.3 * k)
                near = np.exp(-(((x + w / 2 - fx) / 0.4) ** 2))
                h = tall * (0.82 - 0.2 * i) * (0.4 + 0.6 * float(near)) * float(dice.uniform(0.66, 1.05))
                _tower(pen, x, band.bottom, w, h, colour, pane, int(dice.integers(0, 5)), k, dice, stage.height)
                x += w + float(dice.choice((0.0, 0.008, 0.02)))


def _tower(
    pen: Pen,
    x: float,
    foot: float,
    w: float,
    h: float,
    colour: tuple[float, float, float],
    pane: tuple[float, float, float],
    kind: int,
    k: float,
    dice: Dice,
    bottom: float,
) -> None:
    y = foot - h
    pen.rect(x, y, x + w, bottom + 0.5, colour)
    pen.rect(x + w * 0.62, y, x + w, bottom + 0.5, shade(colour, 0.16))
    if kind == 0:
        pen.rect(x + w * 0.2, y - 0.04, x + w * 0.8, y, colour)
        pen.rect(x + w * 0.47, y - 0.12, x + w * 0.53, y, colour)
    elif kind == 1:
        pen.fill([(x, y), (x + w, y), (x + w, y - w * 0.6)], colour)
    elif kind == 2:
        pen.fill([(x + w * 0.12, y), (x + w * 0.5, y - w * 0.9), (x + w * 0.88, y)], colour)
    elif kind == 3:
        pen.fill(arc(x + w / 2, y, w / 2, w * 0.4, 180, 360, 12), colour)
    if k == 0:
        return
    step = 0.034
    lit = dice.random((3, 24)) < 0.62
    for j in range(min(24, int(h / step) - 1)):
        for c in range(3):
            if lit[c, j]:
                px, py = x + w * (0.16 + 0.26 * c), y + 0.018 + j * step
                pen.rect(px, py, px + w * 0.15, py + step * 0.5, pane)


def waterfall(stage: Stage, band: Band, dice: Dice) -> None:
    """White water falling between two cliffs into a pool."""
    t = stage.tones
    fx = stage.focus[0]
    tall = band.bottom - band.top
    half = max(0.12, stage.reach * 0.24)
    lip, foot = band.top + tall * 0.14, band.top + tall * 0.86
    rock = mix(t.near, t.main, 0.12)
    with stage.layer(depth=0.3, mist=0.3) as pen:
        pen.rect(fx - half * 2.2, lip - 0.01, fx + half * 2.2, stage.height + 0.5, mix(rock, t.far, 0.3))
    white = mix(t.light, t.water, 0.06)
    with stage.layer(depth=0.5, focal=True) as pen:
        pen.fill(smooth([(fx - half, lip), (fx - half * 1.02, lip + tall * 0.3), (fx - half * 1.14, foot)]).tolist() + smooth([(fx + half * 1.14, foot), (fx + half * 1.02, lip + tall * 0.3), (fx + half, lip)]).tolist(), white)
        for i, u in enumerate(np.linspace(-0.85, 0.85, 9)):
            y0 = lip + tall * float(dice.uniform(0.02, 0.25))
            y1 = foot - tall * float(dice.uniform(0.0, 0.22))
            pen.stroke([(fx + u * half, y0), (fx + u * half * 1.12, y1)], 0.012, mix(white, t.water, 0.55), 0.02 + 0.008 * (i % 2))
    for s in (-1, 1):
        edge = [(fx + s * half * 0.96, lip - 0.03), (fx + s * half * 1.1, lip + tall * 0.2), (fx + s * half * 0.98, lip + tall * 0.42), (fx + s * half * 1.18, foot + 0.02)]
        rim = [(fx + s * half * 1.5, lip - tall * 0.06), (fx + s * half * 2.4, lip - tall * 0.1), (fx + s * (half * 3.4), lip + 0.0), (fx + s * 3, lip - tall * 0.04)]
        with stage.layer(depth=0.7, mist=0.15) as pen:
            pen.fill([*[(x, y) for x, y in rim[::-1]], *edge, (fx + s * half * 1.3, stage.height + 0.5), (fx + s * 3, stage.height + 0.5)], rock)
            for j in range(5):
                x = fx + s * half * (1.35 + 0.55 * j)
                y = lip + tall * float(dice.uniform(0.0, 0.25))
                pen.fill([(x, y), (x + s * 0.05, y + tall * 0.08), (x + s * 0.035, y + tall * 0.5), (x - s * 0.012, y + tall * 0.3)], shade(rock, 0.22))
    with stage.layer(depth=0.85) as pen:
        pen.fill(_under(_xs(stage, 2), np.full(2, foot + tall * 0.02), stage.height + 0.5), mix(t.water, t.near, 0.12))
        for i in range(3):
            pen.oval(fx, foot + 0.03 + 0.05 * i, half * (1.7 + 0.5 * i), 0.016, mix(t.water, t.light, 0.6 - 0.15 * i))
        for u in np.linspace(-1.25, 1.25, 9):
            pen.disc(fx + u * half, foot + 0.015 - 0.02 * (1 - abs(u)), 0.045 + 0.012 * float(dice.random()), white)


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
            leaf = smooth([(cx, cy), (cx + 0.14 * size * np.cos(np.radians(a)), cy + 0.14 * size * np.sin(np.radians(a)) - 0.03), (cx + 0.27 * size * np.cos(np.radians(a)), cy + 0.2 * size * np.sin(np.radians(a)) + 0.08 * size)])
            pen.stroke(leaf, 0.07 * size, t.main if a < -60 else shade(t.main, 0.2), 0.006)
        pen.disc(cx, cy + 0.02, 0.026 * size, t.dark)


HEROES: Final[dict[str, Hero]] = {"island": Hero("water", 1.2, 0.94, island)}
LANDSCAPES: Final[dict[str, Landscape]] = {
    "mountains": Landscape("far", mountains),
    "snowy_hills": Landscape("far", snowy_hills),
    "city": Landscape("far", city),
    "waterfall": Landscape("far", waterfall),
    "desert": Landscape("near", desert),
    "sea": Landscape("near", sea),
    "waves": Landscape("near", waves),
    "lake": Landscape("near", lake),
    "river": Landscape("near", river),
}
