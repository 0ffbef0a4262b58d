from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.intervals import wilson
from actors.judge.calibration.bradley_terry import sigmoid
from tests.pairs.pair_kit import sample
from train_jobs.ranking.quality import (
    MIN_DECIDED,
    Predicted,
    RankingQuality,
    fit_temperatures,
    quality,
)

TOTAL, COLOR, LIGHTING = Dimension.TOTAL, Dimension.COLOR, Dimension.LIGHTING


def one_head(
    differences: Sequence[float],
    labels: Sequence[float | None],
    gaps: Sequence[float | None] | None = None,
    groups: Sequence[str] | None = None,
    name: Dimension = TOTAL,
) -> Predicted:
    rows = np.array([[np.nan if y is None else y] for y in labels], np.float64).reshape(-1, 1)
    return Predicted(
        dimensions=(name,),
        differences=np.array(differences, np.float64).reshape(-1, 1),
        labels=rows,
        present=~np.isnan(rows),
        groups=tuple(groups or (f"g{i}" for i in range(len(labels)))),
        gaps=tuple(gaps or [None] * len(labels)),
    )


def report(predicted: Predicted, temperature: float | None = 1.0) -> RankingQuality:
    return quality(predicted, [temperature] * len(predicted.dimensions), source="judge", resamples=100)


def heads(columns: dict[Dimension, tuple[Sequence[float], Sequence[float]]]) -> Predicted:
    parts = [one_head(differences, labels) for differences, labels in columns.values()]
    return Predicted(
        tuple(columns),
        np.hstack([part.differences for part in parts]),
        np.hstack([part.labels for part in parts]),
        np.hstack([part.present for part in parts]),
        parts[0].groups,
        parts[0].gaps,
    )


def test_numbers_by_hand() -> None:
    #                           right, wrong, no side, right, judge's ties: soft 0.51 and 0.5, absent
    found = report(one_head([2.0, -1.0, 0.0, -3.0, 1.0, -1.0, 9.0], [0.9, 0.8, 1.0, 0.1, 0.51, 0.5, None]))
    total = found.dimensions[TOTAL]
    assert (found.pairs, total.n, total.decided.n) == (7, 6, 4)
    assert total.tie_share == pytest.approx(2 / 6)
    assert total.decided.accuracy == pytest.approx(2.5 / 4)
    assert total.accuracy_ties_half == pytest.approx(3.5 / 6)
    assert total.soft_accuracy == pytest.approx((0.9 + 0.2 + 0.5 + 0.9 + 0.51 + 0.5) / 6)
    assert total.soft_ceiling == pytest.approx((0.9 + 0.8 + 1.0 + 0.9 + 0.51 + 0.5) / 6)
    assert found.source == "judge"
    assert found.terciles == {}


@given(st.lists(st.tuples(st.floats(-5, 5), st.none() | st.floats(0, 1)), min_size=1, max_size=30))
@settings(deadline=None)
def test_no_scorer_beats_the_ceiling_and_sides_do_not_matter(rows: list[tuple[float, float | None]]) -> None:
    x, y = [row[0] for row in rows], [row[1] for row in rows]
    one = report(one_head(x, y))
    assert one == RankingQuality.model_validate_json(one.model_dump_json())
    head = one.dimensions[TOTAL]
    other = report(one_head([-v for v in x], [None if v is None else 1 - v for v in y])).dimensions[TOTAL]
    assert head.soft_accuracy is None or head.soft_accuracy <= head.soft_ceiling + 1e-12
    assert head.soft_accuracy == pytest.approx(other.soft_accuracy)
    perfect = report(one_head([0.0 if v is None else v - 0.5 for v in y], y)).dimensions[TOTAL]
    assert perfect.soft_accuracy == pytest.approx(perfect.soft_ceiling)
    assert perfect.decided.accuracy in (None, 1.0)


def test_a_tiny_difference_is_a_side() -> None:
    assert report(one_head([1e-30], [1.0])).dimensions[TOTAL].decided.accuracy == 1.0


