from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_jobs.gepa.width import FIRST_RATE, GENERATIONS, MEMORY, WANTED, follow, width

rates, validations = st.floats(0, 1), st.floats(0, 1e6) | st.none()


@given(st.integers(1, 128), rates, validations)
def test_at_least_one_and_at_most_the_limit(limit: int, rate: float, left: float | None) -> None:
    assert 1 <= width(limit, rate, left) <= limit


@given(st.integers(1, 128), rates, rates, validations)
def test_fewer_where_more_are_accepted(limit: int, one: float, other: float, left: float | None) -> None:
    low, high = sorted((one, other))
    assert width(limit, low, left) >= width(limit, high, left)


@given(st.integers(1, 128), rates, st.floats(0, 1e4), st.floats(0, 1e4))
def test_fewer_where_the_budget_is_smaller(limit: int, rate: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert width(limit, rate, low) <= width(limit, rate, high) <= width(limit, rate, None)


@given(st.integers(1, 128), rates)
def test_a_budget_lasts_for_some_generations(limit: int, rate: float) -> None:
    for left in (1, GENERATIONS, 10 * GENERATIONS):
        assert width(limit, rate, left) <= max(1, left / GENERATIONS)


@pytest.mark.parametrize(
    ("limit", "rate", "left", "expected"),
    [
        (64, 0.0, None, 64),
        (64, 1.0, None, 3),
        (64, 0.25, None, 10),
        (64, 0.25, 3.2 * GENERATIONS, 4),
        (4, 0.25, None, 4),
        (1, 1.0, None, 1),
        (64, 0.0, 0.0, 1),
    ],
)
def test_by_hand(limit: int, rate: float, left: float | None, expected: int) -> None:
    assert WANTED == 2.5
    assert width(limit, rate, left) == expected


@given(rates, st.lists(st.booleans(), max_size=50))
def test_the_rate_follows_what_happens(rate: float, accepted: list[bool]) -> None:
    for each in accepted:
        after = follow(rate, each)
        assert 0 <= after <= 1
        assert after >= rate - 1e-12 if each else after <= rate + 1e-12
        rate = after


def test_the_rate_forgets() -> None:
    rate = FIRST_RATE
    for _ in range(100):
        rate = follow(rate, True)
    assert rate == pytest.approx(1.0, abs=1e-4)
    assert follow(0.5, False) == pytest.approx(MEMORY * 0.5)
