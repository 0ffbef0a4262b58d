"""Who stands where: subjects on the stage, from far to near."""

from __future__ import annotations

import numpy as np

from actors.contracts import derive_seed
from actors.generator.procedural import animals, buildings, heavens, lands, objects, plants
from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import apart, luma, mix
from actors.generator.procedural.lands import pool, swells
from actors.generator.procedural.layouts import Arrangement
from actors.generator.procedural.palettes import Tones, shade
from actors.generator.procedural.pen import Image, Pen, smooth
from actors.generator.procedural.scene import Scene
from actors.generator.procedural.stage import Band, Landscape, Stage

HEROES: dict[str, Hero] = {
    **heavens.HEROES,
    **buildings.HEROES,
    **plants.HEROES,
    **animals.HEROES,
    **objects.HEROES,
    **lands.HEROES,
}
LANDSCAPES: dict[str, Landscape] = {**heavens.LANDSCAPES, **lands.LANDSCAPES}


def dice(scene: Scene, *name: str) -> Dice:
    """A stream of random numbers for one part of the drawing."""
    return np.random.default_rng(derive_seed(scene.seed, "draw", *name))


def compose(stage: Stage, scene: Scene) -> None:
    """Draw the scene's subjects."""
    lands_ = [key for key in scene.subjects if key in LANDSCAPES]
    heroes = [key for key in scene.subjects if key in HEROES]
    if not scene.subjects:
        abstract(stage, scene)
        return
    early = [key for key in heroes if key in ("moon", "sun")] if lands_ else []
    _landscapes(stage, scene, [key for key in lands_ if LANDSCAPES[key].slot == "sky"], len(lands_))
    seats = _seats(stage, scene, heroes, bool(lands_))
    for key in early:
        _hero(stage, scene, key, *seats[key])
    _landscapes(stage, scene, [key for key in lands_ if LANDSCAPES[key].slot != "sky"], len(lands_))
    if not any(LANDSCAPES[key].slot != "sky" for key in lands_):
        _ground(stage, scene, heroes)
    for key in heroes:
        if key not in early:
            _hero(stage, scene, key, *seats[key])


def _landscapes(stage: Stage, scene: Scene, keys: list[str], total: int) -> None:
    keys = sorted(keys, key=lambda key: {"sky": 0, "far": 1, "near": 2}[LANDSCAPES[key].slot])
    heroic = any(key in HEROES for key in scene.subjects)
    h, horizon = stage.height, stage.arrangement.horizon
    for i, key in enumerate(keys):
        slot = LANDSCAPES[key].slot
        if slot == "sky":
            band = Band(0.0, horizon)
        elif total == 1 or len(keys) == 1:
            top = horizon - 0.42 * h if slot == "far" else horizon - (0.12 * h if key == "desert" else 0.0)
            bottom = h * 0.98
            if heroic and slot == "far":
                top, bottom = horizon - 0.45 * h, horizon + 0.12 * h
            band = Band(max(0.06, top), bottom)
        elif i == 0:
            band = Band(max(0.05, horizon - 0.42 * h), horizon + 0.02)
        else:
            band = Band(horizon - 0.02, h)
        LANDSCAPES[key].paint(stage, band, dice(scene, key))


def _ground(stage: Stage, scene: Scene, heroes: list[str]) -> None:
    seats = {HEROES[key].seat for key in heroes}
    horizon, draw = stage.arrangement.horizon, dice(scene, "ground")
    if "water" in seats:
        pool(stage, horizon)
    elif "table" in seats:
        t = stage.tones
        with stage.layer(depth=0.5) as pen:
            pen.rect(-0.4, horizon, stage.width + 0.4, stage.height + 0.5, mix(t.near, t.second, 0.35))
        with stage.layer(depth=0.6) as pen:
            pen.rect(-0.4, horizon, stage.width + 0.4, horizon + 0.02, mix(t.light, t.second, 0.5))
    elif "ground" in seats:
        swells(stage, horizon, draw)
    else:
        swells(stage, stage.height * 0.86, draw, 2, 0.025)


