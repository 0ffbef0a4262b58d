"""From what the judge said to a pair's scores and labels. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from actors.contracts import Comparison, Dimension, Judgement

WinnerLoser = dict[Literal["winner", "loser"], float]


@dataclass(frozen=True)
class Verdict:
    """What is known about a pair: the part of a `PairRecord` that the judge fills in."""

    scores: dict[Dimension, WinnerLoser]
    labels: dict[Dimension, float]
    """Probability that the first picture wins."""
    consistent: bool | None
    """Whether both orders agree; None where there is no order."""
    raw: tuple[str, ...]
    judge_version: str

    @property
    def gap(self) -> float | None:
        """How far apart the two are in total, 0..1; None when the total was not judged."""
        total = self.scores.get(Dimension.TOTAL)
        return None if total is None else total["winner"] - total["loser"]


def of_judgements(a: Judgement, b: Judgement, slopes: Mapping[Dimension, float], slope: float) -> Verdict:
    """Of two pictures scored one by one: P(a wins) = 1 / (1 + exp(-slope (a - b))), a dimension.

    Args:
        a: scores of the first picture.
        b: scores of the second.
        slopes: log-odds for each unit of score, as calibrated on anchors.
        slope: what holds for the dimensions without one.
    """
    both: list[tuple[Dimension, float, float]] = []
    for name in Dimension:
        first, second = a.score(name), b.score(name)
        if first is not None and second is not None:
            both.append((name, first, second))
    return Verdict(
        {name: _ordered(first, second) for name, first, second in both},
        {name: round(_sigmoid(slopes.get(name, slope) * (x - y)), 6) for name, x, y in both},
        None,
        (a.raw, b.raw) if a.raw or b.raw else (),
        a.judge_version,
    )


def of_comparison(comparison: Comparison, slopes: Mapping[Dimension, float]) -> Verdict:
    """Of two pictures compared in both orders: the scores are the judge's probabilities of winning.

    Args:
        comparison: what the judge said.
        slopes: log-odds for each unit of 2 p - 1, as calibrated on anchors; without one, p stands.
    """
    wins = comparison.first_wins
    labels = {name: _sigmoid(slopes[name] * (2 * p - 1)) if name in slopes else p for name, p in wins.items()}
    return Verdict(
        {name: _ordered(p, 1 - p) for name, p in wins.items()},
        {name: round(p, 6) for name, p in labels.items()},
        comparison.consistent,
        comparison.raw,
        comparison.judge_version,
    )


def _ordered(first: float, second: float) -> WinnerLoser:
    return {"winner": round(max(first, second), 6), "loser": round(min(first, second), 6)}


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
