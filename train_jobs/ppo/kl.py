"""Distance from the reference policy: estimators a token, and controllers of the penalty. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, Self

from torch import Tensor

from actors.errors import BadInput
from train_jobs.ppo.masks import refuse_misfits, seen

LIMIT = 10.0
"""Estimates are clamped to +- this, as in OpenRLHF; verl clamps k3 only."""
LOG_LIMIT = 20.0
"""Log-ratios are clamped to +- this before they are exponentiated."""
LARGEST_ERROR = 0.2
"""The relative error a controller reacts to is clipped to +- this (Ziegler et al. 2019)."""


class Estimator(StrEnum):
    """Estimators of KL(policy || reference) from tokens of the policy, with d = reference - policy."""

    K1 = "k1"
    """-d: unbiased, noisy, may be negative."""
    K2 = "k2"
    """d^2 / 2: 0 or more, biased, its gradient is right on average."""
    K3 = "k3"
    """exp(d) - d - 1: 0 or more, unbiased, little noise."""


def kl_per_token(
    log_probs: Tensor, reference: Tensor, mask: Tensor, estimator: Estimator = Estimator.K1
) -> Tensor:
    """Estimated divergence of each token, nats, [sequences, tokens]; 0 where the mask is false.

    Clamped to +-10. Where it clamps the gradient is 0: used as a loss, it no longer pulls such a token back.

    Args:
        log_probs: of the policy that chose the tokens, [sequences, tokens].
        reference: log-probabilities of the same tokens, [sequences, tokens].
        mask: [sequences, tokens] bool.
        estimator: which.

    Raises:
        BadInput: the shapes do not fit.

    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html.
    """
    refuse_misfits(mask, log_probs=log_probs, reference=reference)
    difference = seen(reference, mask) - seen(log_probs, mask)
    if estimator is Estimator.K1:
        each = -difference
    elif estimator is Estimator.K2:
        each = difference.square() / 2
    else:
        difference = difference.clamp(-LOG_LIMIT, LOG_LIMIT)
        # expm1: near the reference, exp(d) - 1 loses the digits that d leaves.
        each = difference.expm1() - difference
    return each.clamp(-LIMIT, LIMIT)


class KLController(Protocol):
    """The weight of the penalty. Its whole state is the coefficient: save it, and `replace` it on resume."""

    @property
    def coefficient(self) -> float:
        """What the divergence is multiplied by, 0 or more."""

    def after(self, kl: float, sequences: int) -> Self:
        """The controller for the next step, given this step's mean divergence and number of sequences."""


@dataclass(frozen=True)
class FixedKL:
    """A coefficient that stays.

    Raises:
        BadInput: it is negative or not finite.
    """

    coefficient: float

    def __post_init__(self) -> None:
        _refuse_coefficient(self.coefficient)

    def after(self, kl: float, sequences: int) -> Self:
        """Itself, whatever was measured."""
        return self


@dataclass(frozen=True)
class AdaptiveKL:
    """A coefficient that grows while the divergence is above the target, and shrinks below it.

    Raises:
        BadInput: the coefficient is negative, or the target or the horizon is not above 0.

    Source: Ziegler et al. 2019, arXiv 1909.08593, section 2.2.
    """

    coefficient: float
    target: float
    """Wanted mean divergence, in the unit of what `after` is given."""
    horizon: int
    """Sequences in which a constant error of 20 % changes the coefficient by about 20 %."""

    def __post_init__(self) -> None:
        _refuse_coefficient(self.coefficient)
        for name, given in (("target", self.target), ("horizon", self.horizon)):
            if not 0 < given < math.inf:
                raise BadInput(f"KL {name} {given}; accepted: above 0")

    def after(self, kl: float, sequences: int) -> Self:
        """The controller for the next step.

        Args:
            kl: mean divergence measured in this step, finite.
            sequences: how many it was measured on, fewer than 5 horizons: the coefficient stays positive.

        Raises:
            BadInput: a number is not acceptable.
        """
        if not math.isfinite(kl) or not 0 <= sequences * LARGEST_ERROR < self.horizon:
            raise BadInput(
                f"a KL of {kl} measured on {sequences} sequences with a horizon of {self.horizon}; "
                "accepted: a finite KL, and fewer sequences than 5 horizons"
            )
        error = min(max(kl / self.target - 1, -LARGEST_ERROR), LARGEST_ERROR)
        return replace(self, coefficient=self.coefficient * (1 + error * sequences / self.horizon))


def _refuse_coefficient(given: float) -> None:
    if not 0 <= given < math.inf:
        raise BadInput(f"KL coefficient {given}; accepted: 0 or more")
