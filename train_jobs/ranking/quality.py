"""How good a scorer is on judged pairs that it has not seen. Pure.

Pairs that people labelled and pairs that a judge labelled are different yardsticks: one report is of one
source, and no number here pools the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from actors.contracts import Contract, Dimension, PairRecord, UnitFloat
from actors.errors import BadInput
from actors.judge.calibration.bradley_terry import distinguishable, fit, sigmoid
from actors.judge.calibration.reliability import bins, error_of, interval, shares_right

TIE = 0.02
"""Labels nearer to 0.5 than this are ties of the judge's."""
MIN_DECIDED = 20
"""Decided pairs that a dimension needs to take part in the mean accuracy."""
Source = Literal["judge", "human"]
Hardness = Literal["hard", "middle", "easy"]
Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
_CUTS = (1 / 3, 2 / 3)


class Accuracy(Contract):
    """How often the winner was named, over pairs that have one; a predicted tie counts one half."""

    n: int
    accuracy: UnitFloat | None = None
    """None without pairs."""
    interval: tuple[UnitFloat, UnitFloat] = (0.0, 1.0)
    """95%, see `reliability.interval`."""


class Tercile(Accuracy):
    """The total's accuracy where the judge's scores are about as far apart."""

    gaps: tuple[float, float] | None = None
    """Smallest and largest gap in it, winner less loser."""


class DimensionQuality(Contract):
    """The numbers of one head. None, but for the counts, without pairs."""

    n: int
    """Pairs with a label."""
    decided: Accuracy
    """Over the pairs with a winner."""
    tie_share: UnitFloat | None = None
    """Share of the labelled pairs that are ties of the judge's."""
    accuracy_ties_half: UnitFloat | None = None
    """Accuracy over all labelled pairs, each tie of the judge's counting one half whatever is predicted."""
    soft_accuracy: UnitFloat | None = None
    """Mean over all labelled pairs of the label of the predicted side."""
    soft_ceiling: UnitFloat | None = None
    """Mean of max(label, 1 - label): what a perfect scorer would have for its soft accuracy."""
    ece: UnitFloat | None = None
    """Expected calibration error of sigmoid(difference / temperature) against the labels, all pairs."""
    temperature: float | None = Field(default=None, gt=0)
    """None: not told from chance, so that every probability is 0.5."""


class RankingQuality(Contract):
    """A scorer's report on one set of pairs."""

    source: Source
    """Who labelled the pairs."""
    pairs: int
    dimensions: dict[Dimension, DimensionQuality]
    mean_accuracy: UnitFloat | None = None
    """Mean over the dimensions but the total that have `MIN_DECIDED` decided pairs; None if none has."""
    terciles: dict[Hardness, Tercile] = Field(default_factory=dict)
    """Of the total's decided pairs, by the judge's gap; empty where no pair has one."""


@dataclass(frozen=True)
class Predicted:
    """What a scorer said of pairs, and what is known of them.

    Raises:
        BadInput: the shapes do not fit, a difference is not finite, or a present label is no probability.
    """

    dimensions: tuple[Dimension, ...]
    differences: Vector
    """Score of a less score of b, [pairs, dimensions]."""
    labels: Vector
    """Probability 0..1 that a wins, [pairs, dimensions]."""
    present: Mask
    """Whether there is a label, [pairs, dimensions]."""
    groups: tuple[str, ...]
    """What hangs together, e.g. the query's id, [pairs]."""
    gaps: tuple[float | None, ...]
    """The judge's total, winner less loser, [pairs]; None where it gave no scores."""

    @classmethod
    def of(
        cls, records: Sequence[PairRecord], dimensions: Sequence[Dimension], differences: ArrayLike
    ) -> Predicted:
        """Of pairs and a scorer's differences, [pairs, dimensions]; pairs of one query hang together."""
        totals = [record.scores.get(Dimension.TOTAL, {}) for record in records]
        rows = [[record.labels.get(name, np.nan) for name in dimensions] for record in records]
        labels = np.asarray(rows, np.float64).reshape(len(records), len(dimensions))
        return cls(
            dimensions=tuple(dimensions),
            differences=np.asarray(differences, np.float64),
            labels=labels,
            present=~np.isnan(labels),
            groups=tuple(record.query.id for record in records),
            gaps=tuple(s["winner"] - s["loser"] if s.keys() >= {"winner", "loser"} else None for s in totals),
        )

    def __post_init__(self) -> None:
        shape = (len(self.groups), len(self.dimensions))
        shapes = {np.shape(each) for each in (self.differences, self.labels, self.present)}
        if shapes != {shape} or len(self.gaps) != len(self.groups):
            raise BadInput(
                f"differences {np.shape(self.differences)}, labels {np.shape(self.labels)}, mask "
                f"{np.shape(self.present)}, {len(self.gaps)} gaps; accepted: [pairs, dimensions] = {shape} "
                "each, and a gap a pair"
            )
        _refuse_numbers(self.differences, self.labels, self.present)


