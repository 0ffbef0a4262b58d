from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import BadInput
from actors.judge.calibration.agreement import cohen_kappa, krippendorff_alpha

N = None
FOUR_CODERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]
"""Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C."""

ratings = st.integers(2, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.none() | st.integers(0, 4), min_size=raters, max_size=raters), min_size=2, max_size=12
    )
)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level: str, alpha: float) -> None:
    assert krippendorff_alpha(FOUR_CODERS, level) == pytest.approx(alpha, abs=0.0005)  # type: ignore[arg-type]


def test_alpha_takes_nan_for_a_gap() -> None:
    gaps = [[math.nan if v is None else v for v in row] for row in FOUR_CODERS]
    assert krippendorff_alpha(gaps) == krippendorff_alpha(FOUR_CODERS)


def test_alpha_of_two_coders_by_hand() -> None:
    # Coincidences: aa 2, ab 1, ba 1, bb 2; so 1 - (6 - 1) * 2 / (2 * 3 * 3).
    assert krippendorff_alpha([[0, 0, 1], [0, 1, 1]]) == pytest.approx(1 - 5 * 2 / 18)


def test_alpha_is_one_in_agreement_and_none_without_variation() -> None:
    assert krippendorff_alpha([[1, 2, 3], [1, 2, 3]], "ordinal") == pytest.approx(1.0)
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1, None], [None, 2]]) is None
    assert krippendorff_alpha([]) is None


@given(ratings, st.randoms(use_true_random=False))
def test_alpha_knows_no_order_of_raters_and_units(units: list[list[int | None]], rng: random.Random) -> None:
    mixed = [list(unit) for unit in units]
    rng.shuffle(mixed)
    raters = list(zip(*mixed, strict=True))
    rng.shuffle(raters)
    for level in ("nominal", "ordinal", "interval"):
        one = krippendorff_alpha(list(zip(*units, strict=True)), level)  # type: ignore[arg-type]
        other = krippendorff_alpha(raters, level)  # type: ignore[arg-type]
        assert (one is None) == (other is None)
        assert one is None or other is None or one == pytest.approx(other)


@given(ratings)
def test_alpha_of_steps_does_not_hang_on_the_unit(units: list[list[int | None]]) -> None:
    rows = list(zip(*units, strict=True))
    scaled = [[None if v is None else 7 - 3 * v for v in row] for row in rows]
    one, other = krippendorff_alpha(rows, "interval"), krippendorff_alpha(scaled, "interval")
    assert (one is None) == (other is None)
    assert one is None or other is None or one == pytest.approx(other)


def test_kappa_of_cohens_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, expected 0.5.
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_weighted_kappa_by_hand() -> None:
    first, second = [0, 0, 1, 2], [0, 1, 1, 0]
    assert cohen_kappa(first, second, weights="linear") == pytest.approx(1 - 3 / 3)
    assert cohen_kappa(first, second, weights="quadratic") == pytest.approx(1 - 5 / 4)


def test_weights_count_steps_in_the_given_order() -> None:
    first, second = ["low", "high", "low"], ["low", "low", "middle"]
    natural = cohen_kappa(first, second, ["low", "middle", "high"], "linear")
    assert natural != cohen_kappa(first, second, ["low", "high", "middle"], "linear")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_kappa_is_symmetric_and_at_most_one(pairs: list[tuple[int, int]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    for weights in ("none", "linear", "quadratic"):
        one = cohen_kappa(first, second, weights=weights)  # type: ignore[arg-type]
        other = cohen_kappa(second, first, weights=weights)  # type: ignore[arg-type]
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one == pytest.approx(other)
            assert one <= 1.0 + 1e-12


def test_kappa_is_none_where_it_is_not_defined() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa([1, 1], [1, 1]) is None


def test_bad_ratings_are_refused() -> None:
    with pytest.raises(BadInput, match="2 and 1 ratings"):
        cohen_kappa([1, 2], [1])
    with pytest.raises(BadInput, match="category 3"):
        cohen_kappa([1], [3], [1, 2])
    with pytest.raises(BadInput, match="rows"):
        krippendorff_alpha([[1, 2], [1]])
