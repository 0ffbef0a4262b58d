"""What each dimension's labels add to the total's, and to one another's."""

from __future__ import annotations

import math

import numpy as np

from actors.contracts import Dimension, PairRecord
from actors.pairs.stats.labels import TIE
from actors.pairs.stats.parts import CardPart, number, share

DIMENSIONS = tuple(Dimension)
_TOTAL = DIMENSIONS.index(Dimension.TOTAL)


class DimensionCard(CardPart):
    """One dimension's labels."""

    labelled: int
    ties: float | None
    """Share of its labels that name no winner."""
    against_total: float | None
    """Share where its winner is not the total's, of the pairs that both decide."""
    mean: float | None
    """Mean score over both pictures."""


class Correlation(CardPart):
    """Pearson correlation of the dimensions' signed labels, p - 0.5, over the pairs that have both."""

    dimensions: tuple[Dimension, ...]
    matrix: tuple[tuple[float | None, ...], ...]
    """Null where a dimension never varies, or two are never labelled together."""
    collapse: float | None
    """Mean off the diagonal and without the total: near 1, the judge gives one opinion many names."""


class DimensionTally:
    """Counts behind `DimensionCard` and `Correlation`; arrays are indexed by `DIMENSIONS`."""

    def __init__(self) -> None:
        n = len(DIMENSIONS)
        self._labelled, self._ties, self._both, self._against = np.zeros((4, n), np.int64)
        self._scores, self._scored = np.zeros((2, n))
        # Over the pairs that have both dimensions: how many, and the sums of x, x * x and x * y.
        self._n, self._x, self._xx, self._xy = np.zeros((4, n, n))

    def add(self, record: PairRecord) -> None:
        """Count one pair."""
        labels = np.array([record.labels.get(dimension, math.nan) for dimension in DIMENSIONS])
        there = ~np.isnan(labels)
        x, seen = np.where(there, labels - 0.5, 0.0), there.astype(float)
        decided = np.abs(x) > TIE
        self._labelled += there
        self._ties += there & ~decided
        if decided[_TOTAL]:
            self._both += decided
            self._against += decided & ((x > 0) != (x[_TOTAL] > 0))
        for i, dimension in enumerate(DIMENSIONS):
            sides = record.scores.get(dimension, {})
            self._scores[i] += sum(sides.values())
            self._scored[i] += len(sides)
        self._n += np.outer(seen, seen)
        self._x += np.outer(x, seen)
        self._xx += np.outer(x * x, seen)
        self._xy += np.outer(x, x)

    def cards(self) -> dict[Dimension, DimensionCard]:
        """The numbers so far of each dimension that has any."""
        return {
            dimension: DimensionCard(
                labelled=int(self._labelled[i]),
                ties=share(self._ties[i], self._labelled[i]),
                against_total=share(self._against[i], self._both[i]),
                mean=share(self._scores[i], self._scored[i]),
            )
            for i, dimension in enumerate(DIMENSIONS)
            if self._labelled[i] or self._scored[i]
        }

    def correlation(self) -> Correlation:
        """The correlations so far of the dimensions that have labels."""
        n = np.maximum(self._n, 1)
        x, xx, xy = self._x / n, self._xx / n, self._xy / n
        spread = xx - x * x
        # A label that never varies has a spread of rounding errors, and no correlation.
        known = (spread > 1e-12) & (spread.T > 1e-12)
        scale = np.sqrt(np.where(known, spread * spread.T, 1.0))
        matrix = np.where(known, np.clip((xy - x * x.T) / scale, -1, 1), math.nan)
        rows = [i for i, labelled in enumerate(self._labelled) if labelled]
        off = [matrix[i, j] for i in rows for j in rows if i < j and _TOTAL not in (i, j) and known[i, j]]
        return Correlation(
            dimensions=tuple(DIMENSIONS[i] for i in rows),
            matrix=tuple(tuple(number(matrix[i, j]) for j in rows) for i in rows),
            collapse=share(sum(off), len(off)),
        )
