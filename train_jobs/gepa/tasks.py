"""What a search asks for and what it is told. Every call has a name that is the same in every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from train_jobs.gepa.candidate import Candidate, key_of
from train_jobs.gepa.outcome import Outcome, Split


@dataclass(frozen=True)
class Evaluate:
    """One metric call: a candidate on one example."""

    name: str
    """The same candidate, split and example have the same name, unless scores shall not be reused."""
    candidate: Candidate
    split: Split
    example: int
    island: int = 0


@dataclass(frozen=True)
class Propose:
    """One reflection: new texts for some components of a candidate."""

    name: str
    kind: Literal["mutation", "crossover"]
    candidate: Candidate
    components: tuple[str, ...]
    examples: tuple[int, ...]
    """Training examples that the outcomes are of; none for a crossover."""
    outcomes: tuple[Outcome, ...]
    history: tuple[Outcome, ...] = ()
    """What the run learnt lately of training examples, with any candidate."""
    other: Candidate | None = None
    """What a crossover joins the candidate with."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Mean validation scores that a crossover may tell: `candidate` and `other`."""
    island: int = 0


Task = Evaluate | Propose


@dataclass(frozen=True)
class Proposed:
    """What a reflection answered."""

    texts: Mapping[str, str]
    """New text by component; empty where it had none."""
    cost: float = 0.0
    """Money."""
    failure: str = ""
    """Why there is none."""


Result = Outcome | Proposed


def evaluation_name(candidate: Candidate, split: Split, example: int, once: str = "") -> str:
    """Name of a metric call; `once` sets it apart from others of the same content."""
    return "/".join((key_of(candidate), split, str(example), *([once] if once else [])))


@dataclass(frozen=True)
class Need:
    """Evaluations that a proposal waits for."""

    candidate: Candidate
    split: Split
    examples: Sequence[int]