def quality(
    predicted: Predicted,
    temperatures: Sequence[float | None],
    *,
    source: Source,
    resamples: int = 400,
    seed: int = 0,
) -> RankingQuality:
    """All numbers of a scorer on one set of pairs.

    Args:
        predicted: the scorer's differences and the labels.
        temperatures: a dimension, see `fit_temperatures`; fitted on other pairs than these.
        source: who labelled all of these pairs.
        resamples: of whole groups, behind each interval.
        seed: of the resampling.

    Raises:
        BadInput: there is not one temperature above 0, or None, a dimension.
    """
    if len(temperatures) != len(predicted.dimensions) or not all(t is None or t > 0 for t in temperatures):
        raise BadInput(
            f"temperatures {list(temperatures)} for {len(predicted.dimensions)} dimensions; accepted: one a "
            "dimension, above 0 or None"
        )
    by_dimension = {
        name: _dimension(predicted, column, temperatures[column], resamples, seed)
        for column, name in enumerate(predicted.dimensions)
    }
    counted = [
        found.decided.accuracy
        for name, found in by_dimension.items()
        if name != Dimension.TOTAL and found.decided.accuracy is not None and found.decided.n >= MIN_DECIDED
    ]
    return RankingQuality(
        source=source,
        pairs=len(predicted.groups),
        dimensions=by_dimension,
        mean_accuracy=float(np.mean(counted)) if counted else None,
        terciles=_terciles(predicted, resamples, seed),
    )


def fit_temperatures(
    differences: ArrayLike,
    labels: ArrayLike,
    present: ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    l2: float = 0.25,
    resamples: int = 400,
    seed: int = 0,
) -> list[float | None]:
    """What differences are divided by to be log-odds, a dimension: one weight of Bradley-Terry's, inverted.

    None where the differences are not told from chance, or run against the labels: see
    `bradley_terry.distinguishable`. A scorer is then said to know nothing; it is never reversed.

    Args:
        differences: score of a less score of b, [pairs, dimensions].
        labels: probability 0..1 that a wins, [pairs, dimensions].
        present: whether there is a label, [pairs, dimensions].
        groups: what hangs together, [pairs]; default: every pair is alone.
        l2: penalty on the weight, see `bradley_terry.fit`.
        resamples: of whole groups, behind the test of chance.
        seed: of the resampling.

    Raises:
        BadInput: the shapes do not fit, or a number is not acceptable.
    """
    x, y = np.asarray(differences, np.float64), np.asarray(labels, np.float64)
    mask = np.asarray(present, np.bool_)
    names = np.arange(len(x)).astype(str) if groups is None else np.asarray(groups, dtype=str)
    if not (x.ndim == 2 and x.shape == y.shape == mask.shape and len(names) == len(x)):
        raise BadInput(
            f"differences {x.shape}, labels {y.shape}, mask {mask.shape} and {len(names)} groups; accepted: "
            "[pairs, dimensions] three times and a group a pair"
        )
    _refuse_numbers(x, y, mask)
    found: list[float | None] = []
    for column in range(x.shape[1]):
        own = mask[:, column]
        apart, label = x[own, column], y[own, column]
        told = distinguishable(apart, label, names[own].tolist(), l2=l2, resamples=resamples, seed=seed)
        weight = fit(apart[:, None], label, l2=l2).weights[0] if told else 0.0
        found.append(1.0 / weight if weight > 0 else None)
    return found


