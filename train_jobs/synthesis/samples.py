"""What each sample of a dataset is: decided by the spec and the sample's index alone. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from actors.contracts import Dimension, PairKind, Query, content_id, derive_seed
from actors.policy import grammar
from actors.queries import load
from configs.schema import Settings
from configs.synthesis import SynthesisSettings

ROLES = ("policy", "generator", "judge", "audit")
FORMAT = 1
"""Raised when the same spec would give other samples."""
_NOT_CONTENT = {"chunk", "in_flight", "window", "most_quarantined", "give_up", "caps"}
"""Settings that change how fast or how far a dataset is made, never what is in it."""


@dataclass(frozen=True)
class SidePlan:
    """How one picture of a pair comes about."""

    query: Query
    """The query its prompt is written for."""
    source: str
    """`raw`, `grammar` or `policy`."""
    seed: int


@dataclass(frozen=True)
class Sample:
    """One pair to make."""

    index: int
    id: str
    kind: PairKind
    query: Query
    a: SidePlan
    b: SidePlan


@dataclass(frozen=True)
class Spec:
    """What a dataset is made from. Equal specs give equal datasets."""

    settings: SynthesisSettings
    backends: str
    """Canonical JSON of the backends that write, draw, judge and audit."""
    queries: tuple[Query, ...] = ()
    """Of the user's file; none = the grammar's."""
    slopes: tuple[tuple[Dimension, float], ...] = ()
    """Of the judge's calibration on human anchors, see `labels`."""

    @classmethod
    def of(cls, settings: Settings, slopes: Mapping[Dimension, float] | None = None) -> Spec:
        """The spec of a run's settings and of the judge's calibration.

        Raises:
            BadInput: the file of queries cannot be read.
        """
        backends = {
            role: _described(getattr(settings, role)) for role in ("policy", "generator", "judge", "audit")
        }
        path = settings.synthesis.queries
        return cls(
            settings.synthesis,
            json.dumps(backends, sort_keys=True, ensure_ascii=False),
            tuple(load(path)) if path else (),
            tuple(sorted((slopes or {}).items())),
        )

    @cached_property
    def id(self) -> str:
        """16 hex digits over everything that decides the content."""
        content = self.settings.model_dump(mode="json", exclude=_NOT_CONTENT | {"queries"})
        listed = [query.model_dump_json() for query in self.queries]
        return content_id(FORMAT, json.dumps(content, sort_keys=True), self.backends, self.slopes, *listed)

    def sample(self, index: int) -> Sample:
        """The sample at an index, 0 and up, without end."""
        seed = self.settings.seed
        dice = random.Random(derive_seed(seed, "sample", index))
        kind: Any = grammar.share(self.settings.kinds.shares(), dice)
        query = self.query(index)
        seeds = (derive_seed(seed, index, "a"), derive_seed(seed, index, "b"))
        source = grammar.share(self.settings.sources.shares(), dice)
        first = SidePlan(query, source, seeds[0])
        if kind == "two_seeds":
            second = SidePlan(query, source, seeds[1])
        elif kind == "raw_engineered":
            first = SidePlan(query, self._engineer(dice), seeds[0])
            second = SidePlan(query, "raw", seeds[1])
        else:
            second = SidePlan(self._other(index, query), source, seeds[1])
        a, b = (first, second) if dice.random() < 0.5 else (second, first)
        return Sample(index, f"{self.id}-{index:09d}-{derive_seed(seed, index):08x}", kind, query, a, b)

    def query(self, index: int) -> Query:
        """The query at an index: the file's in turn, each round in another order, or the grammar's."""
        if self.queries:
            return grammar.turn(self.queries, index, self.settings.seed, "file")
        return grammar.query(self.settings.seed, index, self.settings.aspects, self.settings.langs)

    def _engineer(self, dice: random.Random) -> str:
        """What engineers a prompt: as the sources say, but never nothing."""
        shares = {**self.settings.sources.shares(), "raw": 0.0}
        return grammar.share(shares if any(shares.values()) else {"policy": 1.0}, dice)

    def _other(self, index: int, query: Query) -> Query:
        """Another query in the same frame."""
        for step in range(1, 20):
            other = self.query(derive_seed(self.settings.seed, "other", index, step) % 1_000_000_007)
            if other.text != query.text:
                break
        return other.model_copy(update={"aspect": query.aspect})


def _described(backend: Any) -> Any:
    """A backend's settings without how its service is reached and paid."""
    data = backend.model_dump(mode="json")
    if "http" in data:
        data["http"] = {"model": data["http"]["model"]}
    return data
