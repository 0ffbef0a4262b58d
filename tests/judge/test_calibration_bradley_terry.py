from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from actors.errors import BadInput
from actors.judge.calibration.bradley_terry import MIN_GROUPS, BradleyTerry, distinguishable, fit, sigmoid

finite = st.floats(-50, 50)


def some_pairs(weights: list[float], n: int, seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(weights)))
    y = (rng.random(n) < sigmoid(x @ np.asarray(weights))).astype(float)
    return x, y, [f"g{i // 4}" for i in range(n)]


@given(arrays(np.float64, (5, 3), elements=finite), st.tuples(finite, finite, finite))
def test_swapping_the_pictures_swaps_the_probabilities(x: np.ndarray, weights: tuple[float, ...]) -> None:
    model = BradleyTerry(weights)
    assert (model.probability(-x) == 1 - model.probability(x)).all()


@given(
    arrays(np.float64, (12, 2), elements=st.floats(-1, 1)), arrays(np.float64, 12, elements=st.floats(0, 1))
)
def test_the_fit_does_not_hang_on_which_picture_is_called_a(x: np.ndarray, y: np.ndarray) -> None:
    flip = np.array([1, -1] * 6)
    mirrored = fit(x * flip[:, None], np.where(flip > 0, y, 1 - y))
    assert mirrored.weights == pytest.approx(fit(x, y).weights, abs=1e-6, rel=1e-6)


def test_differences_that_are_rounding_get_no_weight() -> None:
    assert abs(fit(np.full((12, 1), 1e-38), np.full(12, 0.3)).weights[0]) < 1e-6


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid([-1e9, 0.0, 1e9]).tolist() == [0.0, 0.5, 1.0]


def test_known_weights_are_found() -> None:
    x, y, _ = some_pairs([2.0, -1.0, 0.0], 20_000, 1)
    assert fit(x, y).weights == pytest.approx((2.0, -1.0, 0.0), abs=0.08)


def test_soft_labels_are_as_good_as_many_hard_ones() -> None:
    x = np.linspace(-2, 2, 41)[:, None]
    assert fit(x, sigmoid(1.5 * x[:, 0]), l2=1e-6).weights == pytest.approx((1.5,), abs=1e-4)


def test_ties_pull_to_zero() -> None:
    x = np.ones((20, 1))
    decided = fit(x, np.r_[np.ones(15), np.zeros(5)]).weights[0]
    assert fit(np.ones((40, 1)), np.r_[np.ones(15), np.zeros(5), np.full(20, 0.5)]).weights[0] < decided
    assert fit(x, np.full(20, 0.5)).weights == pytest.approx((0.0,))


def test_pairs_without_error_keep_the_weights_finite() -> None:
    x = np.array([[0.1], [0.2], [-0.3], [-0.1]])
    model = fit(x, [1.0, 1.0, 0.0, 0.0])
    assert 0 < model.weights[0] < 1e3
    assert 0.5 < model.probability([[0.1]])[0] < 1.0


def test_a_feature_that_never_differs_weighs_nothing() -> None:
    x, y, _ = some_pairs([1.0], 200, 2)
    assert fit(np.c_[x, np.zeros(200)], y).weights[1] == 0.0


def test_counts_are_repetitions() -> None:
    x, y, _ = some_pairs([1.0, 1.0], 30, 3)
    times = np.arange(30) % 3
    repeated = fit(np.repeat(x, times, axis=0), np.repeat(y, times))
    assert fit(x, y, counts=times).weights == pytest.approx(repeated.weights)


def test_a_judge_is_told_from_chance() -> None:
    x, y, groups = some_pairs([1.0], 200, 4)
    assert distinguishable(x, y, groups, resamples=100)
    assert not distinguishable(-x, y, groups, resamples=100)


def test_a_few_gross_mistakes_do_not_hide_a_judge() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 40)
    y = np.where(np.arange(40) % 10 == 0, x < 0, x > 0).astype(float)
    assert distinguishable(x, y, [str(i) for i in range(40)], resamples=200)


def test_chance_is_seldom_taken_for_a_judge() -> None:
    told = 0
    for seed in range(60):
        x, y, groups = some_pairs([0.0], 120, seed)
        told += distinguishable(x, y, groups, resamples=100, seed=seed)
    assert told <= 4


def test_pairs_that_repeat_one_request_are_no_evidence() -> None:
    x, y = np.ones(200), np.ones(200)
    assert not distinguishable(x, y, [f"g{i % (MIN_GROUPS - 1)}" for i in range(200)])
    assert distinguishable(x, y, [f"g{i}" for i in range(200)])


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput, match="2 labels"):
        fit([[1.0]], [1.0, 0.0])
    with pytest.raises(BadInput, match="finite"):
        fit([[np.nan]], [1.0])
    with pytest.raises(BadInput, match="0 to 1"):
        fit([[1.0]], [2.0])
