"""Landscapes: subjects that fill the frame's width."""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.generator.procedural.art import Dice
from actors.generator.procedural.colours import luma, mix
from actors.generator.procedural.palettes import shade
from actors.generator.procedural.pen import Pen, Points, arc, smooth
from actors.generator.procedural.stage import Band, Landscape, Stage

OVER: Final = 0.35
"""How far landscapes reach beyond the frame, so that a slope never shows their ends."""


def across(stage: Stage, n: int) -> Points:
    """Evenly spaced x from beyond the left edge to beyond the right one."""
    return np.linspace(-OVER, stage.width + OVER, n)


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


def under(xs: Points, ys: Points, bottom: float) -> Points:
    """The area below a line."""
    ends = np.array([(xs[-1], bottom), (xs[0], bottom)])
    return np.concatenate((np.stack((xs, ys), 1), ends))


def swells(stage: Stage, top: float, dice: Dice, layers: int = 3, rise: float = 0.03) -> None:
    """Plain gently rolling ground, for heroes that bring no landscape."""
    xs = across(stage, 24)
    for i in range(layers):
        k = i / max(1, layers - 1)
        y = top + (stage.height - top) * (0.0, 0.32, 0.66, 0.85)[i]
        phase = float(dice.uniform(0, 6.3))
        ys = y - rise * (1 + 0.5 * k) * np.sin(xs * (1.9 + 0.7 * i) + phase)
        with stage.layer(depth=0.35 + 0.6 * k, mist=0.25) as pen:
            pen.fill(under(xs, ys, stage.height + 0.5), stage.tones.land(0.3 + 0.55 * k))


def mountains(stage: Stage, band: Band, dice: Dice) -> None:
    """Ranges of pointed peaks, each with a lit and a shadowed side."""
    t = stage.tones
    xs = across(stage, 161)
    tall = band.bottom - band.top
    fx = stage.focus[0]
    for i in range(4):
        k = i / 3
        y0 = band.top + tall * (0.5, 0.64, 0.8, 1.0)[i]
        rise = tall * (0.5, 0.42, 0.34, 0.2)[i]
        profile = np.zeros_like(xs)
        centre = fx + (0.0, -0.26, 0.3, 0.05)[i]
        for j in range(-5, 6):
            c = centre + j * 0.27 + float(dice.uniform(-0.06, 0.06)) * (j != 0)
            high = (
                (1.0 if j == 0 else float(dice.uniform(0.38, 0.74)))
                if i < 3
                else float(dice.uniform(0.3, 0.9))
            )
            profile = np.maximum(
                profile, high - np.abs(xs - c) * (2.5 if j == 0 else 2.7) / (0.7 + 0.3 * stage.height)
            )
        ys = y0 - rise * (profile + 0.13 * _jagged(xs, dice))
        colour = mix(t.land(0.16 + 0.78 * k), t.sky[1], 0.3 * (1 - k))
        with stage.layer(depth=0.15 + 0.7 * k, mist=0.6 - 0.3 * k, focal=i < 2) as pen:
            pen.fill(under(xs, ys, stage.height + 0.5), colour)
            if i < 3:
                _facets(pen, xs, ys, rise * 0.95, shade(colour, 0.2))


def _facets(pen: Pen, xs: Points, ys: Points, depth: float, colour: tuple[float, float, float]) -> None:
    """The shadow side of each peak: down its right ridge, and back up along a zigzag."""
    reach = 9
    tops = [i for i in range(reach, len(xs) - reach) if ys[i] == ys[i - reach : i + reach + 1].min()]
    for i in tops:
        j = i + int(np.argmax(ys[i : i + 30]))
        ridge = np.stack((xs[i : j + 1], ys[i : j + 1]), 1)
        if len(ridge) < 4:
            continue
        x, y = ridge[0]
        drop = min(depth, float(ridge[-1, 1] - y) * 1.25)
        back = [
            (x + 0.03, y + drop),
            (x - 0.015, y + drop * 0.7),
            (x + 0.03, y + drop * 0.46),
            (x - 0.012, y + drop * 0.24),
        ]
        pen.fill(np.concatenate((ridge, np.array(back))), colour)


