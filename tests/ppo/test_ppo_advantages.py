from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actors.errors import BadInput
from tests.ppo.ppo_kit import Batch, batches, spoilt
from train_jobs.ppo.advantages import against_peers, gae, grpo_advantages, rloo_advantages

shares = st.sampled_from((0.0, 0.5, 0.95, 1.0))


def by_hand(rewards: Tensor, values: Tensor, mask: Tensor, discount: float, decay: float) -> Tensor:
    """The definition: the real tokens of a row are one episode, whatever lies between them."""
    result = torch.zeros_like(rewards)
    for row in range(len(mask)):
        steps = [t for t in range(mask.shape[1]) if mask[row, t]]
        errors = []
        for number, t in enumerate(steps):
            after = float(values[row, steps[number + 1]]) if number + 1 < len(steps) else 0.0
            errors.append(float(rewards[row, t]) + discount * after - float(values[row, t]))
        for number, t in enumerate(steps):
            result[row, t] = sum(
                (discount * decay) ** later * error for later, error in enumerate(errors[number:])
            )
    return result


def unmasked(rewards: Tensor, values: Tensor, discount: float, decay: float) -> Tensor:
    """The loop of TRL and SkyRL, which needs zeros under padding."""
    result = torch.zeros_like(rewards)
    tokens = rewards.shape[1]
    ahead = torch.zeros(len(rewards), dtype=rewards.dtype)
    for t in reversed(range(tokens)):
        after = values[:, t + 1] if t + 1 < tokens else torch.zeros_like(ahead)
        ahead = rewards[:, t] + discount * after - values[:, t] + discount * decay * ahead
        result[:, t] = ahead
    return result


@given(batches(), shares, shares)
@settings(deadline=None, max_examples=60)
def test_gae_is_the_sum_written_out(batch: Batch, discount: float, decay: float) -> None:
    rewards, values = batch.tensor(0), batch.tensor(1)
    found = gae(rewards, values, batch.mask, discount, decay)
    expected = by_hand(rewards, values, batch.mask, discount, decay)
    torch.testing.assert_close(found.advantages, expected, rtol=1e-12, atol=1e-12)
    wanted = torch.where(batch.mask, expected + values, torch.zeros_like(values))
    torch.testing.assert_close(found.returns, wanted, rtol=1e-12, atol=1e-12)


def test_without_decay_the_advantage_is_the_return_less_the_value() -> None:
    rewards, values = torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.25, 0.75]])
    found = gae(rewards, values, torch.ones(1, 3, dtype=torch.bool), 1.0, 1.0)
    assert found.returns.tolist() == [[1.0, 1.0, 1.0]]
    assert found.advantages.tolist() == [[0.5, 0.75, 0.25]]


def test_padding_leaks_through_a_loop_without_a_mask_and_not_through_ours() -> None:
    batch = Batch(torch.arange(8) < torch.tensor([[3], [5], [8]]), 7)
    clean = [torch.where(batch.mask, batch.tensor(name), torch.zeros(())) for name in (0, 1)]
    dirty = [torch.where(batch.mask, tensor, torch.tensor(3.0)) for tensor in clean]
    moved = (unmasked(*dirty, 1.0, 0.95) - unmasked(*clean, 1.0, 0.95))[batch.mask]
    assert moved.abs().max() > 1
    ours = gae(*clean, batch.mask), gae(*dirty, batch.mask)
    assert torch.equal(ours[0].advantages, ours[1].advantages)
    torch.testing.assert_close(
        ours[0].advantages[batch.mask], unmasked(*clean, 1.0, 0.95)[batch.mask], rtol=1e-12, atol=1e-12
    )


@given(batches())
@settings(deadline=None, max_examples=40)
def test_what_is_masked_is_never_read(batch: Batch) -> None:
    rewards, values = batch.tensor(0), batch.tensor(1)
    one = gae(rewards, values, batch.mask)
    other = gae(spoilt(rewards, batch.mask), spoilt(values, batch.mask), batch.mask)
    assert torch.equal(one.advantages, other.advantages)
    assert torch.equal(one.returns, other.returns)
    assert not other.returns[~batch.mask].any()


def test_another_turn_takes_no_step_of_decay() -> None:
    """Closing the gap that a tool's answer makes changes nothing."""
    rewards, values = torch.tensor([[1.0, 9.0, 9.0, 2.0]]), torch.tensor([[0.5, 9.0, 9.0, 0.25]])
    apart = gae(rewards, values, torch.tensor([[True, False, False, True]]), 0.9, 0.8).advantages
    closed = gae(rewards[:, [0, 3]], values[:, [0, 3]], torch.ones(1, 2, dtype=torch.bool), 0.9, 0.8)
    assert apart[:, [0, 3]].tolist() == closed.advantages.tolist()


