"""Our maths and verl's are the same, on random masks. The other tests need no verl."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.ppo.ppo_kit import Batch, batches
from train_jobs.ppo.advantages import gae, grpo_advantages, rloo_advantages
from train_jobs.ppo.aggregation import Averaging, Whole, aggregate
from train_jobs.ppo.kl import AdaptiveKL, Estimator, kl_per_token
from train_jobs.ppo.losses import Clipping, policy_loss, value_loss
from train_jobs.ppo.moments import whiten

ORACLES = Path(sys.prefix) / "oracles"
pytestmark = pytest.mark.skipif(
    not (ORACLES / "verl").exists(), reason="verl is not installed; `make oracles` installs it"
)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}
MODES = {
    Averaging.TOKENS: "token-mean",
    Averaging.SEQUENCE_SUMS: "seq-mean-token-sum",
    Averaging.SEQUENCE_MEANS: "seq-mean-token-mean",
}
averagings = st.sampled_from(Averaging)
some = settings(deadline=None, max_examples=30)


@pytest.fixture(scope="module")
def verl() -> Iterator[Any]:
    """verl's module; what importing it does to paths, logging and environment is undone."""
    before, handlers = dict(os.environ), logging.root.handlers.copy()
    sys.path.append(str(ORACLES))
    try:
        from verl.trainer.ppo import core_algos

        yield core_algos
    finally:
        sys.path.remove(str(ORACLES))
        logging.root.handlers[:] = handlers
        os.environ.clear()
        os.environ.update(before)


def hidden(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, torch.zeros_like(values))


def names(groups: Tensor) -> Any:
    return np.array([str(int(group)) for group in groups], dtype=object)


@given(batch=batches(least=1), discount=st.sampled_from((0.9, 1.0)), decay=st.sampled_from((0.0, 0.95, 1.0)))
@some
def test_gae(verl: Any, batch: Batch, discount: float, decay: float) -> None:
    rewards, values, mask = batch.tensor(0), batch.tensor(1), batch.mask
    if mask.sum() < 2:  # verl whitens, and refuses one token
        return
    theirs, returns = verl.compute_gae_advantage_return(rewards, values, mask.double(), discount, decay)
    ours = gae(rewards, values, mask, discount, decay)
    torch.testing.assert_close(ours.returns, hidden(returns, mask), **CLOSE)
    torch.testing.assert_close(whiten(ours.advantages, mask), hidden(theirs, mask), **CLOSE)


@given(batch=batches())
@some
def test_grpo(verl: Any, batch: Batch) -> None:
    """verl leaves the score of a group of one as it is; ours is 0."""
    scores, groups, mask = batch.scores(), batch.groups(), batch.mask
    several = torch.tensor([int((groups == group).sum()) > 1 for group in groups])
    rewards = torch.zeros(mask.shape, dtype=torch.float64)
    rewards[:, 0] = scores
    for by in (True, False):
        theirs, _ = verl.compute_grpo_outcome_advantage(
            rewards.clone(), mask.double(), names(groups), norm_adv_by_std_in_grpo=by
        )
        ours = grpo_advantages(scores, groups, mask, by)
        torch.testing.assert_close(ours[several], theirs[several], **CLOSE)


@given(batch=batches())
@some
def test_rloo(verl: Any, batch: Batch) -> None:
    scores, groups, mask = batch.scores(), batch.groups(), batch.mask
    several = torch.tensor([int((groups == group).sum()) > 1 for group in groups])
    rewards = torch.zeros(mask.shape, dtype=torch.float64)
    rewards[:, -1] = scores
    ours = rloo_advantages(scores, groups, mask)
    theirs, _ = verl.compute_rloo_outcome_advantage(rewards.clone(), mask.double(), names(groups))
    torch.testing.assert_close(ours[several], theirs[several], **CLOSE)
    vectorised, _ = verl.compute_rloo_vectorized_outcome_advantage(rewards, mask.double(), names(groups))
    torch.testing.assert_close(ours, vectorised, **CLOSE)


