"""The losses of the policy and of the critic, each a share of the whole batch's. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from actors.errors import BadInput
from train_jobs.ppo.aggregation import Averaging, Whole, aggregate
from train_jobs.ppo.kl import LOG_LIMIT
from train_jobs.ppo.masks import refuse_misfits, seen


@dataclass(frozen=True)
class Clipping:
    """How far the policy may move from the one that sampled before its gradient stops.

    Raises:
        BadInput: a number is not acceptable.
    """

    low: float = 0.2
    """For tokens worse than expected, down to a ratio of 1 - low; 0..1."""
    high: float = 0.2
    """For tokens better than expected, up to a ratio of 1 + high; 0 or more (DAPO: 0.28)."""
    dual: float | None = 3.0
    """For tokens worse than expected, up to this ratio, above 1; none: no such bound."""

    def __post_init__(self) -> None:
        if not (0 <= self.low <= 1 and self.high >= 0 and (self.dual is None or self.dual > 1)):
            raise BadInput(f"{self}; accepted: low 0 to 1, high 0 or more, dual above 1 or none")


@dataclass(frozen=True)
class PolicyLoss:
    """Scalars; shares, so that those of all micro-batches and ranks add up. Only the total has gradients."""

    total: Tensor
    clipped_high: Tensor
    """Part of the whole's tokens stopped at 1 + high."""
    clipped_low: Tensor
    """Part of the whole's tokens stopped at 1 - low."""
    clipped_dual: Tensor
    """Part of the whole's tokens stopped by the dual clip."""
    ppo_kl: Tensor
    """Mean of old minus new log-probability: k1 from the sampling policy, nats."""


def policy_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    whole: Whole,
    clipping: Clipping,
    averaging: Averaging = Averaging.TOKENS,
    weights: Tensor | None = None,
) -> PolicyLoss:
    """The clipped surrogate; the log-ratio is clamped to +-20 before it is exponentiated.

    Args:
        log_probs: of the policy in training, [sequences, tokens].
        old_log_probs: of the same tokens when the step began, [sequences, tokens].
        advantages: [sequences, tokens].
        mask: tokens that the policy chose, [sequences, tokens] bool; the rest is never read.
        whole: size of the whole batch.
        clipping: the bounds.
        averaging: what the loss is the mean of; the metrics are means of tokens.
        weights: multiply each token's loss, [sequences, tokens]: see `correction`.

    Raises:
        BadInput: the shapes do not fit.

    Sources: Schulman et al. 2017, arXiv 1707.06347; dual clip: Ye et al. 2020, arXiv 1912.09729;
    asymmetric clip: DAPO, Yu et al. 2025, arXiv 2503.14476.
    """
    refuse_misfits(mask, log_probs=log_probs, old_log_probs=old_log_probs, advantages=advantages)
    gain = seen(advantages.detach(), mask)
    log_ratio = seen(log_probs, mask) - seen(old_log_probs.detach(), mask)
    log_ratio = log_ratio.clamp(-LOG_LIMIT, LOG_LIMIT)
    ratio = log_ratio.exp()
    plain, held = -gain * ratio, -gain * ratio.clamp(1 - clipping.low, 1 + clipping.high)
    each = torch.maximum(plain, held)
    dual = torch.zeros_like(mask)
    if clipping.dual is not None:
        dual = (gain < 0) & (each > -gain * clipping.dual)
        each = torch.where(dual, -gain * clipping.dual, each)
    if weights is not None:
        refuse_misfits(mask, weights=weights)
        each = each * seen(weights.detach(), mask)
    stopped = held > plain
    return PolicyLoss(
        aggregate(each, mask, whole, averaging),
        aggregate((stopped & (gain > 0)).to(ratio.dtype), mask, whole),
        aggregate((stopped & (gain < 0)).to(ratio.dtype), mask, whole),
        aggregate(dual.to(ratio.dtype), mask, whole),
        aggregate(-log_ratio.detach(), mask, whole),
    )


@dataclass(frozen=True)
class ValueLoss:
    """Scalars; shares, so that those of all micro-batches and ranks add up. Only the total has gradients."""

    total: Tensor
    clipped: Tensor
    """Part of the whole's tokens whose gradient the clip stopped."""


def value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    whole: Whole,
    clip: float | None = 0.2,
    averaging: Averaging = Averaging.TOKENS,
) -> ValueLoss:
    """Half the squared error, or that of the value held within `clip` of the old one if it is greater.

    Args:
        values: of the critic in training, [sequences, tokens].
        old_values: of the same tokens when the step began, [sequences, tokens].
        returns: [sequences, tokens].
        mask: [sequences, tokens] bool; the rest is never read.
        whole: size of the whole batch.
        clip: in the unit of the values, 0 or more; none: no clip.
        averaging: what the loss is the mean of.

    Raises:
        BadInput: the shapes do not fit, or the clip is negative.

    Source: the PPO2 of OpenAI Baselines, 2017; its benefit is doubted by Andrychowicz et al. 2021,
    arXiv 2006.05990.
    """
    refuse_misfits(mask, values=values, old_values=old_values, returns=returns)
    if clip is not None and not clip >= 0:
        raise BadInput(f"a value clip of {clip}; accepted: 0 or more, or none")
    values, old, goal = seen(values, mask), seen(old_values.detach(), mask), seen(returns.detach(), mask)
    plain = (values - goal).square()
    held = plain if clip is None else (torch.clamp(values, old - clip, old + clip) - goal).square()
    return ValueLoss(
        aggregate(torch.maximum(plain, held) / 2, mask, whole, averaging),
        aggregate((held > plain).to(plain.dtype), mask, whole),
    )
