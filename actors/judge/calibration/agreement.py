"""Agreement beyond chance: Cohen's kappa and Krippendorff's alpha, from their definitions. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from actors.errors import BadInput

Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval"]
Matrix = NDArray[np.float64]


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    categories: Sequence[Hashable] | None = None,
    weights: Weights = "none",
) -> float | None:
    """Cohen's kappa of two raters over the same items; at most 1, 0 is chance.

    Args:
        first: a category an item.
        second: the other rater's, in the same order.
        categories: all categories in order, which the weights count steps in; default: the sorted ones found.
        weights: `none` (Cohen, 1960): all disagreements alike; `linear`, `quadratic` (Cohen, 1968).

    Returns:
        None where kappa is not defined: no items, or both raters know one and the same category only.

    Raises:
        BadInput: the raters have different numbers of items, or an item's category is not among `categories`.
    """
    if len(first) != len(second):
        raise BadInput(f"{len(first)} and {len(second)} ratings; accepted: one a rater and item")
    order = list(categories) if categories is not None else sorted({*first, *second})  # type: ignore[type-var]
    index = {category: i for i, category in enumerate(order)}
    if strange := {*first, *second} - index.keys():
        raise BadInput(f"category {next(iter(strange))!r} is not known; accepted: {order}")
    table = np.zeros((len(order), len(order)))
    for one, other in zip(first, second, strict=True):
        table[index[one], index[other]] += 1
    expected = np.outer(table.sum(1), table.sum(0)) / max(len(first), 1)
    cost = _cost(len(order), weights)
    chance = float((cost * expected).sum())
    return None if chance == 0.0 else 1.0 - float((cost * table).sum()) / chance


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]], level: Level = "nominal") -> float | None:
    """Krippendorff's alpha (Content Analysis, 2004, chapter 11): any number of raters, gaps allowed.

    Args:
        ratings: [raters][units], a number or None (or NaN) where a rater said nothing.
        level: how far apart two values are: `nominal` (same or not), `ordinal` (ranks between them) or
            `interval` (squared difference).

    Returns:
        None where alpha is not defined: no unit has two ratings, or all ratings are the same.

    Raises:
        BadInput: the raters have different numbers of units.
    """
    if len({len(row) for row in ratings}) > 1:
        raise BadInput(f"rows of {sorted({len(row) for row in ratings})} units; accepted: rows of one length")
    given = np.array([[math.nan if v is None else v for v in row] for row in ratings], np.float64)
    values = np.unique(given[~np.isnan(given)])
    if len(values) < 2:
        return None
    counts = (given[:, :, None] == values).sum(0).astype(np.float64)
    counts = counts[counts.sum(1) > 1]
    pairs = counts.sum(1, keepdims=True) - 1
    observed = (counts / pairs).T @ counts - np.diag((counts / pairs).sum(0))
    totals = observed.sum(1)
    expected = np.outer(totals, totals) - np.diag(totals)
    distance = _distance(values, totals, level)
    chance = float((distance * expected).sum())
    if chance == 0.0:
        return None
    return 1.0 - (float(totals.sum()) - 1.0) * float((distance * observed).sum()) / chance


def _cost(size: int, weights: Weights) -> Matrix:
    steps = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    if weights == "none":
        return (steps > 0).astype(np.float64)
    return steps if weights == "linear" else steps**2


def _distance(values: Matrix, totals: Matrix, level: Level) -> Matrix:
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        return np.asarray(np.subtract.outer(values, values) ** 2, np.float64)
    # Ranks between two values: all ratings up to the one, less those up to the other, ends counted half.
    middle = np.cumsum(totals) - totals / 2
    return np.asarray(np.subtract.outer(middle, middle) ** 2, np.float64)