@given(batch=batches(least=1), averaging=averagings, parts=st.integers(1, 3))
@some
def test_aggregation(verl: Any, batch: Batch, averaging: Averaging, parts: int) -> None:
    """Also as one of several data-parallel ranks, whose gradients are averaged."""
    each, mask = batch.tensor(0), batch.mask
    own = Whole.of(mask)
    whole = Whole(own.tokens * parts, own.sequences * parts)
    theirs = verl.agg_loss(each, mask.double(), MODES[averaging], parts, whole.tokens, whole.sequences)
    torch.testing.assert_close(parts * aggregate(each, mask, whole, averaging), theirs.double(), **CLOSE)


@given(
    batch=batches(least=1),
    averaging=averagings,
    clipping=st.sampled_from((Clipping(), Clipping(0.1, 0.4, 1.5))),
    spread=st.sampled_from((0.1, 0.7, 9.0)),
    weighed=st.booleans(),
)
@some
def test_policy_loss(
    verl: Any, batch: Batch, averaging: Averaging, clipping: Clipping, spread: float, weighed: bool
) -> None:
    from verl.workers.config import ActorConfig

    config = ActorConfig(
        strategy="fsdp",
        rollout_n=1,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=clipping.low,
        clip_ratio_high=clipping.high,
        clip_ratio_c=clipping.dual,
    )
    old, gains, mask = batch.tensor(1, spread), batch.tensor(2), batch.mask
    weights = batch.tensor(3).abs() if weighed else None
    one, other = (batch.tensor(0, spread).requires_grad_() for _ in range(2))
    ours = policy_loss(one, old, gains, mask, Whole.of(mask), clipping, averaging, weights)
    theirs, metrics = verl.compute_policy_loss_vanilla(
        old, other, gains, mask.double(), MODES[averaging], config, weights
    )
    torch.testing.assert_close(ours.total, theirs, **CLOSE)
    ours.total.backward()
    theirs.backward()
    torch.testing.assert_close(one.grad, other.grad, **CLOSE)
    clipped = float(ours.clipped_high + ours.clipped_low)
    assert clipped == pytest.approx(metrics["actor/pg_clipfrac"], abs=1e-6)
    assert float(ours.clipped_dual) == pytest.approx(metrics["actor/pg_clipfrac_lower"], abs=1e-6)
    assert float(ours.ppo_kl) == pytest.approx(metrics["actor/ppo_kl"], rel=1e-6, abs=1e-6)


@given(batch=batches(least=1), averaging=averagings, clip=st.sampled_from((0.1, 0.5, 2.0)))
@some
def test_value_loss(verl: Any, batch: Batch, averaging: Averaging, clip: float) -> None:
    old, goals, mask = batch.tensor(1), batch.tensor(2), batch.mask
    one, other = (batch.tensor(0).requires_grad_() for _ in range(2))
    ours = value_loss(one, old, goals, mask, Whole.of(mask), clip, averaging)
    theirs, clipped = verl.compute_value_loss(other, goals, old, mask.double(), clip, MODES[averaging])
    torch.testing.assert_close(ours.total, theirs, **CLOSE)
    ours.total.backward()
    theirs.backward()
    torch.testing.assert_close(one.grad, other.grad, **CLOSE)
    assert float(ours.clipped) == pytest.approx(float(clipped), abs=1e-6)


@given(batch=batches(), estimator=st.sampled_from(Estimator), spread=st.sampled_from((0.05, 1.0, 30.0)))
@some
def test_kl(verl: Any, batch: Batch, estimator: Estimator, spread: float) -> None:
    """verl clamps k3 to +-10; ours clamps all three."""
    policy, reference, mask = batch.tensor(0, spread), batch.tensor(1, spread), batch.mask
    theirs = verl.kl_penalty(policy, reference, estimator.value).clamp(-10, 10)
    ours = kl_per_token(policy, reference, mask, estimator)
    torch.testing.assert_close(ours, hidden(theirs, mask), **CLOSE)


@given(measured=st.lists(st.floats(-5, 5), max_size=6))
@some
def test_adaptive_controller(verl: Any, measured: list[float]) -> None:
    ours, theirs = AdaptiveKL(0.2, target=0.7, horizon=300), verl.AdaptiveKLController(0.2, 0.7, 300)
    for kl in measured:
        ours = ours.after(kl, 64)
        theirs.update(kl, 64)
    assert ours.coefficient == pytest.approx(theirs.value, rel=1e-9)
