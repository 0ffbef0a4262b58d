"""One attempt at a new member, from the choice of its parents to its end."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from train_jobs.gepa.pool import Member, Origin
from train_jobs.gepa.tasks import Need, Propose

EndKind = Literal["admitted", "raced", "rejected", "skipped", "failed"]


@dataclass(frozen=True)
class Ending:
    """How a proposal ended."""

    kind: EndKind
    reason: str = ""
    member: Member | None = None


Steps = Generator[Need | Propose, Any, Ending]


@dataclass(eq=False)
class Proposal:
    """What is under way. Its steps ask for calls and are resumed when all of them are answered."""

    number: int
    iteration: int
    """Which minibatch it may take."""
    origin: Origin
    held: int
    """Metric calls set aside for it in the budget."""
    steps: Steps | None = None
    stage: Literal["search", "validation"] = "search"
    waiting: set[str] = field(default_factory=set)
    parents: tuple[Member, ...] = ()
    examples: Sequence[int] = ()
    before: float = 0.0
    after: float = 0.0
    """Sums over the gate's examples, of the parent and the child."""
    new_calls: int = 0
    ending: Ending | None = None