def test_the_edge_of_a_tie() -> None:
    found = report(one_head([1.0] * 4, [0.525, 0.475, 0.515, 0.485])).dimensions[TOTAL]
    assert found.decided.n == 2


def test_pairs_of_one_group_widen_the_interval() -> None:
    right = [1.0] * 60 + [-1.0] * 40
    alone = report(one_head(right, [1.0] * 100)).dimensions[TOTAL].decided
    together = report(one_head(right, [1.0] * 100, groups=[f"g{i // 20}" for i in range(100)]))
    low, high = together.dimensions[TOTAL].decided.interval
    assert alone.interval[0] <= wilson(60, 100)[0] < 0.6 < wilson(60, 100)[1] <= alone.interval[1]
    assert high - low > 1.5 * (alone.interval[1] - alone.interval[0])


def test_calibration_is_measured_at_the_temperature() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 6, 20_000)
    y = (rng.random(20_000) < sigmoid(x / 3)).astype(float)
    assert report(one_head(x, y), 3.0).dimensions[TOTAL].ece < 0.01
    assert report(one_head(x, y), 0.5).dimensions[TOTAL].ece > 0.1
    assert report(one_head(x, y), 12.0).dimensions[TOTAL].ece > 0.1


def test_soft_labels_that_are_met_have_no_calibration_error() -> None:
    x = np.random.default_rng(0).normal(0, 2, 500)
    assert report(one_head(x, sigmoid(x))).dimensions[TOTAL].ece < 1e-9


def test_without_a_temperature_every_probability_is_even() -> None:
    found = report(one_head([5.0, 5.0], [1.0, 0.0]), None).dimensions[TOTAL]
    assert found.ece == 0.0
    assert found.temperature is None
    assert found.decided.accuracy == 0.5


def test_terciles_of_the_gap() -> None:
    # Wrong on all that are close, half right in the middle, right on the rest; pairs without a gap are out.
    gaps = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, None]
    x = [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, -1.0]
    found = report(one_head(x, [1.0] * 10, gaps)).terciles
    assert list(found) == ["hard", "middle", "easy"]
    assert [(each.n, each.accuracy) for each in found.values()] == [(3, 0.0), (3, 0.5), (3, 1.0)]
    assert [each.gaps for each in found.values()] == [(0.1, 0.3), (0.4, 0.6), (0.7, 0.9)]
    assert all(each.interval[0] <= each.accuracy <= each.interval[1] for each in found.values())


def test_ties_of_the_judge_are_in_no_tercile_and_equal_gaps_in_one() -> None:
    found = report(one_head([1.0] * 5, [1.0, 1.0, 1.0, 0.5, 1.0], [0.2, 0.2, 0.2, 0.9, 0.2])).terciles
    assert [each.n for each in found.values()] == [4, 0, 0]
    assert found["easy"].accuracy is None
    assert found["easy"].gaps is None


def test_only_the_total_has_terciles() -> None:
    assert report(one_head([1.0], [1.0], [0.5], name=COLOR)).terciles == {}


def test_the_mean_is_over_dimensions_with_enough_pairs_but_the_total() -> None:
    n = MIN_DECIDED
    right, wrong, even = [1.0] * (n + 1), [-1.0] * (n + 1), [0.0] * (n + 1)
    sure = [1.0] * (n + 1)
    few = [0.5, 0.5, *[1.0] * (n - 1)]
    found = report(heads({TOTAL: (wrong, sure), COLOR: (right, sure), LIGHTING: (even, sure)}))
    assert found.mean_accuracy == pytest.approx(0.75)
    found = report(heads({TOTAL: (wrong, sure), COLOR: (right, few), LIGHTING: (even, sure)}))
    assert found.mean_accuracy == pytest.approx(0.5)
    assert report(heads({TOTAL: (right, sure)})).mean_accuracy is None


