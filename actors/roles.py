"""The role Protocols and `Roles`, the bundle of them that every job and app is given.

A role takes a batch and answers one entry an item, in order: the result, or the `Failure` that stands
in its place. It raises only when the whole call could not be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from actors.contracts import (
    AuditVerdict,
    Comparison,
    Dimension,
    Failure,
    Judgement,
    Picture,
    Prompt,
    Query,
    Recall,
    Strategy,
)


@runtime_checkable
class Policy(Protocol):
    """query -> prompts."""

    async def propose(
        self, queries: Sequence[Query], recalls: Sequence[Recall], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        """`n` prompts for each query. `recalls` has one entry a query."""
        ...


@runtime_checkable
class Generator(Protocol):
    """prompt -> picture."""

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        """One picture for each (prompt, seed), stored in artifacts."""
        ...


@runtime_checkable
class Judge(Protocol):
    """picture + query -> scores."""

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        """Scores of each picture against its query."""
        ...

    async def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
    ) -> list[Comparison | Failure]:
        """Which picture of each pair serves its query better, asked in both orders."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """picture + prompt -> learned scores."""

    async def score(
        self, pictures: Sequence[Picture], prompts: Sequence[str]
    ) -> list[dict[Dimension, float] | Failure]:
        """A score a dimension for each picture."""
        ...


@runtime_checkable
class Audit(Protocol):
    """The safety gate over text and pictures."""

    async def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
        """Whether each text or picture may be used."""
        ...


@dataclass(frozen=True)
class Roles:
    """The bundle. `scorer` is None where no scorer is installed."""

    policy: Policy
    generator: Generator
    judge: Judge
    audit: Audit
    scorer: Scorer | None = None