def _seats(stage: Stage, scene: Scene, keys: list[str], landed: bool) -> dict[str, tuple[float, float, float]]:
    """Centre and scale of each hero."""
    a = stage.arrangement
    n = len(keys)
    seats: dict[str, tuple[float, float, float]] = {}
    for i, key in enumerate(keys):
        hero = HEROES[key]
        x, y = a.focus
        reach = a.reach * (1.12 if n == 1 else (0.86, 0.66)[min(i, 1)] if n == 2 else 0.56)
        if n > 1 or (landed and n == 1 and False):
            gap = min(0.27 * a.width, 0.36)
            x = x - a.side * -0.0
            left = (i % 2 == 0) == (a.side < 0)
            cx = a.width / 2 if a.quiet is False else x
            x = cx + (-gap if left else gap)
            if a.quiet:
                x = x if i == 0 else a.width - a.focus[0]
                x = a.focus[0] if i == 0 else x
        size = reach / max(hero.width, hero.height)
        size = min(size, a.width * (0.9 if n == 1 else 0.46) / hero.width, a.height * 0.62 / hero.height)
        y = _level(hero, key, y, size, a, i, n, landed)
        half = hero.width * size / 2
        x = min(max(x, half * 0.9 + 0.02), a.width - half * 0.9 - 0.02)
        if a.slope:
            y += a.slope * (x - a.width / 2) * (0.8 if hero.seat != "sky" else 0.5)
        seats[key] = (x, y, size)
    return seats


def _level(hero: Hero, key: str, y: float, size: float, a: Arrangement, i: int, n: int, landed: bool) -> float:
    tall = hero.height * size
    if hero.seat in ("ground", "table"):
        foot = max(a.horizon + 0.07 * a.height + 0.02 * i, y + tall * 0.44)
        return min(foot, a.height * 0.95) - tall / 2
    if hero.seat == "water":
        foot = a.horizon + (a.height - a.horizon) * (0.42 if key != "koi" else 0.9)
        return min(max(foot, y + tall * 0.35), a.height * 0.97) - tall / 2
    if hero.seat == "hang":
        return y - 0.06 * a.height
    lift = 0.1 * a.height if (landed or n > 1) else 0.04 * a.height
    if landed and not a.quiet:
        lift = max(lift, y - (a.horizon - 0.36 * a.height))
    return max(tall / 2 + 0.04, y - lift)


def _hero(stage: Stage, scene: Scene, key: str, x: float, y: float, size: float) -> None:
    hero = HEROES[key]
    t = stage.tones
    behind = stage.bare_sky(0.6)
    tones = t.against(behind)
    flip = stage.arrangement.side > 0 and not hero.symmetric
    with stage.layer(depth=0.75, focal=True, level=True) as pen:
        hero.paint(pen.at(x, y, size, 0.0, flip), tones, dice(scene, key))


def abstract(stage: Stage, scene: Scene) -> None:
    """Overlapping translucent shapes for a prompt without a known subject."""
    t = stage.tones
    draw = dice(scene, "abstract")
    hues = [t.main, t.second, t.accent, mix(t.main, t.second, 0.5), t.land(0.6)]
    fx, fy = stage.focus
    for i in range(5):
        with stage.layer(depth=0.2 + 0.15 * i, mist=0.5, focal=i > 2) as pen:
            x, y = fx + float(draw.normal(0, 0.3)), fy + float(draw.normal(0, 0.25))
            r = float(draw.uniform(0.16, 0.42))
            pts = [(x + r * k * np.cos(a), y + r * k * np.sin(a)) for a, k in zip(np.linspace(0, 5.4, 7), draw.uniform(0.6, 1.2, 7), strict=True)]
            pen.fill(smooth(pts, True), hues[int(draw.integers(0, len(hues)))])


def frame(canvas: Image, a: Arrangement, t: Tones, scene: Scene) -> None:
    """Draw the border of a framed layout, with a plate for the title."""
    assert a.panel is not None
    x0, y0, x1, y1 = a.panel
    mat = mix(t.sky[2], t.light, 0.55)
    if luma(mat) < 0.5:
        mat = shade(t.sky[0], 0.3)
    scale = min(canvas.shape[:2])
    pen = Pen.over(canvas, scale)
    w, h = a.width, a.height
    for box in ((-0.1, -0.1, w + 0.1, y0), (-0.1, y1, w + 0.1, h + 0.1), (-0.1, y0 - 0.01, x0, y1 + 0.01), (x1, y0 - 0.01, w + 0.1, y1 + 0.01)):
        pen.rect(*box, mat)
    line = apart(t.main, mat, 0.3)
    for gap, width in ((0.014, 0.005), (0.03, 0.009)):
        _outline(pen, (x0 - gap, y0 - gap, x1 + gap, y1 + gap), width, line)


def _outline(pen: Pen, box: tuple[float, float, float, float], width: float, colour: tuple[float, float, float]) -> None:
    x0, y0, x1, y1 = box
    for side in ((x0, y0, x1, y0 + width), (x0, y1 - width, x1, y1), (x0, y0, x0 + width, y1), (x1 - width, y0, x1, y1)):
        pen.rect(*side, colour)


