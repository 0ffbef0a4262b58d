"""What the parts of a data card share."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from actors.contracts import Dimension, PairRecord

_DIGITS = 6


class CardPart(BaseModel):
    """Base of the card's parts: immutable, JSON. Shares are 0..1; None = nothing to measure it on."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Histogram(CardPart):
    """Counts between edges; what lies outside is counted in the first or the last."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Bins:
    """Counts behind a `Histogram`: a value on an edge belongs to the bin above."""

    def __init__(self, edges: Iterable[float]) -> None:
        self._edges = tuple(edges)
        self._counts = [0] * (len(self._edges) - 1)

    def add(self, value: float) -> None:
        """Count one value."""
        place = bisect_right(self._edges, value) - 1
        self._counts[min(max(place, 0), len(self._counts) - 1)] += 1

    def done(self) -> Histogram:
        """The histogram so far."""
        return Histogram(edges=self._edges, counts=tuple(self._counts))


def share(part: float, whole: float) -> float | None:
    """`part / whole`, or None of nothing."""
    return number(float(part) / float(whole)) if whole else None


def number(value: float) -> float | None:
    """A value at 6 digits, so that the order of a sum does not show; NaN is None."""
    return None if math.isnan(value) else round(float(value), _DIGITS) + 0.0


def evenness(counts: Mapping[str, int], accepted: int) -> float | None:
    """Entropy of the counts over that of `accepted` values equally often: 1 = even, 0 = one value only."""
    total = sum(counts.values())
    if not total or accepted < 2:
        return None
    entropy = -sum(n / total * math.log(n / total) for n in counts.values() if n)
    return number(entropy / math.log(accepted))


def ordered(counter: Counter[str]) -> dict[str, int]:
    """Most frequent first; of equals, the alphabet decides."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def gap_of(record: PairRecord) -> float | None:
    """Gap between the two totals; None where the total was not scored."""
    sides = record.scores.get(Dimension.TOTAL, {})
    if "winner" not in sides or "loser" not in sides:
        return None
    # 0.9 - 0.8 is a little less than 0.1: a gap on a bin's edge should not fall below it.
    return round(abs(sides["winner"] - sides["loser"]), 9)


def lean_of(record: PairRecord) -> float | None:
    """Probability that `a` wins the total, less 0.5; None where the total has no label."""
    label = record.labels.get(Dimension.TOTAL)
    return None if label is None else label - 0.5
