"""What the towers are taught: pictures and what the recogniser sees in them, requests and what they name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from actors.contracts import ASPECTS, Lang, Query, derive_seed
from actors.generator.procedural import plan, render
from actors.judge.measured.craft import craft
from actors.judge.measured.recogniser import Recogniser
from actors.judge.measured.title import find_title
from actors.judge.measured.tone import tone
from actors.pixels import Pixels
from actors.policy import grammar
from actors.scorer.architecture import ImageShape
from actors.scorer.patches import Grid, Patches, patchify
from actors.scorer.request import request_text
from train_jobs.towers.concepts import FACETS, asked

LONG_SIDE = 256
_LANGS: tuple[Lang, ...] = ("en", "zh")
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Lesson:
    """One picture and what its teacher says of it.

    `seen` [SEEN] 0..1, each coordinate as `concepts` has it; `places` uint8 [rows, cols, subjects], 255
    times the chance that a patch shows the subject.
    """

    picture: Patches
    seen: Float
    places: NDArray[np.uint8]


def make_query(seed: int, index: int) -> Query:
    """A request of the grammar."""
    return grammar.query(seed, index, list(ASPECTS), _LANGS)


def make_lessons(count: int, seed: int, shape: ImageShape) -> list[Lesson]:
    """Draw and look at `count` pictures, two thirds of them of prompts that pin every facet down."""
    teacher = Recogniser()
    return [_lesson(*drawn, teacher, shape) for drawn in _drawings(count, seed)]


def make_readings(count: int, seed: int) -> tuple[list[str], Float]:
    """`count` requests and the concepts that each names, [count, CONCEPTS]."""
    queries = [make_query(seed, index) for index in range(count)]
    return [request_text(query) for query in queries], np.stack([asked(query) for query in queries])


def _drawings(count: int, seed: int) -> Iterator[tuple[Pixels, str | None]]:
    for index in range(count):
        dice = random.Random(derive_seed(seed, "drawing", index))
        query = make_query(seed, index)
        text = grammar.prompt(query, seed, index) if dice.random() < 0.67 else request_text(query)
        yield render(plan(text, query.aspect, dice.randrange(2**31)), LONG_SIDE), query.title


def _lesson(pixels: Pixels, title: str | None, teacher: Recogniser, shape: ImageShape) -> Lesson:
    picture, seen = patchify(pixels, shape), teacher.logits(pixels)
    facets = [seen[facet].softmax(0) for facet in FACETS]
    classes = torch.cat([torch.sigmoid(seen["subject"]), *facets]).numpy()
    return Lesson(
        picture, np.concatenate([classes, _measures(pixels, title)]), _places(seen["map"], picture.grid)
    )


def _places(logits: torch.Tensor, grid: Grid) -> NDArray[np.uint8]:
    with torch.inference_mode():
        size = (grid.rows, grid.cols)
        spread = functional.interpolate(logits[None].float(), size=size, mode="bilinear")[0]
        return (torch.sigmoid(spread).permute(1, 2, 0) * 255).round().byte().numpy()


def _measures(pixels: Pixels, title: str | None) -> Float:
    """Each 0..1: legibility of the title, light, craft."""
    light, made, legible = tone(pixels), craft(pixels), 0.0
    if title:
        found = find_title(pixels, title)
        legible = _unit(2 * found.match - 0.5) * _unit(2 * found.contrast)
    values = (
        legible,
        light.spread / 100,
        light.blown,
        light.crushed,
        made.sharp,
        _unit(10 * made.noise),
        made.banding,
        made.clipped,
    )
    return np.array(values, np.float32)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
