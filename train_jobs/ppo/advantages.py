"""Advantages of sampled tokens: with a critic (GAE), or against the other samples of a group. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from actors.errors import BadInput
from train_jobs.ppo.masks import refuse_misfits, refuse_rows, refuse_scores, seen

SMALLEST_DEVIATION = 1e-6
"""Added to a group's standard deviation, as in verl."""


@dataclass(frozen=True)
class Estimate:
    """What an action was worth, [sequences, tokens] each; 0 where the mask is false; no gradients."""

    advantages: Tensor
    """Above what the critic expected, reward units; not whitened."""
    returns: Tensor
    """What the critic should have said: advantages + values."""


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, discount: float = 1.0, decay: float = 0.95
) -> Estimate:
    """Generalized advantage estimation over the tokens of the mask only.

    The next value and the decayed sum are carried across masked tokens: a tool's answer between two turns
    takes no step of discount or decay, and padding cannot leak. Rewards and values under a false mask are
    never read. After the last token the value is 0.

    Args:
        rewards: [sequences, tokens].
        values: of the state before each token, [sequences, tokens].
        mask: tokens that the policy chose, [sequences, tokens] bool.
        discount: gamma a token, 0..1.
        decay: lambda, 0..1; 1 is the return minus the value, 0 the one-step error.

    Raises:
        BadInput: the shapes do not fit, or a number is outside 0..1.

    Source: Schulman et al. 2016, arXiv 1506.02438.
    """
    refuse_misfits(mask, rewards=rewards, values=values)
    for name, given in (("discount", discount), ("decay", decay)):
        if not 0 <= given <= 1:
            raise BadInput(f"{name} {given}; accepted: 0 to 1")
    with torch.no_grad():
        rewards, values = seen(rewards, mask), seen(values, mask)
        advantages = torch.zeros_like(rewards + values)
        ahead = next_value = advantages.new_zeros(len(mask))
        for t in reversed(range(mask.shape[1])):
            error = rewards[:, t] + discount * next_value - values[:, t]
            ahead = torch.where(mask[:, t], error + discount * decay * ahead, ahead)
            next_value = torch.where(mask[:, t], values[:, t], next_value)
            advantages[:, t] = ahead
        advantages = seen(advantages, mask)
        return Estimate(advantages, advantages + values)


def grpo_advantages(scores: Tensor, groups: Tensor, mask: Tensor, by_deviation: bool = True) -> Tensor:
    """Score minus the group's mean, on every token of the sequence, [sequences, tokens].

    Args:
        scores: [sequences], finite.
        groups: which prompt a sequence answers, [sequences] int64, any numbers. A group must be whole: all
            its sequences are in this call.
        mask: [sequences, tokens] bool.
        by_deviation: divide by the group's unbiased standard deviation (GRPO); without, Dr.GRPO.

    Returns:
        0 where the mask is false, and for a group of one, which has nothing to be compared with.

    Raises:
        BadInput: the shapes do not fit, or a score is not finite.

    Sources: GRPO, Shao et al. 2024, arXiv 2402.03300; Dr.GRPO, Liu et al. 2025, arXiv 2503.20783.
    """
    place, sizes = _grouped(scores, groups, mask)
    deviations = _centred(scores, place, sizes)
    if by_deviation:
        squares = sizes.new_zeros(len(sizes)).index_add_(0, place, deviations.square())
        deviations = deviations / ((squares / (sizes - 1).clamp(min=1)).sqrt() + SMALLEST_DEVIATION)[place]
    return _on_tokens(deviations, scores, mask)


def rloo_advantages(scores: Tensor, groups: Tensor, mask: Tensor) -> Tensor:
    """Score minus the mean of the OTHER samples of the group, on every token, [sequences, tokens].

    Arguments, result and errors are those of `grpo_advantages`.

    Source: Ahmadian et al. 2024, arXiv 2402.14740.
    """
    place, sizes = _grouped(scores, groups, mask)
    # n / (n - 1) * (score - mean of all) equals score - mean of the others.
    return _on_tokens(
        _centred(scores, place, sizes) * (sizes / (sizes - 1).clamp(min=1))[place], scores, mask
    )


def against_peers(rewards: Tensor, groups: Tensor, mask: Tensor) -> Tensor:
    """Rewards less the mean of the OTHER answers of the group at the same token, [sequences, tokens].

    For answers that decide the same things in the same order: then a token's peers are other decisions in the
    same place, and their mean is a baseline without a critic. `gae` of the result sums it up, with values 0.

    Args:
        rewards: finite where the mask is true, [sequences, tokens].
        groups: which query a sequence answers, [sequences] int64, any numbers; a group must be whole.
        mask: [sequences, tokens] bool.

    Returns:
        0 where the mask is false, and for a token without peers.

    Raises:
        BadInput: the shapes do not fit.
    """
    refuse_misfits(mask, rewards=rewards)
    refuse_rows("groups", groups, len(mask), torch.int64)
    _, place = torch.unique(groups, return_inverse=True)
    paid, present = seen(rewards.detach(), mask), mask.to(rewards.dtype)
    empty = rewards.new_zeros(int(place.max()) + 1 if len(place) else 0, rewards.shape[1])
    sums, counts = (empty.index_add(0, place, each)[place] for each in (paid, present))
    others = counts - present
    baseline = (sums - paid) / others.clamp(min=1)
    return torch.where(mask & (others > 0), paid - baseline, torch.zeros_like(paid))


def _grouped(scores: Tensor, groups: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    refuse_misfits(mask)
    refuse_scores(scores)
    refuse_rows("groups", groups, len(mask), torch.int64)
    refuse_rows("scores", scores, len(mask), scores.dtype)
    _, place, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    return place, sizes.to(torch.float64)


def _centred(scores: Tensor, place: Tensor, sizes: Tensor) -> Tensor:
    # float64: equal float32 scores differ from their mean by rounding, which the deviation would blow up.
    known = scores.detach().to(torch.float64)
    return known - (sizes.new_zeros(len(sizes)).index_add_(0, place, known) / sizes)[place]


def _on_tokens(each: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    return seen(each.to(scores.dtype).unsqueeze(1).expand(mask.shape), mask)