def snowy_hills(stage: Stage, band: Band, dice: Dice) -> None:
    """Rounded hills with white caps."""
    t = stage.tones
    tall = band.bottom - band.top
    fx = stage.focus[0]
    snow = t.light if not t.night else mix(t.light, t.sky[1], 0.12)
    hills = [
        (fx + 0.36, 0.5, 0.32, 0.1, 0.46),
        (fx - 0.38, 0.52, 0.34, 0.2, 0.48),
        (fx, 0.62, 0.42, 0.45, 0.66),
        (fx - 0.66, 0.84, 0.4, 0.65, 0.44),
        (fx + 0.62, 0.88, 0.44, 0.7, 0.44),
    ]
    if stage.width > 1.3:
        hills += [(fx + 1.1, 0.7, 0.42, 0.5, 0.5), (fx - 1.1, 0.7, 0.42, 0.5, 0.5)]
    v = np.linspace(-1, 1, 41)
    dome = np.cos(v * np.pi / 2) ** 1.15
    for x, foot, half, depth, lift in hills:
        y, height = band.top + tall * (foot + 0.2), tall * lift
        ys, px = y - height * dome, x + half * v * 1.25
        colour = mix(t.land(0.35 + 0.6 * depth), t.main, 0.2)
        with stage.layer(depth=depth, mist=0.2, focal=depth == 0.45) as pen:
            pen.fill(under(px, ys, y + 0.01), colour)
            lee = [(px[-1], y + 0.01), (x + 0.42 * half, y + 0.01), (x + 0.2 * half, y - 0.45 * height)]
            pen.fill([*np.stack((px[20:], ys[20:]), 1).tolist(), *lee], shade(colour, 0.14))
            pen.rect(-OVER, y - 0.004, stage.width + OVER, stage.height + 0.5, colour)
            cap = slice(9, 32)
            wave = 0.045 * np.sin(np.arange(23) * 1.1 + 6 * x) + 0.03 * np.sin(np.arange(23) * 2.6 + x)
            hem = np.maximum(y - height * (0.6 + wave), ys[cap])
            top = np.stack((px[cap], ys[cap] - 0.004), 1)
            low = np.stack((px[cap], hem), 1)
            pen.fill(np.concatenate((top, low[::-1])), snow)
            pen.fill(np.concatenate((top[11:], low[:14:-1])), shade(snow, 0.13))
    xs = across(stage, 24)
    with stage.layer(depth=0.95, mist=0.1) as pen:
        pen.fill(
            under(xs, band.bottom - 0.04 * tall + 0.03 * np.sin(xs * 2.3 + 1), stage.height + 0.5),
            shade(snow, 0.05),
        )


def desert(stage: Stage, band: Band, dice: Dice) -> None:
    """Dunes: a sinuous crest between a lit and a shadowed face."""
    t = stage.tones
    tall = band.bottom - band.top
    fx = stage.focus[0]
    for i, (dx, v, lift, half) in enumerate(
        ((-0.4, 0.2, 0.2, 0.7), (0.0, 0.42, 0.42, 0.85), (0.55, 0.68, 0.3, 0.8), (-0.5, 0.95, 0.3, 0.95))
    ):
        k = i / 3
        x, y = fx + dx, band.top + tall * (v + 0.1)
        top = y - tall * lift
        lit = mix(mix(t.second, t.light, 0.25), t.far, 0.5 - 0.4 * k)
        if t.night:
            lit = mix(lit, t.sky[1], 0.45)
        dark = shade(mix(lit, t.near, 0.5), 0.28)
        left = smooth([(x - half * 1.6, y + 0.04), (x - half * 0.7, y - tall * lift * 0.45), (x, top)])
        right = smooth([(x, top), (x + half * 0.55, y - tall * lift * 0.5), (x + half * 1.5, y + 0.02)])
        crest = smooth(
            [
                (x, top),
                (x + 0.05, top + tall * 0.16),
                (x - 0.1, top + tall * 0.3),
                (x + 0.06, top + tall * 0.5),
                (x - 0.06, stage.height + 0.5),
            ]
        )
        with stage.layer(depth=0.2 + 0.7 * k, mist=0.25, focal=i == 1) as pen:
            pen.rect(-OVER, y, stage.width + OVER, stage.height + 0.5, lit)
            pen.fill(
                [
                    *left.tolist(),
                    *right.tolist(),
                    (x + half * 1.5, stage.height + 0.5),
                    (x - half * 1.6, stage.height + 0.5),
                ],
                lit,
            )
            pen.fill([*right.tolist(), (x + half * 1.5, stage.height + 0.5), *crest[::-1].tolist()], dark)
            if i >= 2:
                for j in range(int(4 * stage.amount)):
                    ry = y + 0.03 + j * 0.045
                    pen.stroke(
                        smooth([(x - half, ry + 0.03), (x - half * 0.6, ry), (x - half * 0.25, ry + 0.025)]),
                        0.004,
                        shade(lit, 0.12),
                        0.008,
                    )


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
            x = -OVER
            while x < stage.width + OVER:
                w = float(dice.uniform(0.075, 0.15)) * (0.8 + 0.3 * k)
                near = np.exp(-(((x + w / 2 - fx) / 0.4) ** 2))
                h = tall * (0.82 - 0.2 * i) * (0.4 + 0.6 * float(near)) * float(dice.uniform(0.66, 1.05))
                _tower(
                    pen, x, band.bottom, w, h, colour, pane, int(dice.integers(0, 5)), k, dice, stage.height
                )
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


LANDSCAPES: Final[dict[str, Landscape]] = {
    "mountains": Landscape("far", mountains),
    "snowy_hills": Landscape("far", snowy_hills),
    "city": Landscape("far", city),
    "desert": Landscape("near", desert),
}
