"""From the score of a response to a reward a token; what length and truncation cost. Pure."""

from __future__ import annotations

import torch
from torch import Tensor

from actors.errors import BadInput
from train_jobs.ppo.masks import refuse_misfits, refuse_rows, refuse_scores, seen


def clip_scores(scores: Tensor, limit: float = 10.0) -> Tensor:
    """Scores held within +-limit, [sequences]; one broken reward must not fill the whole gradient.

    Raises:
        BadInput: a score is not finite, or the limit not above 0.
    """
    refuse_scores(scores)
    if not limit > 0:
        raise BadInput(f"a limit of {limit} for scores; accepted: above 0")
    return scores.clamp(-limit, limit)


def penalise_unended(scores: Tensor, ended: Tensor, penalty: float) -> Tensor:
    """Scores less the penalty where the response has no end-of-sequence token, [sequences].

    Args:
        scores: [sequences].
        ended: whether the response has its end, [sequences] bool.
        penalty: reward units, 0 or more.

    Raises:
        BadInput: the shapes do not fit, or a number is not acceptable.

    Source: `missing_eos_penalty` of TRL.
    """
    refuse_scores(scores)
    refuse_rows("ended", ended, len(scores), torch.bool)
    if not penalty >= 0:
        raise BadInput(f"a penalty of {penalty} for a missing end; accepted: 0 or more")
    return torch.where(ended, scores, scores - penalty)


def overlong_penalty(lengths: Tensor, longest: int, cushion: int, factor: float = 1.0) -> Tensor:
    """What is added to the score of a long response, [sequences] float32, -factor..0.

    0 up to longest - cushion tokens, then falling evenly to -factor at longest, and -factor beyond it.

    Args:
        lengths: tokens of each response, [sequences] int64.
        longest: tokens a response may have.
        cushion: tokens before that in which the penalty grows, 1..longest.
        factor: reward units, 0 or more.

    Raises:
        BadInput: a shape or number is not acceptable.

    Source: DAPO's soft overlong punishment, Yu et al. 2025, arXiv 2503.14476, section 3.4.
    """
    refuse_rows("lengths", lengths, lengths.numel(), torch.int64)
    if not (1 <= cushion <= longest and factor >= 0):
        raise BadInput(
            f"a cushion of {cushion} tokens before {longest} with a factor of {factor}; "
            "accepted: a cushion of 1 to the longest length, a factor of 0 or more"
        )
    over = (lengths - (longest - cushion)).to(torch.float32) / cushion
    return -factor * over.clamp(0, 1)


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, coefficient: float) -> Tensor:
    """Minus coefficient * KL on every token and the score on the last, [sequences, tokens]; no gradients.

    Args:
        scores: [sequences], finite; that of a sequence without tokens in the mask goes nowhere.
        kl: from `kl_per_token`, nats, [sequences, tokens].
        mask: tokens that the policy chose, [sequences, tokens] bool.
        coefficient: of the penalty, 0 or more.

    Raises:
        BadInput: the shapes do not fit, or a number is not acceptable.

    Source: Ziegler et al. 2019, arXiv 1909.08593.
    """
    refuse_misfits(mask, kl=kl)
    refuse_scores(scores)
    refuse_rows("scores", scores, len(mask), scores.dtype)
    if not coefficient >= 0:
        raise BadInput(f"a KL coefficient of {coefficient}; accepted: 0 or more")
    ahead = mask.flip(1).cumsum(dim=1).flip(1)
    last = mask & (ahead == 1)
    paid = seen(scores.detach().unsqueeze(1).expand(mask.shape), last)
    return paid - coefficient * seen(kl.detach(), mask)


def without_truncated(mask: Tensor, truncated: Tensor) -> Tensor:
    """The mask of the loss without responses cut off at their length ("overlong filtering").

    Their score says nothing about what they would have become. Take `Whole.of` of the result.

    Args:
        mask: [sequences, tokens] bool.
        truncated: [sequences] bool.

    Raises:
        BadInput: the shapes do not fit.

    Source: DAPO, Yu et al. 2025, arXiv 2503.14476, section 3.4.
    """
    refuse_misfits(mask)
    refuse_rows("truncated", truncated, len(mask), torch.bool)
    return mask & ~truncated.unsqueeze(1)
