from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_jobs.gepa.racing import LEAST_DEVIATION, blocks, hopeless

score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
triples = st.lists(st.tuples(score, score, score), min_size=1, max_size=20)
Triples = list[tuple[float, float, float]]


def judged(rows: Triples, deviations: float) -> bool:
    """Of child, rival and the fronts' best, which is no worse than the rival."""
    child, rival, front = (list(each) for each in zip(*rows, strict=True))
    return hopeless(child, rival, [max(pair) for pair in zip(rival, front, strict=True)], deviations)


@given(triples, st.floats(0, 3))
def test_who_beats_a_front_goes_on(rows: Triples, deviations: float) -> None:
    if any(child > max(rival, front) for child, rival, front in rows):
        assert not judged(rows, deviations)


@given(triples, st.floats(0, 3))
def test_who_is_not_behind_goes_on(rows: Triples, deviations: float) -> None:
    if sum(child - rival for child, rival, _ in rows) >= 0:
        assert not judged(rows, deviations)


@given(triples, st.floats(0, 3), st.floats(0, 3))
def test_more_deviations_stop_fewer(rows: Triples, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert judged(rows, low) >= judged(rows, high)


@given(st.integers(2, 50), st.sampled_from([0.5, 1.0, 2.0]))
def test_differences_that_agree_by_luck_are_given_the_least_deviation(n: int, deviations: float) -> None:
    edge = deviations * LEAST_DEVIATION / math.sqrt(n)
    for behind, stopped in ((0.9 * edge, False), (1.1 * edge, True)):
        assert hopeless([0.5 - behind] * n, [0.5] * n, [0.5] * n, deviations) is stopped


def test_by_hand() -> None:
    # Differences -1, -1, -1, 0: mean -0.75, standard deviation 0.5, standard error 0.25.
    child, rival = [0.0, 0.0, 0.0, 1.0], [1.0] * 4
    assert hopeless(child, rival, rival, 2.9)
    assert not hopeless(child, rival, rival, 3.1)
    assert hopeless([0.0], [1.0], [1.0], 1.0)


@given(st.integers(1, 60), st.integers(1, 70))
def test_blocks_are_the_examples_in_order_and_even(examples: int, count: int) -> None:
    order = list(range(examples, 0, -1))
    found = blocks(order, count)
    assert [index for block in found for index in block] == order
    assert 1 <= len(found) <= count
    assert {len(block) for block in found[:-1]} <= {len(found[0])}
    assert 0 < len(found[-1]) <= len(found[0])


@pytest.mark.parametrize(
    ("examples", "count", "sizes"), [(24, 2, [12, 12]), (25, 2, [13, 12]), (3, 9, [1, 1, 1]), (5, 1, [5])]
)
def test_sizes_by_hand(examples: int, count: int, sizes: list[int]) -> None:
    assert [len(block) for block in blocks(range(examples), count)] == sizes