def test_a_dimension_without_labels_is_missing_not_zero() -> None:
    found = report(one_head([1.0, 2.0], [None, None]))
    head = found.dimensions[TOTAL]
    assert (head.n, head.decided.n) == (0, 0)
    assert head.decided.accuracy is head.tie_share is head.soft_accuracy is head.ece is None
    ties = report(one_head([1.0, 2.0], [0.5, 0.5])).dimensions[TOTAL]
    assert (ties.decided.accuracy, ties.accuracy_ties_half, ties.tie_share) == (None, 0.5, 1.0)


def test_of_pairs() -> None:
    records = [sample(0, 0.9).record, sample(1, None, "a bridge").record]
    found = Predicted.of(records, (LIGHTING, TOTAL), [[1.0, 2.0], [3.0, 4.0]])
    assert found.present.tolist() == [[False, True], [False, False]]
    assert found.labels[0, 1] == 0.9
    assert found.gaps == (0.25, None)
    assert found.groups == tuple(record.query.id for record in records)
    assert report(found).dimensions[TOTAL].n == 1


def test_temperatures_are_found_again() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (4000, 2)) * [0.2, 40.0]
    y = sigmoid(x / [0.1, 20.0])
    present = rng.random(x.shape) < 0.8
    assert fit_temperatures(x, y, present, resamples=100) == pytest.approx([0.1, 20.0], rel=0.02)
    hard = (rng.random(x.shape) < y).astype(float)
    assert fit_temperatures(x, hard, present, resamples=100) == pytest.approx([0.1, 20.0], rel=0.1)


def test_absent_labels_take_no_part_in_the_fit() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (400, 1))
    y, present = sigmoid(x), np.arange(400)[:, None] % 2 == 0
    y[~present] = np.nan
    found = fit_temperatures(x, y, present, resamples=100)
    assert found == fit_temperatures(x[present[:, 0]], y[present[:, 0]], present[:200] | True, resamples=100)


@pytest.mark.parametrize("slope", [0.0, -2.0])
def test_what_is_not_told_from_chance_has_no_temperature(slope: float) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (200, 1))
    y = (rng.random((200, 1)) < sigmoid(slope * x)).astype(float)
    everywhere = np.ones((200, 1), bool)
    assert fit_temperatures(x, y, everywhere, resamples=100) == [None]
    assert fit_temperatures(np.zeros((200, 1)), y, everywhere, resamples=100) == [None]
    assert fit_temperatures(x, y, ~everywhere, resamples=100) == [None]


def test_one_group_tells_nothing() -> None:
    x = np.random.default_rng(5).normal(0, 1, (200, 1))
    everywhere = np.ones((200, 1), bool)
    assert fit_temperatures(x, sigmoid(3 * x), everywhere, ["one"] * 200, resamples=100) == [None]
    assert fit_temperatures(x, sigmoid(3 * x), everywhere, resamples=100) != [None]


@pytest.mark.parametrize("wrong", [[], [1.0, 1.0], [0.0], [-1.0], [math.nan]])
def test_temperatures_that_do_not_fit_are_refused(wrong: list[float]) -> None:
    with pytest.raises(BadInput, match="above 0 or None"):
        quality(one_head([1.0], [1.0]), wrong, source="human")


@pytest.mark.parametrize(("difference", "label"), [(math.nan, 1.0), (math.inf, 1.0), (0.0, 1.5), (0.0, -1.0)])
def test_numbers_that_are_none_are_refused(difference: float, label: float) -> None:
    with pytest.raises(BadInput, match="accepted: none of either"):
        one_head([difference], [label])
    with pytest.raises(BadInput, match="accepted: none of either"):
        fit_temperatures([[difference]], [[label]], [[True]])


def test_shapes_that_do_not_fit_are_refused() -> None:
    x = np.zeros((2, 1))
    with pytest.raises(BadInput, match="1 gaps"):
        Predicted((TOTAL,), x, x, x == 0, ("g", "h"), (None,))
    with pytest.raises(BadInput, match="accepted: "):
        Predicted((TOTAL,), x, np.zeros(2), x == 0, ("g", "h"), (None, None))
    with pytest.raises(BadInput, match="and 1 groups"):
        fit_temperatures(x, x, x == 0, ["g"])
