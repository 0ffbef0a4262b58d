"""Pareto fronts over a pool, and dominance.

A front names, for one validation example or one objective, the members with the best score. Fronts are sets
of indices filled in the order of admission: the order in which Python walks such a set decides, for a given
seed, which parent is drawn, and is kept as in `gepa` so that a search can be compared with it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal

FrontierType = Literal["instance", "objective", "hybrid", "cartesian"]
"""`instance`: a front each validation example; `objective`: each objective's mean; `hybrid`: both;
`cartesian`: each example and objective."""
Key = Hashable
Front = set[int]


class Fronts:
    """The best score of each key and who has it; grows with the pool."""

    def __init__(self, kind: FrontierType) -> None:
        self.kind = kind
        self._best: dict[Key, float] = {}
        self._members: dict[Key, Front] = {}

    def add(self, index: int, values: Mapping[Key, float]) -> None:
        """Let a member stand for its values, as `values_of` gives them."""
        for key, value in values.items():
            best = self._best.get(key)
            if best is None or value > best:
                self._best[key], self._members[key] = value, {index}
            elif value == best:
                self._members[key].add(index)

    def best(self, key: Key) -> float | None:
        """The best value of a key so far."""
        return self._best.get(key)

    def mapping(self) -> dict[Key, Front]:
        """Each key's front, as copies; keys of objectives come behind those of examples."""
        keys = list(self._members)
        if self.kind == "hybrid":
            keys.sort(key=lambda key: isinstance(key, tuple) and key[0] == "objective")
        return {key: set(self._members[key]) for key in keys}


def values_of(
    kind: FrontierType, scores: Mapping[int, float], objectives: Mapping[int, Mapping[str, float]]
) -> dict[Key, float]:
    """What a member competes with: key -> value.

    Args:
        scores: score by validation example.
        objectives: score by objective, by validation example; empty where the adapter tells none.
    """
    if kind == "cartesian":
        return {(example, name): value for example, row in objectives.items() for name, value in row.items()}
    values: dict[Key, float] = {}
    if kind != "objective":
        values.update((example, score) for example, score in scores.items())
    if kind != "instance":
        values.update((("objective", name), mean) for name, mean in objective_means(objectives).items())
    return values


def objective_means(objectives: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """Mean of each objective over the examples that have it."""
    rows: dict[str, list[float]] = {}
    for row in objectives.values():
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in rows.items()}


def surviving(fronts: Mapping[Key, Front], scores: Sequence[float]) -> dict[Key, Front]:
    """The fronts without dominated members (Agrawal et al. 2025, arXiv 2507.19457).

    A member is dominated when every front that it is in has another surviving member; the weakest by
    `scores` is looked at first. Linear in the memberships, after sorting.
    """
    seats: dict[int, list[Key]] = {}
    for key, front in fronts.items():
        for index in front:
            seats.setdefault(index, []).append(key)
    left = {key: len(front) for key, front in fronts.items()}
    dominated: set[int] = set()
    for index in sorted(seats, key=lambda each: scores[each]):
        if all(left[key] > 1 for key in seats[index]):
            dominated.add(index)
            for key in seats[index]:
                left[key] -= 1
    return {key: {index for index in front if index not in dominated} for key, front in fronts.items()}


def seats_of(fronts: Mapping[Key, Front]) -> list[int]:
    """Every member once for each front it is in: drawing from it is drawing by fronts held."""
    counts: dict[int, int] = {}
    for front in fronts.values():
        for index in front:
            counts[index] = counts.get(index, 0) + 1
    return [index for index, count in counts.items() for _ in range(count)]