def _refuse_numbers(differences: Vector, labels: Vector, present: Mask) -> None:
    known = labels[present]
    if not np.isfinite(differences).all() or not ((known >= 0) & (known <= 1)).all():
        raise BadInput(
            f"{int((~np.isfinite(differences)).sum())} differences are not finite and "
            f"{int((~((known >= 0) & (known <= 1))).sum())} labels are not 0 to 1; accepted: none of either"
        )


def _dimension(
    predicted: Predicted, column: int, temperature: float | None, resamples: int, seed: int
) -> DimensionQuality:
    own = predicted.present[:, column]
    decided = _decided(predicted, column)
    found = _accuracy(predicted, column, decided, resamples, seed)
    difference, label = predicted.differences[own, column], predicted.labels[own, column]
    n = int(own.sum())
    if not n:
        return DimensionQuality(n=0, decided=found, temperature=temperature)
    ties = 1.0 - found.n / n
    probability = np.full(n, 0.5) if temperature is None else sigmoid(difference / temperature)
    return DimensionQuality(
        n=n,
        decided=found,
        tie_share=ties,
        accuracy_ties_half=0.5 * ties + (1.0 - ties) * (found.accuracy or 0.0),
        soft_accuracy=float(shares_right(_side(difference), label).mean()),
        soft_ceiling=float(np.maximum(label, 1 - label).mean()),
        ece=error_of(bins(probability, label)),
        temperature=temperature,
    )


def _terciles(predicted: Predicted, resamples: int, seed: int) -> dict[Hardness, Tercile]:
    """The cuts are values, so pairs with equal gaps are never parted."""
    if Dimension.TOTAL not in predicted.dimensions:
        return {}
    column = predicted.dimensions.index(Dimension.TOTAL)
    gaps = np.array([np.nan if gap is None else gap for gap in predicted.gaps], np.float64)
    chosen = _decided(predicted, column) & np.isfinite(gaps)
    if not chosen.any():
        return {}
    low, high = np.quantile(gaps[chosen], _CUTS)
    third = (gaps > low).astype(int) + (gaps > high)
    found: dict[Hardness, Tercile] = {}
    for place, name in enumerate[Hardness](("hard", "middle", "easy")):
        members = chosen & (third == place)
        ends = (float(gaps[members].min()), float(gaps[members].max())) if members.any() else None
        named = _accuracy(predicted, column, members, resamples, seed)
        found[name] = Tercile(**named.model_dump(), gaps=ends)
    return found


def _decided(predicted: Predicted, column: int) -> Mask:
    """[pairs]: whether the label names a winner."""
    return predicted.present[:, column] & (np.abs(predicted.labels[:, column] - 0.5) >= TIE)


def _accuracy(predicted: Predicted, column: int, members: Mask, resamples: int, seed: int) -> Accuracy:
    groups = [predicted.groups[place] for place in np.flatnonzero(members)]
    differences, labels = predicted.differences[members, column], predicted.labels[members, column]
    return accuracy(differences, labels, groups, resamples, seed)


def accuracy(
    differences: Vector, labels: Vector, groups: Sequence[str], resamples: int, seed: int
) -> Accuracy:
    """How often differences a - b, [pairs], name the winner of labels 0..1 that all have one."""
    if not len(labels):
        return Accuracy(n=0)
    right = shares_right(_side(differences), (labels > 0.5).astype(np.float64))
    return Accuracy(
        n=right.size,
        accuracy=float(right.mean()),
        interval=interval(right, groups, resamples=resamples, seed=seed),
    )


def _side(differences: Vector) -> Vector:
    """1 where a is predicted to win, 0 where b is, 0.5 for a tie: a tiny difference is still a side."""
    return 0.5 + 0.5 * np.sign(differences)
