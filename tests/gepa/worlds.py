"""What the tests of the search run on: a deterministic adapter, and a driver with a simulated clock."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.landscape import COMPONENT, LandscapeAdapter, latency
from configs.gepa import GepaSettings
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Evaluate, Proposed, Result, Task

SEED = {COMPONENT: ""}


@dataclass
class World(LandscapeAdapter):
    """A landscape as an adapter; counts what is asked of it."""

    calls: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)

    def evaluate(
        self, batch: list[tuple[int, ...]], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """Scores of the examples."""
        for example in batch:
            self.calls[candidate[COMPONENT], tuple(example)] += 1
        scores = [self.landscape.score(candidate, example) for example in batch]
        traces = [list(example) for example in batch] if capture_traces else None
        return EvaluationBatch(outputs=[None] * len(batch), scores=scores, trajectories=traces)


def usual(simulation: Simulation, task: Task) -> Result:
    """What the simulation's landscape answers."""
    landscape = simulation.landscape
    if isinstance(task, Evaluate):
        examples = simulation.train if task.split == "train" else simulation.validation
        return Outcome(landscape.score(task.candidate, examples[task.example]))
    if task.kind == "crossover":
        assert task.other is not None
        return Proposed({COMPONENT: landscape.join(task.candidate, task.other)})
    return Proposed(
        {COMPONENT: landscape.mutate(task.candidate, [simulation.train[i] for i in task.examples])}
    )


@dataclass
class Simulation:
    """Drives an archipelago with a clock of its own: every call takes a time that follows from its name.

    `taken` lists the calls in the order in which the search was told of them, with the time; `made` counts
    the evaluations by name, `asked` keeps every call that was begun, and `told` what the search told.
    """

    landscape: Any
    """A `Landscape`, or anything with its examples and seed where `answer` is another one."""
    settings: GepaSettings
    calls: int | None
    workers: int = 64
    crossover: bool = True
    seeds: Sequence[dict[str, str]] = (SEED,)
    answer: Callable[[Simulation, Task], Result] = usual
    taken: list[tuple[float, str]] = field(default_factory=list)
    made: Counter[str] = field(default_factory=Counter)
    asked: list[Task] = field(default_factory=list)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.train, self.validation = self.landscape.train, self.landscape.validation
        self.archipelago = Archipelago(
            self.settings,
            list(self.seeds),
            len(self.train),
            len(self.validation),
            self.calls,
            crossover=self.crossover,
            tell=lambda event, payload: self.told.append((event, payload)),
        )
        self.clock = 0.0
        self.peak = 0
        self._due: list[tuple[float, int, Task, Result]] = []
        self._waiting: list[tuple[int, int, Task]] = []
        self._busy = 0
        self._order = 0

    def run(
        self,
        until: Callable[[Simulation], bool] = lambda simulation: False,
        known: Sequence[tuple[float, str]] = (),
    ) -> Simulation:
        """Go on to the end, or to a moment. `known` is replayed first: a run that was cut off."""
        self.archipelago.start()
        self._issue()
        replayed = 0
        while self._due and not self.archipelago.stopped and not until(self):
            if replayed < len(known):
                time, name = known[replayed]
                place = next(i for i, entry in enumerate(self._due) if entry[2].name == name)
                entry = self._due.pop(place)
                heapq.heapify(self._due)
                assert entry[0] == time
                replayed += 1
            else:
                entry = heapq.heappop(self._due)
            self.clock, _, task, result = entry
            self._busy -= isinstance(task, Evaluate)
            self.taken.append((self.clock, task.name))
            self.archipelago.learn(task.name, result)
            self._issue()
        return self

    def pool(self) -> list[Any]:
        """Everything about the members that may be compared."""
        return [
            (island.island, m.index, m.candidate, [p.index for p in m.parents], m.scores, m.origin, m.calls)
            for island in self.archipelago.islands
            for m in island.pool.members
        ]

    def _issue(self) -> None:
        for task in self.archipelago.take():
            self._order += 1
            if isinstance(task, Evaluate):
                heapq.heappush(self._waiting, (0, self._order, task))
            else:
                self._start(task, latency(0.12, 0.5, self.landscape.seed, task.name))
        while self._waiting and self._busy < self.workers:
            task = heapq.heappop(self._waiting)[2]
            self._busy += 1
            self.made[task.name] += 1
            self._start(task, latency(0.06, 0.8, self.landscape.seed, task.name))
        self.peak = max(self.peak, self._busy)

    def _start(self, task: Task, seconds: float) -> None:
        self._order += 1
        self.asked.append(task)
        heapq.heappush(self._due, (self.clock + seconds, self._order, task, self.answer(self, task)))