def test_no_gradient_flows_into_the_critic() -> None:
    values = torch.zeros(1, 2, requires_grad=True)
    found = gae(torch.ones(1, 2), values, torch.ones(1, 2, dtype=torch.bool))
    assert not found.advantages.requires_grad
    assert not found.returns.requires_grad


def test_half_precision_is_summed_in_full() -> None:
    rewards = torch.full((1, 300), 1.0, dtype=torch.bfloat16)
    found = gae(rewards, torch.zeros_like(rewards), torch.ones(1, 300, dtype=torch.bool), 1.0, 1.0)
    assert found.advantages[0, 0] == 300


@pytest.mark.parametrize(
    "of", [{"discount": 1.01}, {"discount": -0.1}, {"decay": 2.0}, {"decay": float("nan")}]
)
def test_gae_refuses_numbers_outside_their_range(of: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="accepted: 0 to 1"):
        gae(torch.zeros(1, 2), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), **of)


def test_gae_refuses_what_does_not_fit() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(BadInput, match=r"values of shape \(2, 4\)"):
        gae(torch.zeros(2, 3), torch.zeros(2, 4), mask)
    with pytest.raises(BadInput, match=r"torch\.bool"):
        gae(torch.zeros(2, 3), torch.zeros(2, 3), mask.float())
    with pytest.raises(BadInput, match="rewards"):
        gae(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3), mask)


def members(groups: Tensor, row: int, scores: Tensor) -> list[float]:
    return [float(scores[other]) for other in range(len(groups)) if groups[other] == groups[row]]


@given(batches())
@settings(deadline=None, max_examples=60)
def test_groups_are_compared_as_written_out(batch: Batch) -> None:
    scores, groups, mask = batch.scores(), batch.groups(), batch.mask
    grpo, plain = (grpo_advantages(scores, groups, mask, by_deviation=by) for by in (True, False))
    rloo = rloo_advantages(scores, groups, mask)
    for row in range(len(mask)):
        own, every = float(scores[row]), members(groups, row, scores)
        mean = sum(every) / len(every)
        spread = statistics.stdev(every) if len(every) > 1 else 0.0
        others = (sum(every) - own) / (len(every) - 1) if len(every) > 1 else own
        for t in range(mask.shape[1]):
            real = float(mask[row, t])
            assert float(grpo[row, t]) == pytest.approx(real * (own - mean) / (spread + 1e-6), abs=1e-9)
            assert float(plain[row, t]) == pytest.approx(real * (own - mean), abs=1e-9)
            assert float(rloo[row, t]) == pytest.approx(real * (own - others), abs=1e-9)


@pytest.mark.parametrize("of", [grpo_advantages, rloo_advantages])
def test_a_group_that_agrees_or_is_alone_teaches_nothing(of: object) -> None:
    """In float32 the mean of three equal scores is not the score, and its deviation not 0."""
    assert callable(of)
    scores = torch.tensor([0.1, 0.1, 0.1, 5.0])
    found = of(scores, torch.tensor([1, 1, 1, 2]), torch.ones(4, 2, dtype=torch.bool))
    assert found.abs().max() < 1e-8


def test_groups_need_whole_numbers_and_finite_scores() -> None:
    mask, scores = torch.ones(2, 3, dtype=torch.bool), torch.zeros(2)
    with pytest.raises(BadInput, match="groups of shape"):
        rloo_advantages(scores, torch.zeros(3, dtype=torch.int64), mask)
    with pytest.raises(BadInput, match="groups of shape"):
        grpo_advantages(scores, torch.zeros(2), mask)
    with pytest.raises(BadInput, match="sequence 1 is nan"):
        grpo_advantages(torch.tensor([0.0, float("nan")]), torch.zeros(2, dtype=torch.int64), mask)
    with pytest.raises(BadInput, match="scores of shape"):
        grpo_advantages(torch.zeros(3), torch.zeros(2, dtype=torch.int64), mask)


@given(st.integers(0, 10_000))
def test_peers_are_the_other_answers_at_the_same_token(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(7, 4, generator=generator) < 0.7
    groups = torch.randint(0, 3, (7,), generator=generator)
    rewards[~mask] = math.nan  # nobody may read what stands outside the mask
    found = against_peers(rewards, groups, mask)
    for row in range(7):
        for token in range(4):
            peers = [
                float(rewards[other, token])
                for other in range(7)
                if other != row and groups[other] == groups[row] and mask[other, token]
            ]
            expected = float(rewards[row, token]) - sum(peers) / len(peers) if peers else 0.0
            assert float(found[row, token]) == pytest.approx(expected if mask[row, token] else 0.0, abs=1e-9)
