"""The pool of candidates: append-only, with parents and scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from train_jobs.gepa.candidate import Candidate, key_of
from train_jobs.gepa.errors import MissingObjectives
from train_jobs.gepa.fronts import Front, FrontierType, Fronts, Key, surviving, values_of

Origin = Literal["seed", "mutation", "merge", "crossover", "migrant"]


@dataclass(eq=False)
class Member:
    """A candidate that passed the gate."""

    candidate: Candidate
    parents: tuple[Member, ...]
    origin: Origin
    next_component: int = 0
    """Which component a mutation of it changes next."""
    index: int = -1
    """Its place in the pool; -1 while its validation goes on."""
    scores: dict[int, float] = field(default_factory=dict)
    """By validation example; fewer than all of them where the validation was stopped early."""
    objectives: dict[int, dict[str, float]] = field(default_factory=dict)
    complete: bool = False
    """Whether it was validated on every example. Only complete members are in fronts, or can be the best."""
    calls: int = 0
    """Metric calls that the run had made when it was admitted."""

    def __post_init__(self) -> None:
        self.key = key_of(self.candidate)

    @property
    def mean(self) -> float:
        """Mean validation score; minus infinity without one."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else -math.inf


@dataclass
class Pool:
    """Members by index, their fronts, and what follows from them."""

    kind: FrontierType = "instance"
    members: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fronts = Fronts(self.kind)
        self._scores: list[float] = []
        self._survivors: dict[Key, Front] | None = None
        self._best: Member | None = None
        self._highest: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self.members)

    def admit(self, member: Member) -> None:
        """Append a member; it gets its index.

        Raises:
            MissingObjectives: the fronts stand on objectives and the member has none.
        """
        if self.kind != "instance" and not member.objectives:
            raise MissingObjectives(self.kind)
        member.index = len(self.members)
        self.members.append(member)
        self._scores.append(member.mean if member.complete else -math.inf)
        if member.complete:
            self.fronts.add(member.index, values_of(self.kind, member.scores, member.objectives))
            self._survivors = None
            for example, score in member.scores.items():
                self._highest[example] = max(score, self._highest.get(example, score))
            if self._best is None or member.mean > self._best.mean:
                self._best = member

    @property
    def scores(self) -> list[float]:
        """Mean of each member; minus infinity for one that was not validated whole."""
        return self._scores

    @property
    def has_best(self) -> bool:
        """Whether a member is validated whole."""
        return self._best is not None

    def highest(self, example: int) -> float:
        """The best score of any complete member on a validation example."""
        return self._highest.get(example, -math.inf)

    def best(self) -> Member:
        """The complete member with the highest mean; the first of equals.

        Raises:
            LookupError: there is none yet.
        """
        if self._best is None:
            raise LookupError("the pool has no validated member yet")
        return self._best

    def survivors(self) -> dict[Key, Front]:
        """The fronts without dominated members."""
        if self._survivors is None:
            self._survivors = surviving(self.fronts.mapping(), self._scores)
        return self._survivors

    def front_members(self) -> list[int]:
        """Members that are not dominated, each once."""
        return list({index for front in self.survivors().values() for index in front})


def ancestors(member: Member) -> list[int]:
    """Indices of all ancestors, each once, in the order of a walk from parent to parent.

    An ancestor that is still being validated has no index and is left out, though not its own ancestors.
    """
    found: set[int] = set()
    seen: set[int] = set()
    stack = [iter(member.parents)]
    while stack:
        parent = next(stack[-1], None)
        if parent is None:
            stack.pop()
        elif id(parent) not in seen:
            seen.add(id(parent))
            if parent.index >= 0:
                found.add(parent.index)
            stack.append(iter(parent.parents))
    return list(found)
