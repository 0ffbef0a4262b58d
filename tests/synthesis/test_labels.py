"""From verdicts to labels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import Comparison, Dimension, Judgement
from train_jobs.synthesis.labels import of_comparison, of_judgements

TOTAL, COLOR = Dimension.TOTAL, Dimension.COLOR


def judgement(**scores: float | None) -> Judgement:
    return Judgement(scores={Dimension(name): score for name, score in scores.items()}, judge_version="j")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 40))
def test_the_other_way_round_is_the_other_probability(a: float, b: float, slope: float) -> None:
    one = of_judgements(judgement(total=a), judgement(total=b), {}, slope)
    two = of_judgements(judgement(total=b), judgement(total=a), {}, slope)
    assert one.labels[TOTAL] + two.labels[TOTAL] == pytest.approx(1, abs=2e-6)
    assert one.scores == two.scores
    assert one.gap == pytest.approx(abs(a - b), abs=2e-6)


def test_a_dimension_of_one_picture_only_is_absent() -> None:
    verdict = of_judgements(
        judgement(total=0.5, legibility=None), judgement(total=0.7, legibility=1.0), {}, 1
    )
    assert set(verdict.labels) == set(verdict.scores) == {TOTAL}


def test_a_dimension_has_a_winner_of_its_own_and_its_calibrated_slope() -> None:
    verdict = of_judgements(
        judgement(total=0.9, color=0.2), judgement(total=0.4, color=0.6), {COLOR: 3.0}, 12
    )
    assert verdict.scores == {TOTAL: {"winner": 0.9, "loser": 0.4}, COLOR: {"winner": 0.6, "loser": 0.2}}
    assert verdict.labels[TOTAL] == pytest.approx(1 / (1 + math.exp(-6)), abs=1e-6)
    assert verdict.labels[COLOR] == pytest.approx(1 / (1 + math.exp(1.2)), abs=1e-6)


def test_nothing_overflows() -> None:
    verdict = of_judgements(judgement(total=0.0), judgement(total=1.0), {}, 1e6)
    assert verdict.labels[TOTAL] == 0.0


def test_a_comparison_is_taken_as_it_is_or_calibrated() -> None:
    said = Comparison(first_wins={TOTAL: 0.8}, consistent=False, raw=("x", "y"), judge_version="v")
    plain, calibrated = of_comparison(said, {}), of_comparison(said, {TOTAL: 0.0})
    assert plain.labels == {TOTAL: 0.8} and calibrated.labels == {TOTAL: 0.5}
    assert plain.scores[TOTAL] == {"winner": 0.8, "loser": 0.2}
    assert (plain.consistent, plain.raw, plain.judge_version) == (False, ("x", "y"), "v")
