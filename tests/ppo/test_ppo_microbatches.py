from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.errors import BadInput
from train_jobs.ppo.microbatches import micro_batches, spread_over_ranks

some_lengths = st.lists(st.integers(1, 40), max_size=30)
budgets = st.integers(1, 120)


def padded(batch: list[int], lengths: list[int]) -> int:
    return len(batch) * max((lengths[i] for i in batch), default=0)


def fewest(lengths: list[int], budget: int) -> int:
    """Of all ways to part the sequences, by trying each."""
    best = len(lengths)

    def place(number: int, groups: list[list[int]]) -> None:
        nonlocal best
        if len(groups) >= best:
            return
        if number == len(lengths):
            best = len(groups)
            return
        for group in groups:
            if padded([*group, number], lengths) <= budget:
                group.append(number)
                place(number + 1, groups)
                group.pop()
        place(number + 1, [*groups, [number]])

    place(0, [])
    return best


@given(some_lengths, budgets)
@settings(deadline=None, max_examples=100)
def test_every_sequence_is_once_and_the_budget_is_kept(lengths: list[int], budget: int) -> None:
    found = micro_batches(lengths, budget)
    assert sorted(chain(*found)) == list(range(len(lengths)))
    for batch in found:
        assert batch
        assert padded(batch, lengths) <= budget or len(batch) == 1
    assert found == micro_batches(lengths, budget)


@given(st.lists(st.integers(1, 12), max_size=7), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_there_is_no_way_with_fewer(lengths: list[int], budget: int) -> None:
    assert len(micro_batches(lengths, budget)) == fewest(lengths, budget)


def test_like_lengths_are_together() -> None:
    assert micro_batches([1, 9, 2, 10, 1], 20) == [[3, 1], [2, 0, 4]]
    assert micro_batches([50, 3], 20) == [[0], [1]]
    assert micro_batches([5, 5, 5, 5], 10) == [[0, 1], [2, 3]]
    assert micro_batches([], 10) == []


@given(some_lengths, budgets, st.integers(1, 5))
@settings(deadline=None, max_examples=150)
def test_ranks_have_as_many_micro_batches_and_like_loads(lengths: list[int], budget: int, ranks: int) -> None:
    found = spread_over_ranks(lengths, budget, ranks)
    assert len(found) == ranks
    assert len({len(own) for own in found}) == 1
    assert sorted(chain(*chain(*found))) == list(range(len(lengths)))
    every = [batch for own in found for batch in own]
    for batch in every:
        assert padded(batch, lengths) <= budget or len(batch) == 1
    assert len(found[0]) == -(-len(micro_batches(lengths, budget)) // ranks)
    if [] in every:
        assert max(map(len, every)) <= 1
    loads = [sum(padded(batch, lengths) for batch in own) for own in found]
    assert max(loads) - min(loads) <= max((padded(batch, lengths) for batch in every), default=0)
    assert found == spread_over_ranks(lengths, budget, ranks)


def test_micro_batches_at_the_same_position_are_of_like_size() -> None:
    found = spread_over_ranks([9, 8, 7, 3, 2, 1], 10, 2)
    sizes = [[padded(batch, [9, 8, 7, 3, 2, 1]) for batch in own] for own in found]
    for first, second in zip(*sizes, strict=True):
        assert abs(first - second) <= 1


def test_the_rank_with_the_least_so_far_gets_the_largest_next() -> None:
    assert spread_over_ranks([10, 6, 6, 2], 10, 2) == [[[0], [3]], [[1], [2]]]


def test_the_largest_is_split_and_what_cannot_be_split_leaves_ranks_empty() -> None:
    assert spread_over_ranks([4, 4, 4, 4, 1], 16, 2) == [[[0, 1, 2, 3]], [[4]]]
    assert spread_over_ranks([4, 4, 4, 4], 16, 2) == [[[0, 1]], [[2, 3]]]
    assert spread_over_ranks([4], 16, 3) == [[[0]], [[]], [[]]]
    assert spread_over_ranks([], 16, 2) == [[], []]


def test_numbers_below_one_are_refused() -> None:
    with pytest.raises(BadInput, match="a length of 0"):
        micro_batches([3, 0], 10)
    with pytest.raises(BadInput, match="a token budget of 0"):
        micro_batches([3], 0)
    with pytest.raises(BadInput, match="0 ranks"):
        spread_over_ranks([3], 10, 0)
