"""A small search that runs in this process: an adapter that is counted, and what it is called with."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.landscape import COMPONENT, Landscape
from configs.gepa import GepaSettings
from tests.gepa.worlds import SEED, World
from train_jobs.gepa import EvolutionResult, evolve
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.journal import RESULTS, read_lines

TRAIN, VALIDATION = 12, 8
LAND = Landscape(3)
# Each example once, so that one can be told from another.
TRAINSET = list(dict.fromkeys(LAND.train))[:TRAIN]
VALSET = [each for each in dict.fromkeys(LAND.validation) if each not in TRAINSET][:VALIDATION]
Example = tuple[int, ...]
Hook = Callable[[Example, Mapping[str, str], bool], None]


class Counted(World):
    """A world that threads may share.

    Args:
        hook: called with example, candidate and whether it is a training example, before each call ends.
    """

    def __init__(self, hook: Hook = lambda example, candidate, traced: None) -> None:
        super().__init__(LAND)
        self.hook = hook
        self.lock = threading.Lock()
        self.paid: Counter[tuple[str, Example, bool]] = Counter()

    def evaluate(
        self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """See `World.evaluate`."""
        with self.lock:
            for example in batch:
                self.paid[candidate[COMPONENT], tuple(example), capture_traces] += 1
        for example in batch:
            self.hook(tuple(example), candidate, capture_traces)
        return super().evaluate(batch, candidate, capture_traces)

    @property
    def total(self) -> int:
        """Metric calls so far."""
        return sum(self.paid.values())


def search(adapter: Any, calls: int | None = 150, **changes: Any) -> EvolutionResult:
    """`evolve` on the small search; `changes` are further arguments of it."""
    propose = getattr(adapter, "propose", None)
    arguments: dict[str, Any] = {
        "seed_candidates": [SEED],
        "trainset": TRAINSET,
        "valset": VALSET,
        "propose": propose,
        "settings": GepaSettings(evaluators=16, proposers=4),
        "in_flight": 4,
    }
    return evolve(adapter=adapter, max_metric_calls=calls, **{**arguments, **changes})


def pool(result: EvolutionResult) -> list[Any]:
    """What two runs are compared by."""
    return [
        (each.candidate, each.parents, each.origin, each.scores, each.complete, each.calls)
        for each in result.lineage
    ]


def records(folder: Path) -> list[dict[str, Any]]:
    """Every line of every file of results."""
    return [line for path in sorted((folder / RESULTS).glob("*.jsonl")) for line in read_lines(path)]


def sleeping(seconds: float) -> Hook:
    """A hook that takes so long."""
    return lambda example, candidate, traced: time.sleep(seconds)
