"""Who stands where: subjects on the stage, from far to near."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from actors.contracts import derive_seed
from actors.generator.procedural import animals, buildings, heavens, lands, objects, plants, waters
from actors.generator.procedural.art import Dice, Hero
from actors.generator.procedural.colours import RGB, apart, luma, mix
from actors.generator.procedural.lands import swells
from actors.generator.procedural.layouts import Arrangement, Box
from actors.generator.procedural.palettes import Tones, shade
from actors.generator.procedural.pen import Image, Pen, arc
from actors.generator.procedural.scene import Scene
from actors.generator.procedural.seasons import air, clutter, growth, streaks
from actors.generator.procedural.seating import Place, seat
from actors.generator.procedural.stage import Band, Landscape, Stage
from actors.generator.procedural.waters import pool

HEROES: dict[str, Hero] = {
    **heavens.HEROES,
    **buildings.HEROES,
    **plants.HEROES,
    **animals.HEROES,
    **objects.HEROES,
    **waters.HEROES,
}
LANDSCAPES: dict[str, Landscape] = {**heavens.LANDSCAPES, **lands.LANDSCAPES, **waters.LANDSCAPES}


_MIRRORS = ("boat", "bridge", "island")
"""Heroes whose mirror image lies below them in calm water."""


def dice(scene: Scene, *name: str) -> Dice:
    """A stream of random numbers for one part of the drawing."""
    return np.random.default_rng(derive_seed(scene.seed, "draw", *name))


def compose(stage: Stage, scene: Scene) -> None:
    """Draw everything that stands on the stage."""
    streaks(stage, dice(scene, "streaks"))
    if scene.density == "cluttered":
        clutter(stage, dice(scene, "clutter"))
    if scene.subjects:
        _subjects(stage, scene)
    else:
        abstract(stage, scene)
    air(stage, dice(scene, "air"), scene.season)


def _subjects(stage: Stage, scene: Scene) -> None:
    wide = [key for key in scene.subjects if key in LANDSCAPES]
    heroes = [key for key in scene.subjects if key in HEROES]
    solid = [key for key in wide if LANDSCAPES[key].slot != "sky"]
    places = dict(
        zip(heroes, seat([HEROES[key] for key in heroes], stage.arrangement, bool(wide)), strict=True)
    )
    early = [key for key in heroes if key in ("moon", "sun") and solid]
    if heroes:
        stage.focus = _opposite(stage.arrangement)
    _landscapes(stage, scene, [key for key in wide if key not in solid], bool(heroes))
    for key in early:
        _hero(stage, scene, key, places[key])
    _landscapes(stage, scene, solid, bool(heroes))
    if not solid:
        _ground(stage, scene, places)
    elif _afloat(heroes) and not any(key in waters.LANDSCAPES for key in solid):
        horizon = stage.arrangement.horizon
        pool(stage, horizon + (0.5 if "desert" in solid else 0.22) * (stage.height - horizon))
    for key in sorted((key for key in heroes if key not in early), key=lambda key: _foot(key, places[key])):
        if not set(solid) <= {"desert", "river"} or _afloat(heroes):
            _footing(stage, key, places[key])
        _hero(stage, scene, key, places[key])


def _foot(key: str, place: Place) -> float:
    """Where a hero touches the ground: what stands lower is nearer."""
    return place.y + HEROES[key].height * place.size / 2


def _opposite(a: Arrangement) -> tuple[float, float]:
    """Where a landscape has its focus when a hero has the layout's."""
    x = a.width - a.focus[0]
    if abs(x - a.width / 2) < 0.12 * a.width:
        x = a.width * (0.5 + 0.27 * -a.side) if not a.mirrored else a.width * 0.2
    return x, min(a.focus[1], 0.36 * a.height)


def _landscapes(stage: Stage, scene: Scene, keys: list[str], heroic: bool) -> None:
    keys = sorted(keys, key=lambda key: ("sky", "far", "near").index(LANDSCAPES[key].slot))
    shared = any(key in LANDSCAPES and LANDSCAPES[key].slot == "sky" for key in scene.subjects)
    for i, key in enumerate(keys):
        band = _band(stage, key, i, len(keys), heroic)
        if shared and LANDSCAPES[key].slot == "far":
            band = Band(band.top + 0.5 * (stage.arrangement.horizon - band.top), band.bottom)
        LANDSCAPES[key].paint(stage, band, dice(scene, key))


def _band(stage: Stage, key: str, index: int, total: int, heroic: bool) -> Band:
    """The height a landscape gets, alone or as one of several, with or without a hero in front."""
    slot = LANDSCAPES[key].slot
    h, horizon = stage.height, stage.arrangement.horizon
    quiet = stage.arrangement.quiet
    if slot == "sky":
        return Band(0.0, horizon)
    if total == 1 and not heroic:
        rise = {"far": 0.42, "near": 0.12}[slot]
        rise = {"desert": 0.2, "lake": 0.16, "river": 0.2, "sea": 0.06}.get(key, rise) * (
            0.5 if quiet else 1.0
        )
        return Band(max(0.06, horizon - rise * h), h * 0.99)
    if total == 1:
        return (
            Band(max(0.06, horizon - 0.4 * h), horizon + 0.16 * h)
            if slot == "far"
            else Band(horizon - 0.02 - 0.14 * h * (key == "desert"), h)
        )
    if index == 0:
        return Band(max(0.05, horizon - 0.42 * h), horizon + 0.03 * h)
    return Band(horizon - 0.01, h)


