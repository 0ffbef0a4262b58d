from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from actors.judge.calibration.reliability import Quality, bins, error_of, interval, quality, wilson

unit = st.floats(0, 1)


def honest(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return p, (rng.random(n) < p).astype(float), [f"g{i}" for i in range(n)]


def test_honest_probabilities_have_no_calibration_error() -> None:
    p, y, _ = honest(40_000)
    assert error_of(bins(p, y)) < 0.01


def test_there_are_ten_bins_of_confidence() -> None:
    sure = np.linspace(0.5, 1.0, 1000)
    found = bins(sure, np.ones(1000))
    assert len(found) == 10
    assert max(each.n for each in found) - min(each.n for each in found) <= 2


def test_overconfidence_is_measured() -> None:
    rng = np.random.default_rng(1)
    y = (rng.random(20_000) < 0.7).astype(float)
    assert error_of(bins(np.full(20_000, 0.95), y)) == pytest.approx(0.25, abs=0.01)


def test_error_by_hand() -> None:
    # Two bins: three pairs at 0.9 of which two are right, one at 0.6 that is right.
    found = bins([0.9, 0.1, 0.9, 0.6], [1.0, 0.0, 0.0, 1.0])
    assert [each.n for each in found] == [1, 3]
    assert error_of(found) == pytest.approx((1 * 0.4 + 3 * abs(0.9 - 2 / 3)) / 4)


@given(arrays(np.float64, 20, elements=unit), arrays(np.float64, 20, elements=unit))
def test_which_picture_is_called_a_changes_nothing(p: np.ndarray, y: np.ndarray) -> None:
    p, y = p.round(6), y.round(6)
    one, other = bins(p, y), bins(1 - p, 1 - y)
    assert sum(each.n for each in one) == sum(each.n for each in other) == 20
    assert error_of(one) == pytest.approx(error_of(other), abs=0.06 if _on_edges(p) else 1e-9)


def _on_edges(p: np.ndarray) -> bool:
    return bool((np.abs(p * 20 - np.round(p * 20)) < 1e-6).any())


def test_a_judge_that_cannot_say_is_half_right_and_honest() -> None:
    found = quality([0.5] * 10, [1.0] * 10, [str(i) for i in range(10)], resamples=100, seed=0)
    assert (found.accuracy, found.ece, found.spread) == (0.5, 0.0, 0.0)


def test_soft_labels_give_part_of_the_credit() -> None:
    found = quality([0.9, 0.1], [0.75, 0.25], ["a", "b"], resamples=100, seed=0)
    assert found.accuracy == 0.75


def test_the_confident_half_comes_first() -> None:
    p, y = [0.99, 0.98, 0.6, 0.6], [1.0, 1.0, 0.0, 0.0]
    found = quality(p, y, list("abcd"), resamples=100, seed=0)
    assert (found.accuracy, found.confident_half) == (0.5, 1.0)


def test_no_pairs_have_no_numbers() -> None:
    found = quality([], [], [], resamples=100, seed=0)
    assert found == Quality(n=0)
    assert found.interval == (0.0, 1.0)


def test_pairs_of_one_request_widen_the_interval() -> None:
    right = np.repeat(np.r_[np.ones(14), np.zeros(6)], 10)
    alone = interval(right, [str(i) for i in range(200)], resamples=500, seed=0)
    together = interval(right, [str(i // 10) for i in range(200)], resamples=500, seed=0)
    assert together[0] < alone[0] < 0.7 < alone[1] < together[1]


def test_intervals_are_never_narrower_than_wilsons() -> None:
    low, high = interval(np.ones(10), [str(i) for i in range(10)], resamples=100, seed=0)
    assert (low, high) == (pytest.approx(wilson(10, 10)[0]), 1.0)
    assert low == pytest.approx(0.722, abs=0.001)


def test_the_same_seed_gives_the_same_interval() -> None:
    p, y, groups = honest(200)
    assert quality(p, y, groups, resamples=100, seed=3) == quality(p, y, groups, resamples=100, seed=3)


def test_wilson_without_data_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(8, 10) == (pytest.approx(0.490, abs=0.001), pytest.approx(0.943, abs=0.001))
