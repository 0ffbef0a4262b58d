"""The answers that a reward model holds for the best, by steepest ascent over slots. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Choices = Mapping[int, Sequence[int]]
"""By the place of a slot, the values it may have."""

CLEAR = 1e-4
"""What a change has to gain: less than that, the same row may differ by its place among others."""


@dataclass(frozen=True)
class Found:
    """What was found for one row."""

    best: list[int]
    value: float
    near: list[list[int]]
    """What differs from the best in one slot."""
    values: Tensor
    """Of those, [near]."""


def ascend(
    rows: Sequence[Sequence[int]],
    choices: Sequence[Choices],
    value: Callable[[Tensor], Tensor],
    starts: int,
    dice: random.Random,
) -> list[Found]:
    """For each row the best values of its free slots: of some random ones the best is taken, then the one
    slot changed that helps most, as long as one does.

    Args:
        choices: of each row.
        value: of rows [N, slots], [N].
        starts: random rows to begin with, 1 or more.
    """
    drawn = [
        at_random(row, free, dice) for row, free in zip(rows, choices, strict=True) for _ in range(starts)
    ]
    first = value(torch.tensor(drawn)).view(len(rows), starts)
    best = [drawn[each * starts + int(first[each].argmax())] for each in range(len(rows))]
    found: list[Found | None] = [None] * len(rows)
    climbing = list(range(len(rows)))
    while climbing:
        near = {each: _near(best[each], choices[each]) for each in climbing}
        looked = value(torch.tensor([row for each in climbing for row in (best[each], *near[each])]))
        parts = torch.split(looked, [1 + len(near[each]) for each in climbing])
        climbed = []
        for each, part in zip(climbing, parts, strict=True):
            top = int(part.argmax())
            found[each] = Found(best[each], float(part[0]), near[each], part[1:])
            if part[top] > part[0] + CLEAR:
                best[each] = near[each][top - 1]
                climbed.append(each)
        climbing = climbed
    return [each for each in found if each is not None]


def at_random(row: Sequence[int], free: Choices, dice: random.Random) -> list[int]:
    """A row with each free slot at random."""
    drawn = list(row)
    for place, values in free.items():
        drawn[place] = dice.choice(values)
    return drawn


def _near(row: Sequence[int], free: Choices) -> list[list[int]]:
    return [
        [*row[:place], value, *row[place + 1 :]]
        for place, values in free.items()
        for value in values
        if value != row[place]
    ]