def _afloat(heroes: list[str]) -> bool:
    return any(HEROES[key].seat == "water" for key in heroes)


def _footing(stage: Stage, key: str, place: Place) -> None:
    """A knoll under what cannot stand on the landscape or the water behind it."""
    hero = HEROES[key]
    if hero.seat not in ("ground", "table"):
        return
    t = stage.tones
    half, foot = hero.width * place.size * 0.5, _foot(key, place)
    xs = np.linspace(-1, 1, 21)
    ys = foot - 0.012 + 0.2 * np.abs(xs) ** 2.2
    spread = np.stack((place.x + xs * (half + 0.22), ys), 1)
    with stage.layer(depth=0.7, level=True) as pen:
        pen.fill(
            [
                *spread.tolist(),
                (place.x + half + 0.34, stage.height + 0.4),
                (place.x - half - 0.34, stage.height + 0.4),
            ],
            shade(t.land(0.95), 0.08),
        )


def _ground(stage: Stage, scene: Scene, places: dict[str, Place]) -> None:
    """Plain ground, water or a table for heroes that bring no landscape, reaching up to the farthest foot."""
    seats = {HEROES[key].seat for key in places}
    feet = [
        _foot(key, place) - 0.035 for key, place in places.items() if HEROES[key].seat in ("ground", "table")
    ]
    tilt = 0.5 * abs(stage.arrangement.slope) * stage.width
    horizon = min([stage.arrangement.horizon, *(foot + tilt for foot in feet)])
    draw = dice(scene, "ground")
    if scene.subjects == ("koi",):
        pool(stage, -0.2 if not stage.arrangement.quiet else stage.height * 0.5)
    elif "water" in seats:
        pool(stage, horizon)
    elif "table" in seats:
        t = stage.tones
        with stage.layer(depth=0.5) as pen:
            pen.rect(-0.4, horizon, stage.width + 0.4, stage.height + 0.5, mix(t.near, t.second, 0.35))
        with stage.layer(depth=0.6) as pen:
            pen.rect(-0.4, horizon, stage.width + 0.4, horizon + 0.02, mix(t.light, t.second, 0.5))
    elif "ground" in seats:
        swells(stage, horizon, draw, 2 if stage.amount < 0.8 else 3 if stage.amount < 1.5 else 4)
        growth(stage, draw, horizon)
    else:
        swells(stage, stage.height * (0.8 if stage.arrangement.slope else 0.86), draw, 2, 0.025)


def _hero(stage: Stage, scene: Scene, key: str, place: Place) -> None:
    hero = HEROES[key]
    tones = stage.tones.against(stage.bare_sky(0.55))
    flip = place.flip and not hero.symmetric
    foot = _foot(key, place)
    if hero.seat in ("ground", "table"):
        _shadow(stage, place.x, foot, hero.width * place.size * 0.46)
    elif key in _MIRRORS and "waves" not in scene.subjects:
        with stage.layer(depth=0.6, mist=0.5, level=True) as pen:
            below = pen.at(place.x, foot + hero.height * place.size * 0.47, place.size, 180.0, not flip)
            hero.paint(below, _drowned(tones), dice(scene, key))
    with stage.layer(depth=0.75, focal=True, level=True) as pen:
        hero.paint(pen.at(place.x, place.y, place.size, 0.0, flip), tones, dice(scene, key))


def _shadow(stage: Stage, x: float, foot: float, half: float) -> None:
    """A flat shadow that sets a hero on its ground."""
    colour = shade(stage.tones.land(0.62), 0.3)
    with stage.layer(depth=0.5, level=True) as pen:
        pen.oval(x + half * 0.1, foot - 0.004, half * 1.12, 0.022, colour)


def _drowned(t: Tones) -> Tones:
    """The tones of a mirror image in the water."""
    deep = shade(t.water, 0.08)

    def sunk(colour: RGB) -> RGB:
        return mix(colour, deep, 0.78)

    return replace(
        t,
        main=sunk(t.main),
        second=sunk(t.second),
        accent=sunk(t.accent),
        light=sunk(t.light),
        dark=sunk(t.dark),
        near=sunk(t.near),
    )


