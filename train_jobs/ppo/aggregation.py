"""From a loss a token to one number that no sharding and no micro-batching changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from train_jobs.ppo.masks import refuse_misfits, seen


class Averaging(StrEnum):
    """What a batch's loss is the mean of."""

    TOKENS = "tokens"
    """Of all tokens of the whole batch: long sequences weigh more (DAPO, arXiv 2503.14476)."""
    SEQUENCE_SUMS = "sequence_sums"
    """Of the sequences' sums."""
    SEQUENCE_MEANS = "sequence_means"
    """Of the sequences' means: each sequence weighs the same (GRPO, arXiv 2402.03300)."""


@dataclass(frozen=True)
class Whole:
    """Size of the whole batch of an optimiser step: all micro-batches of all ranks, under the loss's mask."""

    tokens: int
    sequences: int
    """Those with at least one token in the mask."""

    @classmethod
    def of(cls, mask: Tensor) -> Whole:
        """The size of one part, mask [sequences, tokens] bool; add up the parts.

        Raises:
            BadInput: it is no such mask.
        """
        refuse_misfits(mask)
        return cls(int(mask.sum()), int(mask.any(dim=1).sum()))

    def __add__(self, other: Whole) -> Whole:
        return Whole(self.tokens + other.tokens, self.sequences + other.sequences)


def aggregate(each: Tensor, mask: Tensor, whole: Whole, averaging: Averaging = Averaging.TOKENS) -> Tensor:
    """This part's share of the whole batch's mean, scalar: the shares of all parts add up to the mean.

    With R ranks under DDP or FSDP, whose gradients are averages, call `(R * share).backward()`. A sequence
    must lie in one part. Dr.GRPO's constant divisor is `Whole(tokens=constant, ...)` with TOKENS. An entropy
    bonus is minus its weight times the share of the entropy.

    Args:
        each: [sequences, tokens].
        mask: [sequences, tokens] bool; what it hides is never read and has gradient 0.
        whole: size of the whole batch; of an empty one the share is 0.
        averaging: what the mean is taken of.

    Raises:
        BadInput: the shapes do not fit.
    """
    refuse_misfits(mask, each=each)
    known = seen(each, mask)
    if averaging is Averaging.TOKENS:
        return known.sum() / max(whole.tokens, 1)
    sums = known.sum(dim=1)
    if averaging is Averaging.SEQUENCE_MEANS:
        sums = sums / mask.sum(dim=1).clamp(min=1)
    return sums.sum() / max(whole.sequences, 1)
