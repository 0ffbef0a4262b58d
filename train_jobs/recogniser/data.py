"""Pictures with exact labels: prompts are made, planned and drawn; the scene tells what is in them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.contracts import ASPECTS, content_id
from actors.generator.procedural import Scene, plan, render
from actors.judge.measured.network import CLASSES
from actors.judge.measured.recogniser import fit, input_size
from actors.pixels import Pixels
from actors.vocabulary import Facet, keys, phrases
from train_jobs.recogniser.where import where

CELLS = 12
"""Cells a side of the map's labels."""
SIDES = (128, 512, 256, 512)
"""Long sides of the pictures that are looked at, px, in turn: a style's marks differ with the size that is
brought down to the network's, and most pictures in use are of 512."""

HELD_OUT_SHARE = 7
"""One in so many combinations of style, palette and layout is kept out of training."""
LOOSE_JITTER = 0.06
"""Displacement of the focal mass, as a fraction of the frame, from which a layout counts as loose."""
_PINNED: tuple[Facet, ...] = ("palette", "style", "layout", "light", "density", "time", "season")
_EN = (
    *("winter", "notes", "city", "walk", "tea", "history", "open", "day", "silent", "river", "stories"),
    *("annual", "report", "of", "the", "blue", "hour", "letters", "garden", "night", "market", "quiet"),
    *("space", "station", "poems", "new", "year", "small", "things", "journal", "field", "guide"),
)
_TITLE_WORDS = {
    "en": [word.title() for word in _EN],
    "zh": list("春秋山水城市漫步茶史深海年度报告新快乐冬至中秋开放日书信花园夜读远方来客风物志人间草木手记"),
}


@dataclass(frozen=True)
class Group:
    """Pictures of one shape, with their labels. The arrays have one row a picture.

    Pictures are uint8 [n, height, width, 3]; subjects uint8 [n, subjects] 0 or 1; facets int64 [n, facets]
    class indexes in the order of `CLASSES`; pinned bool [n], the prompt left no facet open; where int8
    [n, subjects, cells, cells] as `where` gives it.
    """

    pictures: Pixels
    subjects: NDArray[np.uint8]
    facets: NDArray[np.int64]
    pinned: NDArray[np.bool_]
    where: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.pictures)


Split = dict[tuple[int, int], Group]
"""Pictures by the shape they are fitted to."""


def is_held_out(scene: Scene) -> bool:
    """Whether a scene's combination of style, palette and layout is kept out of training."""
    return int(content_id(scene.style, scene.palette, scene.layout), 16) % HELD_OUT_SHARE == 0


def make_prompt(dice: random.Random) -> tuple[str, bool]:
    """A random prompt of 0 to 2 subjects, and whether it pins every facet down."""
    lang = dice.choice(("en", "zh"))
    pinned = dice.random() < 0.72
    clauses = [
        dice.choice(phrases("subject", key, "zh" if lang == "zh" else "en")) for key in _subjects(dice)
    ]
    for facet in _PINNED:
        share = 0.7 if facet == "season" else 1.0 if pinned else 0.5
        if dice.random() < share:
            clauses.append(phrases(facet, dice.choice(keys(facet)), "zh" if lang == "zh" else "en")[0])
    if dice.random() < 0.45:
        clauses.append(f"《{make_title(dice, lang)}》")
    dice.shuffle(clauses)
    return ("，" if lang == "zh" else ", ").join(clauses) or "abstract", pinned


def make_title(dice: random.Random, lang: str) -> str:
    """A random title of 1 to 5 English words or 2 to 8 Chinese characters."""
    words = _TITLE_WORDS[lang]
    if lang == "zh":
        return "".join(dice.choices(words, k=dice.randint(2, 8)))
    return " ".join(dice.choices(words, k=dice.randint(1, 5)))


def make_split(count: int, *, held_out: bool, seed: int, sides: Sequence[int] = SIDES) -> Split:
    """Draw `count` labelled pictures, all inside or all outside the held-out combinations.

    Args:
        sides: long sides of the pictures, px, in turn.
    """
    rows: dict[tuple[int, int], list[_Row]] = {}
    for index, (scene, pinned) in enumerate(_scenes(count, held_out, seed)):
        pixels = render(scene, sides[index % len(sides)])
        shape = input_size(pixels.shape[1], pixels.shape[0])
        row = (fit(pixels, shape), *labels(scene), np.bool_(pinned), where(scene, CELLS))
        rows.setdefault(shape, []).append(row)
    return {
        shape: Group(*(np.stack(column) for column in zip(*mine, strict=True)))
        for shape, mine in sorted(rows.items())
    }


_Row = tuple[Pixels, NDArray[np.uint8], NDArray[np.int64], np.bool_, NDArray[np.int8]]


def _scenes(count: int, held_out: bool, seed: int) -> Iterator[tuple[Scene, bool]]:
    dice = random.Random(seed)
    while count:
        text, pinned = make_prompt(dice)
        scene = plan(text, dice.choice(list(ASPECTS)), dice.randrange(2**31))
        if is_held_out(scene) == held_out:
            count -= 1
            yield scene, pinned


def labels(scene: Scene) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Subjects as 0 or 1, and the class index of each facet."""
    jitter = scene.layout_jitter
    loose = jitter is not None and (jitter.dx**2 + jitter.dy**2) ** 0.5 > LOOSE_JITTER
    named = {
        "style": scene.style,
        "layout": "loose" if loose else scene.layout,
        "palette": "muddy" if scene.palette_mix else scene.palette,
        "light": scene.light,
        "time": scene.time,
        "season": scene.season or "none",
    }
    subjects = np.array([key in scene.subjects for key in keys("subject")], np.uint8)
    return subjects, np.array([names.index(named[facet]) for facet, names in CLASSES.items()], np.int64)


def _subjects(dice: random.Random) -> Sequence[str]:
    count = dice.choices((0, 1, 2), (0.12, 0.43, 0.45))[0]
    return dice.sample(keys("subject"), count)
