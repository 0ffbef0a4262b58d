"""How good the probabilities of a judge are, on pairs whose winner is known. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actors.contracts import Contract, UnitFloat
from actors.intervals import wilson

BINS = 10
_EVEN = 1e-12
Vector = NDArray[np.float64]


class Bin(Contract):
    """Pairs of like confidence."""

    n: int
    confidence: UnitFloat
    """Mean of max(p, 1 - p)."""
    accuracy: UnitFloat
    """Share of them that were right."""


class Quality(Contract):
    """The numbers of one set of probabilities. All but `n` are None or empty without pairs."""

    n: int
    accuracy: UnitFloat | None = None
    """Share of pairs whose likelier side won; p = 0.5 counts one half."""
    interval: tuple[UnitFloat, UnitFloat] = (0.0, 1.0)
    """95% interval of the accuracy, see `interval`."""
    confident_half: UnitFloat | None = None
    """Accuracy of the most confident half of the pairs."""
    ece: UnitFloat | None = None
    """Expected calibration error, see `error_of`."""
    spread: float | None = None
    """Largest distance of a probability from 0.5."""
    bins: tuple[Bin, ...] = ()


def quality(
    probabilities: ArrayLike, labels: ArrayLike, groups: Sequence[str], *, resamples: int, seed: int
) -> Quality:
    """All numbers of probabilities that a wins, [pairs], against labels 0..1, [pairs]."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    if p.size == 0:
        return Quality(n=0)
    right, sure = shares_right(p, y), np.maximum(p, 1 - p)
    half = np.argsort(-sure, kind="stable")[: math.ceil(p.size / 2)]
    found = bins(p, y)
    return Quality(
        n=p.size,
        accuracy=float(right.mean()),
        interval=interval(right, groups, resamples=resamples, seed=seed),
        confident_half=float(right[half].mean()),
        ece=error_of(found),
        spread=float((sure - 0.5).max()),
        bins=tuple(found),
    )


def shares_right(probabilities: ArrayLike, labels: ArrayLike) -> Vector:
    """How right each probability is, 0..1: the label of the likelier side, one half where p is 0.5."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    return np.where(np.abs(p - 0.5) <= _EVEN, 0.5, np.where(p > 0.5, y, 1 - y))


def bins(probabilities: ArrayLike, labels: ArrayLike) -> list[Bin]:
    """Ten equal bins of confidence, 0.5 to 1; empty ones are left out.

    Confidence is max(p, 1 - p), so that it does not matter which picture of a pair is called a.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    right, sure = shares_right(p, y), np.maximum(p, 1 - p)
    place = np.minimum(((sure - 0.5) * 2 * BINS).astype(int), BINS - 1)
    return [
        Bin(
            n=int((place == k).sum()),
            confidence=float(sure[place == k].mean()),
            accuracy=float(right[place == k].mean()),
        )
        for k in range(BINS)
        if (place == k).any()
    ]


def error_of(found: Sequence[Bin]) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over the bins, by their pairs."""
    total = sum(each.n for each in found)
    return sum(each.n * abs(each.confidence - each.accuracy) for each in found) / max(total, 1)


def interval(right: ArrayLike, groups: Sequence[str], *, resamples: int, seed: int) -> tuple[float, float]:
    """95% interval of a mean of values 0..1: whole groups resampled, and at least as wide as Wilson's.

    Pairs of one request hang together, which only resampling knows; where nearly all are right, resampling
    has nothing to vary, which only Wilson's interval knows.
    """
    values = np.asarray(right, np.float64)
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums, sizes = np.bincount(member, values), np.bincount(member).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    low, high = np.quantile((drawn @ sums) / (drawn @ sizes), [0.025, 0.975])
    least, most = wilson(float(values.sum()), values.size)
    return max(0.0, float(min(low, least))), min(1.0, float(max(high, most)))
