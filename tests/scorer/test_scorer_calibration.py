"""Scores as standard deviations, shares and probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.scorer.calibration import Calibration

TOTAL, COLOR = Dimension.TOTAL, Dimension.COLOR
CALIBRATION = Calibration(
    mean={TOTAL: 2.0, COLOR: -1.0},
    deviation={TOTAL: 4.0, COLOR: 0.5},
    temperature={TOTAL: 0.5, COLOR: None},
)
scores = st.floats(-1e6, 1e6)


def test_known_numbers() -> None:
    assert CALIBRATION.z(TOTAL, 6.0) == 1.0
    assert CALIBRATION.unit(TOTAL, 2.0) == 0.5
    assert CALIBRATION.unit(TOTAL, 6.0) == pytest.approx(0.8413447, abs=1e-7)
    assert CALIBRATION.unit(COLOR, -2.0) == pytest.approx(0.0227501, abs=1e-7)
    assert CALIBRATION.probability(TOTAL, 1.5, 1.0) == pytest.approx(math.e / (1 + math.e))
    assert CALIBRATION.probability(COLOR, 100.0, -100.0) == 0.5


@given(scores, scores)
def test_ranges_and_order(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= CALIBRATION.unit(TOTAL, low) <= CALIBRATION.unit(TOTAL, high) <= 1
    first, second = CALIBRATION.probability(TOTAL, a, b), CALIBRATION.probability(TOTAL, b, a)
    assert 0 <= first <= 1 and first + second == pytest.approx(1)
    assert a <= b or first >= 0.5


@given(scores, scores, st.floats(0.01, 100), st.floats(-100, 100))
def test_origin_and_unit_of_the_scores_say_nothing(a: float, b: float, unit: float, origin: float) -> None:
    other = Calibration(
        mean={TOTAL: 2.0 * unit + origin}, deviation={TOTAL: 4.0 * unit}, temperature={TOTAL: 0.5 * unit}
    )
    # Differences of large numbers lose digits, which is all that may change.
    moved = [a * unit + origin, b * unit + origin]
    assert other.unit(TOTAL, moved[0]) == pytest.approx(CALIBRATION.unit(TOTAL, a), abs=1e-4)
    assert other.probability(TOTAL, *moved) == pytest.approx(CALIBRATION.probability(TOTAL, a, b), abs=1e-4)


def test_what_is_not_calibrated_is_refused() -> None:
    with pytest.raises(BadInput, match="style_fit is not calibrated; accepted: total, color"):
        CALIBRATION.unit(Dimension.STYLE_FIT, 0.0)
    with pytest.raises(BadInput, match="legibility is not calibrated"):
        CALIBRATION.probability(Dimension.LEGIBILITY, 0.0, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"deviation": {"total": 0.0, "color": 1.0}},
        {"temperature": {"total": -1.0, "color": 1.0}},
        {"mean": {"total": math.nan, "color": 0.0}},
        {"mean": {"total": 0.0}},
        {"mean": {"total": 0.0, "beauty": 0.0}},
    ],
)
def test_numbers_that_calibrate_nothing_are_refused(changes: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate({**CALIBRATION.model_dump(), **changes})


def test_it_survives_json() -> None:
    assert Calibration.model_validate_json(CALIBRATION.model_dump_json()) == CALIBRATION