def abstract(stage: Stage, scene: Scene) -> None:
    """A quilt of quarter circles, triangles and bars, for a prompt without a known subject."""
    t = stage.tones
    draw = dice(scene, "abstract")
    hues = (t.main, t.second, t.accent, t.land(0.7), mix(t.main, t.light, 0.45), t.dark)
    cell = stage.reach * (0.36 if not stage.arrangement.quiet else 0.42)
    columns = max(2, round(stage.width * 0.76 / cell)) if not stage.arrangement.quiet else 2
    rows = max(2, round(stage.height * 0.5 / cell)) if not stage.arrangement.quiet else 2
    x0, y0 = stage.focus[0] - columns * cell / 2, stage.focus[1] - rows * cell / 2
    for row in range(rows):
        with stage.layer(depth=0.3 + 0.5 * row / rows, focal=True) as pen:
            for column in range(columns):
                turn = 90.0 * int(draw.integers(0, 4))
                local = pen.at(x0 + (column + 0.5) * cell, y0 + (row + 0.5) * cell, cell, turn)
                pick = draw.permutation(len(hues))
                _tile(local, int(draw.integers(0, 5)), hues[pick[0]], hues[pick[1]])


def _tile(pen: Pen, kind: int, ground: RGB, figure: RGB) -> None:
    """One square of the quilt, in a unit box around the origin."""
    pen.rect(-0.5, -0.5, 0.5, 0.5, ground)
    if kind == 0:
        pen.fill([*arc(-0.5, -0.5, 1.0, 1.0, 0, 90.01, 20).tolist(), (-0.5, 0.5), (-0.5, -0.5)], figure)
    elif kind == 1:
        pen.fill([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)], figure)
    elif kind == 2:
        for k in (-0.5, 0.0):
            pen.rect(-0.5, k, 0.5, k + 0.25, figure)
    elif kind == 3:
        leaf = [
            *arc(-0.5, -0.5, 1.0, 1.0, 0, 90.01, 14).tolist(),
            *arc(0.5, 0.5, 1.0, 1.0, 180, 270.01, 14).tolist(),
        ]
        pen.fill(leaf, figure)
    else:
        pen.fill([(0.0, -0.5), (0.5, 0.0), (0.0, 0.5), (-0.5, 0.0)], figure)


def seal(canvas: Image, a: Arrangement) -> None:
    """A red seal in the corner away from the focal mass; its marks are no writing."""
    pen = Pen.over(canvas, min(canvas.shape[:2]))
    x = 0.12 if a.focus[0] > a.width / 2 else a.width - 0.12
    p = pen.at(x, a.height - 0.12, 0.085)
    red, gap = (172.0, 44.0, 36.0), (240.0, 226.0, 208.0)
    p.rect(-0.5, -0.5, 0.5, 0.5, red)
    for shape in (
        (-0.3, -0.3, -0.18, 0.32),
        (-0.02, -0.32, 0.34, -0.2),
        (0.0, -0.04, 0.3, 0.07),
        (0.1, -0.2, 0.2, 0.32),
    ):
        p.rect(*shape, gap)


def frame(canvas: Image, a: Arrangement, t: Tones, scene: Scene) -> None:
    """Draw the border of a framed layout, with a plate for the title."""
    assert a.panel is not None
    x0, y0, x1, y1 = a.panel
    mat = mix(t.sky[2], t.light, 0.55)
    if luma(t.sky[0]) < 0.36:
        mat = shade(t.sky[0], 0.25)
    scale = min(canvas.shape[:2])
    pen = Pen.over(canvas, scale)
    w, h = a.width, a.height
    for box in (
        (-0.1, -0.1, w + 0.1, y0),
        (-0.1, y1, w + 0.1, h + 0.1),
        (-0.1, y0 - 0.01, x0, y1 + 0.01),
        (x1, y0 - 0.01, w + 0.1, y1 + 0.01),
    ):
        pen.rect(*box, mat)
    line = apart(t.main, mat, 0.3)
    if dice(scene, "frame").random() < 0.5 and y1 - y0 > 0.8 * (x1 - x0):
        _arch(pen, a.panel, mat, line)
    for gap, width in ((0.014, 0.005), (0.03, 0.009)):
        _outline(pen, (x0 - gap, y0 - gap, x1 + gap, y1 + gap), width, line)


def _arch(pen: Pen, panel: Box, mat: RGB, line: RGB) -> None:
    """Round the panel's upper edge."""
    x0, y0, x1, _ = panel
    rx, ry = (x1 - x0) / 2, (x1 - x0) * 0.3
    cx, cy = (x0 + x1) / 2, y0 + ry
    crown = arc(cx, cy, rx, ry, 180, 360.01, 48)
    half = len(crown) // 2
    pen.fill([*crown[: half + 1].tolist(), (cx, y0 - 0.005), (x0 - 0.005, y0 - 0.005), (x0 - 0.005, cy)], mat)
    pen.fill([*crown[half - 1 :].tolist(), (x1 + 0.005, cy), (x1 + 0.005, y0 - 0.005), (cx, y0 - 0.005)], mat)
    pen.stroke(crown, 0.008, line)


def _outline(
    pen: Pen, box: tuple[float, float, float, float], width: float, colour: tuple[float, float, float]
) -> None:
    x0, y0, x1, y1 = box
    for side in (
        (x0, y0, x1, y0 + width),
        (x0, y1 - width, x1, y1),
        (x0, y0, x0 + width, y1),
        (x1 - width, y0, x1, y1),
    ):
        pen.rect(*side, colour)
