"""How the totals of pairs are labelled."""

from __future__ import annotations

from actors.contracts import PairRecord
from actors.pairs.stats.parts import CardPart, gap_of, lean_of, share

TIE = 0.01
"""A label within this of 0.5 names no winner."""


class Labels(CardPart):
    """How the total is labelled over some pairs."""

    pairs: int
    decided: int
    """Pairs whose total names a winner."""
    first_wins: float | None
    """Share of the decided that `a` wins: far from one half, a model learns the side, not the picture."""
    hard: float | None
    """Share of hard pairs, of those with a total."""
    gap: float | None
    """Mean gap between the two totals."""
    consistent: float | None
    """Share on which the judge's two orders agree."""


class LabelTally:
    """Counts behind `Labels`."""

    def __init__(self, hard_gap: float, hard_probability: float) -> None:
        self._hard_gap, self._hard_lean = hard_gap, hard_probability - 0.5
        self._pairs = self._totals = self._hard = self._consistent = self._compared = 0
        self._decided = self._first = self._gaps = 0
        self._gap = 0.0

    def add(self, record: PairRecord) -> None:
        """Count one pair."""
        gap, lean = gap_of(record), lean_of(record)
        self._pairs += 1
        self._compared += record.consistent is not None
        self._consistent += bool(record.consistent)
        self._totals += gap is not None or lean is not None
        self._hard += (gap is not None and gap < self._hard_gap) or (
            lean is not None and abs(lean) < self._hard_lean
        )
        if lean is not None and abs(lean) > TIE:
            self._decided += 1
            self._first += lean > 0
        if gap is not None:
            self._gaps += 1
            self._gap += gap

    def done(self) -> Labels:
        """The numbers so far."""
        return Labels(
            pairs=self._pairs,
            decided=self._decided,
            first_wins=share(self._first, self._decided),
            hard=share(self._hard, self._totals),
            gap=share(self._gap, self._gaps),
            consistent=share(self._consistent, self._compared),
        )
