"""A world of candidates with several components, each of which names rules of its own kind."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from actors.contracts import derive_seed
from benchmarks.landscape import RULES, read, write
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Evaluate, Proposed, Result, Task

Example = tuple[int, ...]


def names_as_a_set_walks(size: int) -> tuple[str, ...]:
    """Component names whose order is that of a set of them, which gepa walks when it merges."""
    for attempt in count():
        names = tuple(f"{attempt}-{number}" for number in range(size))
        if tuple(set(dict.fromkeys(names).keys())) == names:
            return names
    raise AssertionError("a count ended")


@dataclass
class Composite:
    """An adapter. A rule counts in the component of its own kind only: that of `rule % components`."""

    seed: int
    names: tuple[str, ...] = ("plan", "style", "form")
    examples: tuple[int, int] = (20, 12)
    """Of training, of validation."""
    needs: int = 3
    gain: float = 0.4
    loss: float = 0.06
    objectives: bool = False
    propose_new_texts: Any = field(default=None)

    def __post_init__(self) -> None:
        self.train, self.validation = (
            self._drawn(name, size) for name, size in zip(("train", "validation"), self.examples, strict=True)
        )

    @property
    def start(self) -> dict[str, str]:
        """A candidate with one rule in each component."""
        return {name: str(place) for place, name in enumerate(self.names)}

    def have(self, candidate: dict[str, str]) -> set[int]:
        """The rules that count."""
        size = len(self.names)
        return {
            rule
            for place, name in enumerate(self.names)
            for rule in read(candidate[name])
            if rule % size == place
        }

    def score(self, candidate: dict[str, str], example: Example) -> float:
        """Share of an example's rules that are there."""
        have = self.have(candidate)
        return sum(rule in have for rule in example) / len(example)

    def objective(self, candidate: dict[str, str], example: Example) -> dict[str, float]:
        """Two that pull apart: the share, and how few rules it takes."""
        words = sum(len(text.split()) for text in candidate.values())
        return {"share": self.score(candidate, example), "brief": 1 - words / (2 * RULES)}

    def rewrite(self, candidate: dict[str, str], name: str, examples: Sequence[Example]) -> str:
        """A reflection's text for one component."""
        place, have = self.names.index(name), read(candidate[name])
        texts = [candidate[each] for each in self.names]
        rng = random.Random(derive_seed(self.seed, "mutate", place, texts, sorted(examples)))
        wanted = {rule for example in examples for rule in example if rule % len(self.names) == place}
        kept = [rule for rule in sorted(have) if rng.random() >= self.loss]
        return write(kept + [rule for rule in sorted(wanted - have) if rng.random() < self.gain])

    def answer(self, simulation: Any, task: Task) -> Result:
        """As `worlds.usual`."""
        if isinstance(task, Evaluate):
            example = (self.train if task.split == "train" else self.validation)[task.example]
            objectives = self.objective(task.candidate, example) if self.objectives else None
            return Outcome(self.score(task.candidate, example), objectives)
        if task.kind == "crossover":
            assert task.other is not None
            joined = {name: read(task.candidate[name]) | read(task.other[name]) for name in task.components}
            return Proposed({name: write(sorted(rules)) for name, rules in joined.items()})
        examples = [self.train[i] for i in task.examples]
        return Proposed({name: self.rewrite(task.candidate, name, examples) for name in task.components})

    # As an adapter, of gepa or of here.

    def evaluate(
        self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """Scores of the examples."""
        return EvaluationBatch(
            outputs=[None] * len(batch),
            scores=[self.score(candidate, example) for example in batch],
            trajectories=list(batch) if capture_traces else None,
            objective_scores=[self.objective(candidate, example) for example in batch]
            if self.objectives
            else None,
        )

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """The examples as they are."""
        rows = [{"example": trace} for trace in eval_batch.trajectories]
        return {name: rows for name in components_to_update}

    def propose(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        """New texts from the examples of a dataset."""
        return {
            name: self.rewrite(candidate, name, [tuple(row["example"]) for row in dataset[name]])
            for name in components
        }

    def _drawn(self, name: str, size: int) -> list[Example]:
        rng = random.Random(derive_seed(self.seed, name))
        return [tuple(sorted(rng.sample(range(RULES), self.needs))) for _ in range(size)]
