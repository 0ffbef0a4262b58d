"""Bradley-Terry with features: the probability that one picture beats another, from score differences. Pure.

Of one score it is Platt's scaling without the offset: swapping two pictures swaps the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actors.errors import BadInput

Vector = NDArray[np.float64]
MIN_GROUPS = 8
"""Fewer groups cannot tell a judge from chance."""
DOUBT = 0.01
"""Judging in mass on chance costs more than a judge refused, hence stricter than usual."""
_STEPS, _TOLERANCE = 60, 1e-9


@dataclass(frozen=True)
class BradleyTerry:
    """A fitted model. Zero weights say 0.5 to everything."""

    weights: tuple[float, ...]
    """Log-odds a unit of difference, a feature."""

    def probability(self, differences: ArrayLike) -> Vector:
        """Probability 0..1 that a wins, from differences a - b, [pairs, features].

        `p(a, b)` is `1 - p(b, a)` to the last bit.
        """
        rows = np.asarray(differences, np.float64).reshape(-1, len(self.weights))
        return sigmoid(rows @ np.asarray(self.weights))


_NOTHING = 1e-9
"""A difference so small on all pairs is rounding: scaled up, it would get weights without bounds."""


def sigmoid(log_odds: ArrayLike) -> Vector:
    """1 / (1 + exp(-x)) without overflow, and `sigmoid(-x) == 1 - sigmoid(x)` exactly."""
    x = np.asarray(log_odds, np.float64)
    upper = 1.0 / (1.0 + np.exp(-np.abs(x)))
    return np.where(x < 0, 1.0 - upper, upper)


def fit(
    differences: ArrayLike, labels: ArrayLike, *, l2: float = 1.0, counts: ArrayLike | None = None
) -> BradleyTerry:
    """Fit by Newton's method.

    Args:
        differences: a - b, [pairs, features].
        labels: probability 0..1 that a wins, [pairs]; 0.5 for a tie.
        l2: penalty on the weights, for features scaled to unit root mean square; keeps them finite where the
            pairs can be told apart without error.
        counts: how often each pair counts, [pairs]; default: once.

    Raises:
        BadInput: the shapes do not fit, or a number is not acceptable.
    """
    x, y = np.atleast_2d(np.asarray(differences, np.float64)), np.asarray(labels, np.float64)
    if x.shape[0] != y.size or not np.isfinite(x).all() or not ((y >= 0) & (y <= 1)).all():
        raise BadInput(
            f"differences of shape {x.shape} and {y.size} labels; accepted: finite differences "
            "[pairs, features] and one label of 0 to 1 a pair"
        )
    times = np.ones(y.size) if counts is None else np.asarray(counts, np.float64)
    scale = np.sqrt(np.average(x**2, axis=0, weights=times)) if times.sum() > 0 else np.zeros(x.shape[1])
    scale[scale < _NOTHING] = 1.0
    weights = _newton(x / scale, y, times, l2) / scale
    return BradleyTerry(tuple(float(weight) for weight in weights))


def distinguishable(
    differences: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str],
    *,
    l2: float = 1.0,
    resamples: int = 300,
    seed: int = 0,
) -> bool:
    """Whether a single score, differences [pairs], is told from chance: its slope is above zero.

    Whole groups are resampled; at most `DOUBT` of the slopes so fitted may be zero or below. A score that
    runs against the labels is not told from chance either: a judge is refused, never reversed.
    """
    x, y = np.asarray(differences, np.float64).reshape(-1, 1), np.asarray(labels, np.float64)
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < MIN_GROUPS:
        return False
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    slopes = np.asarray([fit(x, y, l2=l2, counts=times[member]).weights[0] for times in drawn])
    return bool((slopes <= 0).mean() <= DOUBT)


def _newton(x: Vector, y: Vector, times: Vector, l2: float) -> Vector:
    weights = np.zeros(x.shape[1])
    ridge = l2 * np.eye(x.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(x @ weights)
        slope = x.T @ (times * (p - y)) + l2 * weights
        curve = (x * (times * p * (1 - p))[:, None]).T @ x + ridge
        step = np.linalg.solve(curve, slope)
        # A full step can overshoot where the curve is flat; the penalty makes a bounded one converge.
        step *= min(1.0, 4.0 / max(float(np.abs(step).max(initial=0.0)), 1e-12))
        weights = weights - step
        if float(np.abs(step).max(initial=0.0)) < _TOLERANCE:
            break
    return weights
