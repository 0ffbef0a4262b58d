"""An adapter for workers in other processes, whose calls and deaths are counted in files."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.landscape import COMPONENT
from tests.gepa.gepa_kit import LAND, TRAINSET, VALSET, Example
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.candidate import key_of
from train_jobs.gepa.journal import Journal

CALLS, DEATHS = "calls", "deaths"
Moment = Literal["before the call ends", "when its result is written"]


@dataclass
class Remote:
    """The landscape, in as many processes as like.

    Args:
        folder: of the files in which calls and deaths are counted.
        pause: time that a call takes.
        dies_on: an example on which the process that evaluates it kills itself.
        times: how often it does.
    """

    folder: Path
    pause: float = 0.004
    dies_on: Example | None = None
    times: int = 0
    moment: Moment = "before the call ends"
    propose_new_texts: Any = None

    def evaluate(
        self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """Scores of the examples. Each call is a line as soon as it has begun."""
        (example,) = batch
        name = call_name(example, candidate, capture_traces)
        note(self.folder / CALLS, name)
        if example == self.dies_on and len(noted(self.folder / DEATHS)) < self.times:
            note(self.folder / DEATHS, name)
            if self.moment == "before the call ends":
                die()
            _die_after_append()
        time.sleep(self.pause)
        score = LAND.score(candidate, example)
        return EvaluationBatch([None], [score], [list(example)] if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """The examples as they are."""
        return {COMPONENT: [{"example": trace} for trace in eval_batch.trajectories]}

    def propose(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        """The landscape's mutation."""
        return {COMPONENT: LAND.mutate(candidate, [tuple(row["example"]) for row in dataset[COMPONENT]])}

    @property
    def paid(self) -> Counter[str]:
        """How often each call was begun."""
        return Counter(noted(self.folder / CALLS))

    @property
    def deaths(self) -> list[str]:
        """The call of each death."""
        return noted(self.folder / DEATHS)


def call_name(example: Example, candidate: Mapping[str, str], traced: bool) -> str:
    """A call by the name that the search has for it."""
    examples, split = (TRAINSET, "train") if traced else (VALSET, "validation")
    return f"{key_of(dict(candidate))}/{split}/{examples.index(example)}"


def die() -> None:
    """End this process as the kernel would."""
    os.kill(os.getpid(), signal.SIGKILL)


def note(path: Path, line: str) -> None:
    """Add a line; any number of processes may at once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def noted(path: Path) -> list[str]:
    """The lines so far."""
    return path.read_text().splitlines() if path.exists() else []


def _die_after_append() -> None:
    """Have this process die between writing its next result down and telling of it."""
    append = Journal.append

    def last(journal: Journal, record: dict[str, Any]) -> None:
        append(journal, record)
        die()

    Journal.append = last  # type: ignore[method-assign]
