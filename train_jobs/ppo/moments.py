"""Mean and variance over a mask and over ranks, and what is made from them: whitening, explained variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from train_jobs.ppo.masks import refuse_misfits, seen

SMALLEST_VARIANCE = 1e-8
"""Added to a variance that is divided by, as TRL and verl do."""


@dataclass(frozen=True)
class Moments:
    """Sums over values, which add up over ranks: sum the three (in float64) and whiten with the result."""

    count: float
    total: float
    squares: float
    """Sum of the squares, not of the squared deviations."""

    @classmethod
    def of(cls, values: Tensor, mask: Tensor) -> Moments:
        """The moments of values [sequences, tokens] where the mask is true.

        Raises:
            BadInput: the shapes do not fit.
        """
        refuse_misfits(mask, values=values)
        # float64: float32 sums of squares lose the variance of values far from 0.
        known = seen(values.detach(), mask).to(torch.float64)
        return cls(float(mask.sum()), float(known.sum()), float(known.square().sum()))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """0 of no values."""
        return self.total / max(self.count, 1)

    @property
    def variance(self) -> float:
        """Unbiased (divided by count - 1), 0 or more; 0 of fewer than two values."""
        return max(0.0, self.squares - self.total * self.mean) / max(self.count - 1, 1)


def whiten(values: Tensor, mask: Tensor, moments: Moments | None = None, keep_mean: bool = False) -> Tensor:
    """Values with variance 1 and mean 0 over the mask, [sequences, tokens]; 0 where the mask is false.

    Args:
        values: [sequences, tokens].
        mask: [sequences, tokens] bool.
        moments: of the whole batch, summed over all ranks; default: of these values.
        keep_mean: scale around the mean and leave the mean where it was (TRL's `whiten_rewards`).

    Raises:
        BadInput: the shapes do not fit.
    """
    whole = Moments.of(values, mask) if moments is None else moments
    refuse_misfits(mask, values=values)
    white = (seen(values, mask) - whole.mean) / math.sqrt(whole.variance + SMALLEST_VARIANCE)
    return seen(white + whole.mean if keep_mean else white, mask)


def explained_variance(residuals: Moments, returns: Moments) -> float:
    """1 - Var(returns - values) / Var(returns): 1 is a perfect critic, 0 one that knows only the mean.

    Args:
        residuals: moments of returns - values.
        returns: moments of the returns, over the same tokens.

    Returns:
        At most 1; NaN where all returns are alike, since there is nothing to explain.
    """
    return 1 - residuals.variance / returns.variance if returns.variance > 0 else math.nan
