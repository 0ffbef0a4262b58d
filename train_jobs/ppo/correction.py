"""The engine that samples and the trainer disagree about log-probabilities: weigh it, measure it. Pure."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import Tensor

from actors.errors import BadInput
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.kl import LOG_LIMIT, Estimator, kl_per_token
from train_jobs.ppo.masks import refuse_misfits, seen


class Level(StrEnum):
    """What a ratio is taken of."""

    TOKEN = "token"
    """Each token alone: little noise, biased."""
    SEQUENCE = "sequence"
    """All of a sequence's tokens together: unbiased but for the cap, noisy."""


def importance_weights(
    log_probs: Tensor, rollout: Tensor, mask: Tensor, cap: float = 2.0, level: Level = Level.TOKEN
) -> Tensor:
    """min(trainer's probability / rollout's, cap), [sequences, tokens]; 0 where the mask is false.

    No gradients: it weighs the loss. Log-ratios are clamped to +-20.

    Args:
        log_probs: the trainer's, when the step began, [sequences, tokens].
        rollout: the sampling engine's, of the same tokens and weights, [sequences, tokens].
        mask: [sequences, tokens] bool.
        cap: 1 or more.
        level: of a token, or of the sequence and then the same for all its tokens.

    Raises:
        BadInput: the shapes do not fit, or the cap is below 1.

    Source: truncated importance sampling, Ionides 2008; for rollouts: Yao et al. 2025,
    https://fengyao.notion.site/off-policy-rl.
    """
    refuse_misfits(mask, log_probs=log_probs, rollout=rollout)
    if not cap >= 1:
        raise BadInput(f"a cap of {cap} on importance weights; accepted: 1 or more")
    with torch.no_grad():
        log_ratio = seen(log_probs, mask) - seen(rollout, mask)
        if level is Level.SEQUENCE:
            log_ratio = log_ratio.sum(dim=1, keepdim=True).expand(mask.shape)
        return seen(log_ratio.clamp(-LOG_LIMIT, LOG_LIMIT).exp().clamp(max=cap), mask)


def mismatch_kl(log_probs: Tensor, rollout: Tensor, mask: Tensor, whole: Whole) -> Tensor:
    """This part's share of the mean KL(rollout || trainer) a token, nats, scalar, 0 or more; no gradients.

    The k3 estimate, a token's clamped to 10. Rounding leaves a little; other weights, another temperature or
    another tokenisation leave much.

    Args:
        log_probs: the trainer's, [sequences, tokens].
        rollout: the sampling engine's, of the same tokens, [sequences, tokens].
        mask: [sequences, tokens] bool.
        whole: size of the whole batch.

    Raises:
        BadInput: the shapes do not fit.
    """
    # The tokens come from the engine, so the engine is the policy and the trainer the reference.
    each = kl_per_token(rollout.detach(), log_probs.detach(), mask, Estimator.K3)
    return aggregate(each, mask, whole)
