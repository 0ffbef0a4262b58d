from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings

from actors.errors import BadInput
from tests.ppo.ppo_kit import Batch, batches, spoilt
from train_jobs.ppo.rewards import (
    clip_scores,
    overlong_penalty,
    penalise_unended,
    token_rewards,
    without_truncated,
)


@given(batches())
@settings(deadline=None, max_examples=60)
def test_the_score_is_on_the_last_real_token_and_the_penalty_on_all(batch: Batch) -> None:
    scores, kl, mask = batch.scores(), batch.tensor(0), batch.mask
    found = token_rewards(scores, spoilt(kl, mask), mask, 0.3)
    for row in range(len(mask)):
        real = [t for t in range(mask.shape[1]) if mask[row, t]]
        for t in range(mask.shape[1]):
            wanted = -0.3 * float(kl[row, t]) if t in real else 0.0
            wanted += float(scores[row]) if real and t == real[-1] else 0.0
            assert float(found[row, t]) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_rewards_have_no_gradient() -> None:
    kl = torch.zeros(1, 2, requires_grad=True)
    assert not token_rewards(torch.ones(1), kl, torch.ones(1, 2, dtype=torch.bool), 0.1).requires_grad


def test_scores_are_held_within_the_limit() -> None:
    assert clip_scores(torch.tensor([-99.0, -10.0, 3.0, 11.0])).tolist() == [-10.0, -10.0, 3.0, 10.0]
    assert clip_scores(torch.tensor([-99.0, 0.5]), 1.0).tolist() == [-1.0, 0.5]


def test_a_response_without_its_end_costs() -> None:
    found = penalise_unended(torch.tensor([1.0, 1.0]), torch.tensor([True, False]), 1.5)
    assert found.tolist() == [1.0, -0.5]


def test_the_overlong_penalty_falls_evenly_through_the_cushion() -> None:
    lengths = torch.tensor([1, 80, 81, 90, 95, 100, 101, 1000])
    found = overlong_penalty(lengths, longest=100, cushion=20)
    assert found.tolist() == pytest.approx([0.0, 0.0, -0.05, -0.5, -0.75, -1.0, -1.0, -1.0])
    assert overlong_penalty(lengths, 100, 20, factor=0.5).tolist()[3] == pytest.approx(-0.25)
    assert overlong_penalty(lengths, 100, 100).tolist()[1] == pytest.approx(-0.8)


def test_truncated_responses_leave_the_loss_whole() -> None:
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    found = without_truncated(mask, torch.tensor([False, False, True]))
    assert found.tolist() == [[True, True], [True, False], [False, False]]
    assert mask[2].all()


def test_numbers_and_shapes_that_make_no_sense_are_refused() -> None:
    scores, mask = torch.zeros(2), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(BadInput, match="sequence 1 is inf"):
        clip_scores(torch.tensor([0.0, math.inf]))
    with pytest.raises(BadInput, match="limit of 0"):
        clip_scores(scores, 0.0)
    with pytest.raises(BadInput, match="ended of shape"):
        penalise_unended(scores, torch.ones(2), 1.0)
    with pytest.raises(BadInput, match="penalty of -1"):
        penalise_unended(scores, torch.ones(2, dtype=torch.bool), -1.0)
    for cushion in (0, 11):
        with pytest.raises(BadInput, match=f"cushion of {cushion}"):
            overlong_penalty(torch.tensor([1]), 10, cushion)
    with pytest.raises(BadInput, match="lengths of shape"):
        overlong_penalty(torch.tensor([1.0]), 10, 5)
    with pytest.raises(BadInput, match="scores of shape"):
        token_rewards(torch.zeros(3), torch.zeros(2, 3), mask, 0.1)
    with pytest.raises(BadInput, match="coefficient of nan"):
        token_rewards(scores, torch.zeros(2, 3), mask, math.nan)
    with pytest.raises(BadInput, match="truncated of shape"):
        without_truncated(mask, torch.zeros(3, dtype=torch.bool))
