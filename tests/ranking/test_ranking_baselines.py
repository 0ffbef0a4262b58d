from __future__ import annotations

import cv2
import numpy as np
import pytest

from actors.contracts import Dimension, PairRecord
from actors.errors import BadInput
from tests.pairs.pair_kit import sample
from train_jobs.ranking.baselines import judge_features, laplacian_variance, random_baseline

TOTAL, COLOR, LIGHTING, STYLE = Dimension.TOTAL, Dimension.COLOR, Dimension.LIGHTING, Dimension.STYLE_FIT


def scored(scores: dict[Dimension, tuple[float, float]], labels: dict[Dimension, float]) -> PairRecord:
    both = {name: {"winner": winner, "loser": loser} for name, (winner, loser) in scores.items()}
    return sample().record.model_copy(update={"scores": both, "labels": labels})


def test_chance_is_even_and_repeats() -> None:
    found = random_baseline(10_000, 3)
    assert found.shape == (10_000,)
    assert (found > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (found == random_baseline(10_000, 3)).all()
    assert (found != random_baseline(10_000, 4)).any()


def test_sharpness_by_hand() -> None:
    pixels = np.zeros((5, 5, 3), np.uint8)
    pixels[2, 2] = 100
    # The kernel 0 1 0, 1 -4 1, 0 1 0 leaves -400 and four times 100 of 25 values; their mean is 0.
    assert laplacian_variance(pixels) == pytest.approx((400**2 + 4 * 100**2) / 25)


def test_a_blurred_picture_is_less_sharp() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    assert laplacian_variance(np.full((9, 9, 3), 200, np.uint8)) == 0.0
    assert laplacian_variance(cv2.blur(pixels, (3, 3))) < 0.5 * laplacian_variance(pixels)
    assert laplacian_variance(pixels[:, ::-1]) == pytest.approx(laplacian_variance(pixels))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(BadInput, match="accepted: uint8"):
        laplacian_variance(pixels)


def test_sub_scores_are_turned_to_the_side_that_won_each() -> None:
    record = scored(
        {TOTAL: (1.0, 0.0), COLOR: (0.9, 0.4), LIGHTING: (0.8, 0.7)}, {TOTAL: 0.9, COLOR: 0.8, LIGHTING: 0.2}
    )
    assert judge_features(record) == pytest.approx((0.5 - 0.1) / 2)


def test_the_total_takes_no_part() -> None:
    assert judge_features(scored({TOTAL: (1.0, 0.0)}, {TOTAL: 0.9})) is None


def test_a_dimension_counts_only_where_its_sides_are_known() -> None:
    known = {COLOR: (0.9, 0.4)}
    assert judge_features(scored({**known, LIGHTING: (0.5, 0.5)}, {COLOR: 1.0, LIGHTING: 0.5})) == 0.25
    assert judge_features(scored({**known, LIGHTING: (0.9, 0.1)}, {COLOR: 1.0, LIGHTING: 0.5})) == 0.5
    assert judge_features(scored({**known, LIGHTING: (0.9, 0.1)}, {COLOR: 1.0})) == 0.5
    assert judge_features(scored(known, {COLOR: 1.0, LIGHTING: 1.0})) == 0.5


def test_no_score_is_none() -> None:
    assert judge_features(scored({}, {TOTAL: 1.0, COLOR: 1.0})) is None
    half = sample().record.model_copy(update={"scores": {STYLE: {"winner": 1.0}}, "labels": {STYLE: 1.0}})
    assert judge_features(half) is None
