"""One attempt at a new member, from the choice of its parents to its end."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.pool import Member, Origin
from train_jobs.gepa.tasks import Need, Propose, Proposed

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
    """Metric calls that were made for it."""
    reflected: bool = False
    """Whether it asked for a reflection."""
    ending: Ending | None = None


def refusal(proposed: Proposed, parent: Candidate, longest: int) -> Ending | None:
    """Why a reflection's answer cannot be tried; None if it can."""
    if proposed.failure:
        return Ending("failed", proposed.failure)
    if not proposed.texts:
        return Ending("skipped", "the reflection gave no text")
    for name, text in proposed.texts.items():
        if name not in parent:
            known = ", ".join(parent)
            return Ending("failed", f"the reflection wrote component {name!r}; accepted: {known}")
        if len(text) > longest:
            return Ending(
                "failed",
                f"the reflection wrote {len(text)} characters for {name!r}; accepted: at most {longest} "
                "(gepa.longest_text)",
            )
    return None
