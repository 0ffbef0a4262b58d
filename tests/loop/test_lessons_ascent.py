"""Coordinate ascent over rows."""

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train_jobs.loop.lessons.ascent import ascend


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_nothing_near_the_best_is_better_and_what_is_not_free_stays(seed):
    table = torch.randn(5, 6, 6, 6, generator=torch.Generator().manual_seed(seed))
    free = [{1: range(6), 2: (0, 2, 5)}, {2: range(6)}]
    rows = [[0, 1, 2, 3], [4, 5, 0, 1]]
    found = ascend(rows, free, lambda x: table[tuple(x.T)], 3, random.Random(seed))
    for row, own, each in zip(rows, free, found, strict=True):
        assert len(each.near) == len(each.values) == sum(len(values) - 1 for values in own.values())
        assert each.value == table[tuple(each.best)] >= each.values.max()
        assert all(
            a == b for place, (a, b) in enumerate(zip(row, each.best, strict=True)) if place not in own
        )
        for near, value in zip(each.near, each.values, strict=True):
            assert value == table[tuple(near)]
            assert sum(a != b for a, b in zip(near, each.best, strict=True)) == 1


def test_what_is_best_slot_by_slot_is_found_from_one_start():
    worth = torch.randn(4, 9)
    rows = [[0] * 4] * 20

    def value(x: torch.Tensor) -> torch.Tensor:
        return worth[torch.arange(4), x].sum(1)

    found = ascend(rows, [{place: range(9) for place in range(4)}] * 20, value, 1, random.Random(0))
    assert all(each.best == worth.argmax(1).tolist() for each in found)


def test_a_row_with_nothing_free_is_its_own_best():
    found = ascend([[1, 2]], [{}], lambda x: x.sum(1).float(), 2, random.Random(0))
    assert found[0].best == [1, 2] and found[0].near == []
