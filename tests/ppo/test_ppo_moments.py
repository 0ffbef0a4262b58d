from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given, settings

from actors.errors import BadInput
from tests.ppo.ppo_kit import Batch, batches, spoilt
from train_jobs.ppo.moments import Moments, explained_variance, whiten


@given(batches())
@settings(deadline=None, max_examples=60)
def test_moments_are_those_of_the_real_values(batch: Batch) -> None:
    values = batch.tensor(0, mean=3.0)
    known = values[batch.mask].tolist()
    found = Moments.of(spoilt(values, batch.mask), batch.mask)
    assert found.count == len(known)
    assert found.mean == pytest.approx(sum(known) / max(1, len(known)))
    spread = statistics.variance(known) if len(known) > 1 else 0.0
    assert found.variance == pytest.approx(spread, rel=1e-9, abs=1e-12)


@given(batches())
@settings(deadline=None, max_examples=60)
def test_whitened_values_are_those_written_out(batch: Batch) -> None:
    values = batch.tensor(0, spread=4.0, mean=3.0)
    known = values[batch.mask].tolist()
    mean = sum(known) / max(1, len(known))
    spread = math.sqrt((statistics.variance(known) if len(known) > 1 else 0.0) + 1e-8)
    white, scaled = (whiten(spoilt(values, batch.mask), batch.mask, keep_mean=keep) for keep in (False, True))
    expected = [(value - mean) / spread for value in known]
    assert white[batch.mask].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert scaled[batch.mask].tolist() == pytest.approx([e + mean for e in expected], rel=1e-9, abs=1e-9)
    assert not white[~batch.mask].any()
    assert not scaled[~batch.mask].any()


@given(batches(least=1))
@settings(deadline=None, max_examples=40)
def test_whitening_in_parts_is_whitening_the_whole(batch: Batch) -> None:
    values, mask = batch.tensor(0, mean=-2.0), batch.mask
    cut = len(mask) // 2
    whole = Moments.of(values[:cut], mask[:cut]) + Moments.of(values[cut:], mask[cut:])
    parts = [whiten(values[rows], mask[rows], whole) for rows in (slice(cut), slice(cut, None))]
    torch.testing.assert_close(torch.cat(parts), whiten(values, mask), rtol=1e-9, atol=1e-9)


def test_a_small_spread_far_from_zero_survives() -> None:
    """In float32 the square of 4096 leaves no digit for a deviation of 0.01."""
    values = torch.tensor([[4096.0, 4096.01, 4095.99, 4096.0]], dtype=torch.float32)
    found = Moments.of(values, torch.ones(1, 4, dtype=torch.bool))
    assert found.variance == pytest.approx(statistics.variance(values[0].tolist()), rel=1e-4)


def test_equal_values_become_zero_not_nan() -> None:
    for count in (1, 3):
        values = torch.full((1, count), 0.1)
        assert whiten(values, torch.ones(1, count, dtype=torch.bool)).abs().max() < 1e-3


def test_explained_variance() -> None:
    mask = torch.tensor([[True, True, True, False]])
    returns = torch.tensor([[1.0, 2.0, 4.0, 99.0]])

    def of(values: torch.Tensor) -> float:
        return explained_variance(Moments.of(returns - values, mask), Moments.of(returns, mask))

    assert of(returns) == 1.0
    assert of(returns + 5) == pytest.approx(1.0)
    assert of(torch.zeros(1, 4)) == pytest.approx(0.0)
    assert of(-returns) == pytest.approx(-3.0)
    assert of(torch.tensor([[1.0, 2.0, 2.0, 0.0]])) == pytest.approx(1 - (4 / 3) / (7 / 3))
    same = Moments.of(torch.ones(1, 4), mask)
    assert math.isnan(explained_variance(same, same))


def test_a_misfit_is_refused() -> None:
    with pytest.raises(BadInput, match="values of shape"):
        Moments.of(torch.zeros(2, 2), torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(BadInput, match="values of shape"):
        whiten(torch.zeros(2, 2), torch.ones(2, 3, dtype=torch.bool), Moments(3, 0, 1))
