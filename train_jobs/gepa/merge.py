"""Merging: two members' changes since a common ancestor, component by component (arXiv 2507.19457, appendix).

With one component there is nothing to mix; then `crossover_pair` names two members whose texts a language
model may be asked to join.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.pool import Member, Pool, ancestors

ATTEMPTS = 10
LEAST_SHARED = 5
"""Validation examples that both members must have been scored on."""
GATE = 5
"""Validation examples on which a merged candidate is tried first."""


@dataclass(frozen=True)
class Merged:
    """A candidate made of two members."""

    candidate: Candidate
    first: Member
    second: Member


@dataclass
class Merges:
    """What was tried, and whether one is due: at most `limit` times, each after a fresh member."""

    limit: int
    due: int = 0
    accepted: int = 0
    fresh_member: bool = False
    _triples: set[tuple[int, int, int]] = field(default_factory=set)
    _made: set[tuple[int, int, tuple[int, ...]]] = field(default_factory=set)
    _pairs: set[tuple[int, int]] = field(default_factory=set)

    def admitted(self) -> None:
        """A mutation became a member."""
        self.fresh_member = True
        if self.accepted < self.limit:
            self.due += 1

    def take_turn(self, under_way: int = 0) -> bool:
        """Whether the next proposal is to be a merge; asked once before each proposal.

        Args:
            under_way: merges that may still be admitted.
        """
        turn = self.due > 0 and self.fresh_member and self.accepted + under_way < self.limit
        self.fresh_member = False
        return turn

    def done(self) -> None:
        """A merge was admitted."""
        self.due -= 1
        self.accepted += 1

    def by_ancestor(self, pool: Pool, rng: random.Random) -> Merged | None:
        """Two front members that changed different components, joined; None where none is found."""
        members = pool.front_members()
        if len(members) < 2 or len(pool) < 3:
            return None
        for _ in range(ATTEMPTS):
            triple = self._triple(pool, members, rng)
            if triple is None:
                continue
            first, second, ancestor = triple
            candidate, sources = _mixed(pool, first, second, ancestor, rng)
            made = (first, second, sources)
            if made in self._made or len(_shared(pool, first, second)) < LEAST_SHARED:
                continue
            self._made.add(made)
            self._triples.add(triple)
            return Merged(candidate, pool.members[first], pool.members[second])
        return None

    def crossover_pair(self, pool: Pool) -> tuple[Member, Member] | None:
        """The two front members that would be best together, not tried before; None where no pair would be
        better than the pool's best."""
        members = sorted(pool.front_members())
        best: tuple[float, int, int] | None = None
        for first, second in combinations(members, 2):
            if (first, second) not in self._pairs:
                together = _together(pool.members[first], pool.members[second])
                if best is None or together > best[0]:
                    best = (together, first, second)
        if best is None or best[0] <= sum(pool.best().scores.values()):
            return None
        self._pairs.add(best[1:])
        return pool.members[best[1]], pool.members[best[2]]

    def _triple(self, pool: Pool, members: list[int], rng: random.Random) -> tuple[int, int, int] | None:
        """Two members and a common ancestor that is no better than either and lacks something of theirs."""
        scores = pool.scores
        for _ in range(ATTEMPTS):
            first, second = sorted(rng.sample(members, 2))
            before_first, before_second = ancestors(pool.members[first]), ancestors(pool.members[second])
            if second in before_first or first in before_second:
                continue
            common = [
                ancestor
                for ancestor in set(before_first) & set(before_second)
                if (first, second, ancestor) not in self._triples
                and scores[ancestor] <= min(scores[first], scores[second])
                and _worth_mixing(pool, first, second, ancestor)
            ]
            if common:
                # Scores below zero, and that of a member not validated whole, are no weights.
                weights = [max(0.0, scores[ancestor]) for ancestor in common]
                chosen = rng.choices(common, weights if any(weights) else None, k=1)[0]
                return first, second, chosen
        return None


def gate_examples(first: Mapping[int, float], second: Mapping[int, float], rng: random.Random) -> list[int]:
    """`GATE` examples both were scored on: of those the first wins, the second wins, and ties alike."""
    shared = list(set(first) & set(second))
    wins = [example for example in shared if first[example] > second[example]]
    losses = [example for example in shared if second[example] > first[example]]
    ties = [example for example in shared if first[example] == second[example]]
    chosen: list[int] = []
    for bucket in (wins, losses, ties):
        take = min(len(bucket), math.ceil(GATE / 3), GATE - len(chosen))
        chosen += rng.sample(bucket, k=take) if take > 0 else []
    rest = [example for example in shared if example not in chosen]
    missing = GATE - len(chosen)
    if missing and rest:
        chosen += rng.sample(rest, k=min(missing, len(rest)))
    return chosen


def _shared(pool: Pool, first: int, second: int) -> set[int]:
    return set(pool.members[first].scores) & set(pool.members[second].scores)


def _together(first: Member, second: Member) -> float:
    """Sum of the better score of two members on each example."""
    return sum(max(score, second.scores[example]) for example, score in first.scores.items())


def _worth_mixing(pool: Pool, first: int, second: int, ancestor: int) -> bool:
    """Whether some component was changed by one of the two alone."""
    mine, other, old = (pool.members[index].candidate for index in (first, second, ancestor))
    return any(mine[name] != other[name] and old[name] in (mine[name], other[name]) for name in old)


def _mixed(
    pool: Pool, first: int, second: int, ancestor: int, rng: random.Random
) -> tuple[Candidate, tuple[int, ...]]:
    """The mixture, and which member each component is from."""
    mine, other, old = (pool.members[index].candidate for index in (first, second, ancestor))
    scores = pool.scores
    sources: list[int] = []
    for name in old:
        if old[name] == other[name]:
            source = first
        elif old[name] == mine[name]:
            source = second
        elif scores[first] != scores[second]:
            source = first if scores[first] > scores[second] else second
        else:
            source = rng.choice([first, second])
        sources.append(source)
    candidate = {
        name: pool.members[source].candidate[name] for name, source in zip(old, sources, strict=True)
    }
    return candidate, tuple(sources)
