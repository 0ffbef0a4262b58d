from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.errors import BadInput
from tests.ppo.ppo_kit import Batch, batches, spoilt
from train_jobs.ppo.aggregation import Whole
from train_jobs.ppo.correction import Level, importance_weights, mismatch_kl


@given(batches(), st.sampled_from((0.01, 0.5, 30.0)), st.sampled_from((1.0, 2.0, 1e12)))
@settings(deadline=None, max_examples=60)
def test_weights_are_those_written_out(batch: Batch, spread: float, cap: float) -> None:
    ours, theirs, mask = batch.tensor(0, spread), batch.tensor(1, spread), batch.mask
    given_ones = spoilt(ours, mask), spoilt(theirs, mask), mask, cap
    token, sequence = (importance_weights(*given_ones, level) for level in (Level.TOKEN, Level.SEQUENCE))
    for row in range(len(mask)):
        gaps = [float(ours[row, t] - theirs[row, t]) for t in range(mask.shape[1])]
        total = sum(gap for gap, real in zip(gaps, mask[row], strict=True) if real)
        for t, gap in enumerate(gaps):
            real = float(mask[row, t])
            for found, log_ratio in ((token, gap), (sequence, total)):
                wanted = min(cap, math.exp(max(-20.0, min(20.0, log_ratio)))) * real
                assert float(found[row, t]) == pytest.approx(wanted, rel=1e-9)


def test_the_two_levels_differ() -> None:
    ours, theirs = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.5, -0.5]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert importance_weights(ours, theirs, mask, 9.0)[0].tolist() == pytest.approx(
        [math.exp(0.5), math.exp(-0.5)]
    )
    assert importance_weights(ours, theirs, mask, 9.0, Level.SEQUENCE)[0].tolist() == pytest.approx(
        [1.0, 1.0]
    )


def test_weights_have_no_gradient() -> None:
    ours = torch.zeros(1, 2, requires_grad=True)
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert not importance_weights(ours, torch.zeros(1, 2), mask).requires_grad
    assert not mismatch_kl(ours, torch.zeros(1, 2), mask, Whole(2, 1)).requires_grad


@given(batches())
@settings(deadline=None, max_examples=40)
def test_the_mismatch_is_the_mean_of_k3_from_the_engine(batch: Batch) -> None:
    ours, theirs, mask = batch.tensor(0, 0.3), batch.tensor(1, 0.3), batch.mask
    whole = Whole.of(mask)
    gaps = (ours - theirs)[mask].tolist()
    wanted = sum(math.exp(gap) - gap - 1 for gap in gaps) / max(1, len(gaps))
    cut = len(mask) // 2
    parts = [mismatch_kl(ours[r], theirs[r], mask[r], whole) for r in (slice(cut), slice(cut, None))]
    assert float(sum(parts)) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    dirty = mismatch_kl(spoilt(ours, mask), spoilt(theirs, mask), mask, whole)
    assert float(dirty) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_the_divergence_is_from_the_engine_to_the_trainer() -> None:
    """Weighed by the engine's probabilities the estimate is KL(engine || trainer), and not the other."""
    engine, trainer = torch.tensor([[0.7, 0.3]]).double(), torch.tensor([[0.5, 0.5]]).double()
    each = [
        float(
            mismatch_kl(
                trainer.log()[:, i : i + 1], engine.log()[:, i : i + 1], torch.ones(1, 1).bool(), Whole(1, 1)
            )
        )
        for i in range(2)
    ]
    true = float((engine * (engine / trainer).log()).sum())
    assert 0.7 * each[0] + 0.3 * each[1] == pytest.approx(true)


def test_a_cap_below_one_and_misfits_are_refused() -> None:
    zero, mask = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    for cap in (0.5, math.nan):
        with pytest.raises(BadInput, match="a cap of"):
            importance_weights(zero, zero, mask, cap)
    with pytest.raises(BadInput, match="rollout of shape"):
        importance_weights(zero, torch.zeros(2, 2), mask)
