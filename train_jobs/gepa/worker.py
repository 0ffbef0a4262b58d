"""What makes the calls: a plain worker around an adapter, in this process or in a replica on Ray."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_jobs.gepa.adapter import Adapter, EvaluationBatch
from train_jobs.gepa.journal import RESULTS, Journal, Kept, record_of
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.reflection import Reflection
from train_jobs.gepa.tasks import Evaluate, Propose, Proposed, Result, Task

LONGEST_REASON = 500
WRONG = (Exception, SystemExit)
"""What may go wrong in a call; candidates that are run as code do call `exit`."""


@dataclass(frozen=True)
class Kit:
    """What a worker is built of. Picklable if its parts are, which islands on Ray need."""

    adapter: Callable[[], Adapter]
    """Makes the adapter where the worker lives."""
    reflection: Callable[[Adapter], Reflection]
    train: Sequence[Any]
    validation: Sequence[Any]
    folder: Path | None = None
    """The run's folder, on storage that all nodes share; None keeps nothing."""


class SearchWorker:
    """Evaluates candidates and reflects on them; keeps each result before it tells anybody.

    Args:
        name: of its file of results; no other living worker has it. None makes one up.
    """

    def __init__(self, kit: Kit, name: str | None = None) -> None:
        name = name or f"worker-{uuid.uuid4().hex[:12]}"
        self._kit = kit
        self.adapter = kit.adapter()
        self._reflection = kit.reflection(self.adapter)
        self._journal = Journal(kit.folder / RESULTS / f"{name}.jsonl") if kit.folder else None

    def run(self, tasks: Sequence[Task]) -> list[Result]:
        """Make the calls, one after the other; what goes wrong in one is in its result."""
        return [self.run_one(task) for task in tasks]

    def run_one(self, task: Task) -> Result:
        """Make one call. Threads may call it at once if the adapter bears that."""
        result: Result = self._evaluate(task) if isinstance(task, Evaluate) else self._propose(task)
        if self._journal is not None:
            self._journal.append(record_of(task.name, result))
        return result

    def close(self) -> None:
        """Close the file of results."""
        if self._journal is not None:
            self._journal.close()

    def _evaluate(self, task: Evaluate) -> Outcome:
        examples = self._kit.train if task.split == "train" else self._kit.validation
        try:
            batch = self.adapter.evaluate(
                [examples[task.example]], dict(task.candidate), capture_traces=task.split == "train"
            )
            return outcome_of(batch)
        except WRONG as error:  # whatever an adapter raises: the example fails, the run goes on
            return Outcome(failure_score(self.adapter), failure=_reason(f"{type(error).__name__}: {error}"))

    def _propose(self, task: Propose) -> Proposed:
        try:
            proposed = self._reflect(task)
            for name, text in proposed.texts.items():
                if not isinstance(text, str):
                    raise ValueError(f"the reflection wrote {text!r} for {name!r}; accepted: a text")
                text.encode("utf-8")  # half a surrogate pair can be neither named nor kept
            return proposed
        except WRONG as error:  # whatever a reflection raises: the proposal fails, the run goes on
            return Proposed({}, failure=_reason(f"{type(error).__name__}: {error}"))

    def _reflect(self, task: Propose) -> Proposed:
        if task.kind == "crossover":
            return self._reflection.crossover(task)
        # An example that failed has neither output nor trace, which an adapter need not be prepared for.
        outcomes = [self._whole(task, i) for i, each in enumerate(task.outcomes) if not each.failure]
        if not outcomes:
            return Proposed({}, failure=_reason(f"no example to learn from: {task.outcomes[0].failure}"))
        batch = EvaluationBatch(
            outputs=[each.output for each in outcomes],
            scores=[each.score for each in outcomes],
            trajectories=[each.trace for each in outcomes],
            objective_scores=_objectives(outcomes),
            history=[each.trace for each in task.history if each.trace is not Kept.LEFT_OUT],
        )
        dataset = self.adapter.make_reflective_dataset(dict(task.candidate), batch, list(task.components))
        return self._reflection.mutation(task, dataset)

    def _whole(self, task: Propose, place: int) -> Outcome:
        """An outcome as it was; one of which JSON could not keep all over a restart is made anew."""
        outcome = task.outcomes[place]
        if outcome.trace is not Kept.LEFT_OUT and outcome.output is not Kept.LEFT_OUT:
            return outcome
        examples = [self._kit.train[task.examples[place]]]
        return outcome_of(self.adapter.evaluate(examples, dict(task.candidate), capture_traces=True))


def outcome_of(batch: Any) -> Outcome:
    """The one entry of an adapter's answer.

    Raises:
        ValueError: it has not one entry, or a score of it is no finite number.
    """
    lists = {"scores": batch.scores, "outputs": batch.outputs}
    for name in ("trajectories", "objective_scores"):
        value = getattr(batch, name, None)
        lists |= {name: value} if value else {}
    for name, value in lists.items():
        if len(value) != 1:
            raise ValueError(f"the adapter gave {len(value)} {name} for 1 example; accepted: one an example")
    score = float(batch.scores[0])
    if not math.isfinite(score):
        raise ValueError(f"the adapter gave the score {score}; accepted: a finite number")
    rows = lists.get("objective_scores")
    objectives = {name: float(value) for name, value in rows[0].items()} if rows else None
    for name, value in (objectives or {}).items():
        if not math.isfinite(value):
            raise ValueError(f"the adapter gave the objective {name!r} {value}; accepted: a finite number")
    traces = lists.get("trajectories")
    return Outcome(
        score,
        objectives,
        batch.outputs[0],
        traces[0] if traces else None,
    )


def failure_score(adapter: Any) -> float:
    """The score of an example that failed."""
    return float(getattr(adapter, "failure_score", 0.0))


def _objectives(outcomes: Sequence[Outcome]) -> list[dict[str, float]] | None:
    found = [dict(each.objectives) for each in outcomes if each.objectives is not None]
    return found if len(found) == len(outcomes) else None


def _reason(text: str) -> str:
    return " ".join(text.split())[:LONGEST_REASON]
