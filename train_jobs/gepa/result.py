"""What came of a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.errors import StageFailed
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.pool import Member, Origin


@dataclass(frozen=True)
class Lineage:
    """One admitted candidate."""

    candidate: Candidate
    parents: tuple[int, ...]
    """Places in the list of all candidates."""
    origin: Origin
    island: int
    score: float
    """Mean over the validation examples it was scored on."""
    scores: dict[int, float]
    """By validation example."""
    objectives: dict[str, float]
    """Mean of each objective; empty where the adapter tells none."""
    complete: bool
    """Whether it was scored on every validation example."""
    on_front: bool
    """Whether it is on a front of its island and not dominated."""
    calls: int
    """Metric calls that the run had made when it was admitted."""


@dataclass(frozen=True)
class EvolutionResult:
    """The outcome of `evolve`."""

    best_candidate: Candidate
    best_score: float
    """Mean validation score of the best candidate."""
    lineage: tuple[Lineage, ...]
    """All candidates in the order of their admission, island by island."""
    metric_calls: int
    proposals: int
    money: float
    stopped: str
    """Why the search ended."""
    worker_use: float
    """Share of the evaluators' time that was work, 0..1."""
    log: Path | None
    """File with the order of everything the search was told; None where nothing was kept."""

    @property
    def candidates(self) -> list[Candidate]:
        """All candidates."""
        return [each.candidate for each in self.lineage]

    @property
    def scores(self) -> list[float]:
        """Mean validation score of each candidate."""
        return [each.score for each in self.lineage]

    @property
    def frontier(self) -> list[int]:
        """Places of the candidates that no other dominates."""
        return [place for place, each in enumerate(self.lineage) if each.on_front]

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "best_candidate": self.best_candidate,
            "best_score": self.best_score,
            "metric_calls": self.metric_calls,
            "proposals": self.proposals,
            "money": self.money,
            "stopped": self.stopped,
            "worker_use": self.worker_use,
            "candidates": len(self.lineage),
            "frontier": self.frontier,
        }


def result_of(archipelago: Archipelago, worker_use: float, log: Path | None) -> EvolutionResult:
    """Sum up a run.

    Raises:
        StageFailed: no candidate was validated.
    """
    from train_jobs.gepa.fronts import objective_means

    try:
        best = archipelago.best()
    except LookupError:
        raise StageFailed(
            f"the search ended before a candidate was validated on all examples: {archipelago.stopped}"
        ) from None
    members: list[tuple[int, Member]] = [
        (island.island, member) for island in archipelago.islands for member in island.pool.members
    ]
    places = {id(member): place for place, (_, member) in enumerate(members)}
    fronts = [set(island.pool.front_members()) for island in archipelago.islands]
    lineage = tuple(
        Lineage(
            dict(member.candidate),
            tuple(places[id(parent)] for parent in member.parents if id(parent) in places),
            member.origin,
            island,
            member.mean,
            dict(member.scores),
            objective_means(member.objectives),
            member.complete,
            member.index in fronts[island],
            member.calls,
        )
        for island, member in members
    )
    return EvolutionResult(
        dict(best.candidate),
        best.mean,
        lineage,
        archipelago.budget.spent,
        archipelago.progress.proposals,
        archipelago.progress.money,
        archipelago.stopped,
        worker_use,
        log,
    )
