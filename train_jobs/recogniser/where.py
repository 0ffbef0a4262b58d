"""Where each subject of a scene stands, cell by cell: what the recogniser's map is taught."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actors.generator.procedural import Scene
from actors.generator.procedural.compose import HEROES, LANDSCAPES
from actors.generator.procedural.layouts import arrange
from actors.generator.procedural.seating import seat
from actors.vocabulary import keys

HERE, ABSENT, UNKNOWN = 1, 0, -1
_CORE = 0.75
"""Share of a hero's half extent that surely shows it."""
_RIM = 1.25
"""Share beyond which it surely does not show."""


def where(scene: Scene, cells: int) -> NDArray[np.int8]:
    """[subjects, cells, cells] of `HERE`, `ABSENT` or `UNKNOWN`; cells divide the frame evenly."""
    arrangement = arrange(scene)
    found = np.zeros((len(keys("subject")), cells, cells), np.int8)
    xs = (np.arange(cells)[None] + 0.5) / cells * arrangement.width
    ys = (np.arange(cells)[:, None] + 0.5) / cells * arrangement.height
    heroes = [key for key in scene.subjects if key in HEROES]
    wide = [key for key in scene.subjects if key in LANDSCAPES]
    covered = np.zeros((cells, cells), bool)
    for key, place in zip(heroes, seat([HEROES[k] for k in heroes], arrangement, bool(wide)), strict=True):
        half_width, half_height = HEROES[key].width * place.size / 2, HEROES[key].height * place.size / 2
        mine = found[keys("subject").index(key)]
        for x in (place.x, arrangement.width - place.x) if arrangement.mirrored else (place.x,):
            away = np.maximum(np.abs(xs - x) / half_width, np.abs(ys - place.y) / half_height)
            mine[(away < _RIM + 0.2) & (mine == ABSENT)] = UNKNOWN
            mine[away < _CORE] = HERE
            covered |= away < _CORE
    rows = np.broadcast_to(ys, covered.shape)
    for key in wide:
        mine = found[keys("subject").index(key)]
        mine[:] = UNKNOWN
        slot, horizon, height = LANDSCAPES[key].slot, arrangement.horizon, arrangement.height
        top, bottom = {
            "sky": (0.0, horizon),
            "far": (horizon - 0.3 * height, horizon + 0.02),
            "near": (horizon, height),
        }[slot]
        mine[(rows > top) & (rows < bottom) & ~covered] = HERE
        if slot != "sky":
            mine[rows < top - 0.3 * height] = ABSENT
    return found
