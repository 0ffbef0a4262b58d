"""The search against the `gepa` package on the same landscape, latencies, workers and seeds; and by itself.

    python -m benchmarks.search [race|quick|use|coordinator|nodes ...] [--seeds 5]

prints one JSON object. Calls sleep for log-normal times that follow from what they are for, so a small
machine is fair; `nodes` are simulated: several Ray nodes on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.landscape import COMPONENT, VALIDATION, Landscape, LandscapeAdapter, latency, shown
from configs.gepa import GepaSettings
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.evolve import evolve
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.pool import Member
from train_jobs.gepa.tasks import Evaluate, Proposed, Task

WORKERS = 64
EVALUATION, REFLECTION = (0.06, 0.8), (0.12, 0.5)
"""Mean, s, and sigma of the log-normal times."""
TARGET, FIXED = 0.85, 1500
"""Mean validation score to reach, and the budget in metric calls of the other comparison."""
MOST = 12_000
NODE_EVALUATION, NODE_CANDIDATES = 0.25, 20
"""Mean time, s, of an evaluation on simulated nodes, and candidates that are validated there."""
START = {COMPONENT: ""}


@dataclass
class Slow(LandscapeAdapter):
    """A landscape behind workers that take their time."""

    pool: ThreadPoolExecutor | None = None
    """Of the package's batches; ours come one by one from as many threads."""
    busy_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def evaluate(
        self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """Scores of a batch."""
        return self.batch_evaluate([(candidate, batch)])[0]

    def batch_evaluate(
        self, items: list[tuple[dict[str, str], list[Any]]], *, capture_traces: bool = True
    ) -> list[EvaluationBatch]:
        """All examples of all items at once, as far as there are workers."""
        pairs = [(candidate, example) for candidate, batch in items for example in batch]
        mapped = self.pool.map(self._one, pairs) if self.pool and len(pairs) > 1 else map(self._one, pairs)
        scores = list(mapped)
        answers, start = [], 0
        for _, batch in items:
            part = scores[start : start + len(batch)]
            answers.append(EvaluationBatch([None] * len(batch), part, [list(each) for each in batch]))
            start += len(batch)
        return answers

    def propose(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        """One reflection."""
        time.sleep(latency(*REFLECTION, self.landscape.seed, candidate[COMPONENT], shown(dataset)))
        return super().propose(candidate, dataset, components)

    def _one(self, pair: tuple[dict[str, str], Any]) -> float:
        candidate, example = pair
        seconds = latency(*EVALUATION, self.landscape.seed, candidate[COMPONENT], example)
        time.sleep(seconds)
        with self.lock:
            self.busy_s += seconds
        return self.landscape.score(candidate, example)


class Crossing(Slow):
    """The same, and two texts can be joined."""

    def crossover(self, first: dict[str, str], second: dict[str, str], names: list[str]) -> dict[str, str]:
        """One reflection that joins."""
        time.sleep(latency(*REFLECTION, self.landscape.seed, first[COMPONENT], second[COMPONENT]))
        return {COMPONENT: self.landscape.join(first, second)}


class Reflector:
    """The package's reflections, as many at once as it asks for."""

    def __init__(self, world: Slow) -> None:
        self._world, self._pool = world, ThreadPoolExecutor(WORKERS)

    def reflect(self, candidate: Any, dataset: Any, components: list[str]) -> tuple[Any, Any]:
        """One."""
        from gepa.proposer.reflective_mutation.reflection_lm import ReflectionProposal

        texts = self._world.propose(candidate, dataset, components)
        return ReflectionProposal(new_texts=texts), self

    def reflect_many(self, jobs: Sequence[Any]) -> list[Any]:
        """All at once."""
        return list(self._pool.map(lambda job: self.reflect(*job), jobs))


@dataclass
class Watch:
    """When the target was reached, and the best score."""

    began: float
    best: float = 0.0
    seconds: float | None = None
    calls: int | None = None
    spent: int = 0

    def on_budget_updated(self, event: Any) -> None:
        """Count."""
        self.spent = event["metric_calls_used"]

    def on_valset_evaluated(self, event: Any) -> None:
        """Look whether this is it."""
        if event["num_examples_evaluated"] == event["total_valset_size"]:
            self.best = max(self.best, event["average_score"])
        if self.best >= TARGET and self.seconds is None:
            self.seconds, self.calls = time.monotonic() - self.began, self.spent

    def __call__(self, state: Any) -> bool:
        """Whether to stop: the target is reached."""
        return self.seconds is not None


def package(seed: int, strategy: Any, calls: int, stop: bool) -> dict[str, Any]:
    """One run of the package."""
    import gepa

    with ThreadPoolExecutor(WORKERS) as pool:
        world = Slow(Landscape(seed), pool=pool)
        watch = Watch(time.monotonic())
        gepa.optimize(
            seed_candidate=dict(START),
            trainset=world.landscape.train,
            valset=world.landscape.validation,
            adapter=world,
            reflection_strategy=Reflector(world),
            sampling_strategy=strategy,
            max_metric_calls=calls,
            stop_callbacks=[watch] if stop else None,
            callbacks=[watch],
            seed=seed,
            logger=_Quiet(),
        )
        wall = time.monotonic() - watch.began
    return _row(watch, wall, world.busy_s / (WORKERS * wall))


def ours(seed: int, kind: type[Slow], calls: int, stop: bool) -> dict[str, Any]:
    """One run of ours, as it is set by default; the workers are the machine's, not the search's."""
    world = kind(Landscape(seed))
    watch = Watch(time.monotonic())
    evolve(
        adapter=world,
        seed_candidates=[START],
        trainset=world.landscape.train,
        valset=world.landscape.validation,
        propose=world.propose,
        max_metric_calls=calls,
        seed=seed,
        callbacks=[watch],
        settings=GepaSettings.model_validate(
            {
                "evaluators": WORKERS,
                "proposers": WORKERS,
                "stop": {"score": TARGET} if stop else {},
            }
        ),
    )
    wall = time.monotonic() - watch.began
    return _row(watch, wall, world.busy_s / (WORKERS * wall))


def quick(seeds: int) -> dict[str, Any]:
    """Seconds and calls to the target alone, of the rows that the bars are about."""
    from gepa.strategies.proposal_sampling import IndependentSampling

    rows: dict[str, Callable[[int], dict[str, Any]]] = {
        "gepa, sequential": lambda s: package(s, None, MOST, True),
        "gepa, independent 8": lambda s: package(s, IndependentSampling(8), MOST, True),
        "ours": lambda s: ours(s, Crossing, MOST, True),
    }
    found = {name: [run(seed) for seed in range(seeds)] for name, run in rows.items()}
    return {name: {key: _median(row, key) for key in ("seconds", "calls")} for name, row in found.items()}


def race(seeds: int) -> dict[str, Any]:
    """Seconds and calls to the target, and the best score of a fixed budget."""
    from gepa.strategies.proposal_sampling import IndependentSampling, PxNSampling

    rows: dict[str, Callable[[int, int, bool], dict[str, Any]]] = {
        "gepa, sequential": lambda s, c, t: package(s, None, c, t),
        "gepa, independent 2": lambda s, c, t: package(s, IndependentSampling(2), c, t),
        "gepa, independent 4": lambda s, c, t: package(s, IndependentSampling(4), c, t),
        "gepa, independent 8": lambda s, c, t: package(s, IndependentSampling(8), c, t),
        "gepa, independent 16": lambda s, c, t: package(s, IndependentSampling(16), c, t),
        "gepa, 2 x 2": lambda s, c, t: package(s, PxNSampling(2, 2), c, t),
        "ours": lambda s, c, t: ours(s, Crossing, c, t),
        "ours, no crossover": lambda s, c, t: ours(s, Slow, c, t),
    }
    table: dict[str, Any] = {}
    for name, run in rows.items():
        to_target = [run(seed, MOST, True) for seed in range(seeds)]
        fixed = [run(seed, FIXED, False) for seed in range(seeds)]
        table[name] = {
            "seconds": _median(to_target, "seconds"),
            "calls": _median(to_target, "calls"),
            "use": _median(to_target, "use"),
            "reached": sum(each["seconds"] is not None for each in to_target),
            "best_at_fixed": statistics.mean(each["best"] for each in fixed),
            "calls_at_fixed": [each["spent"] for each in fixed],
            "seconds_at_fixed": _median(fixed, "wall"),
        }
        print(name, table[name], flush=True)
    return table


def use(seeds: int) -> dict[str, Any]:
    """How much of the evaluators' time is work where there is enough of it: many seeds are validated."""
    answers: dict[str, Any] = {}
    for evaluators in (16, 64):
        found = []
        for seed in range(seeds):
            world = Slow(Landscape(seed))
            rng = random.Random(seed)
            starts = [{COMPONENT: " ".join(map(str, sorted(rng.sample(range(24), 6))))} for _ in range(300)]
            began = time.monotonic()
            result = evolve(
                adapter=world,
                seed_candidates=starts,
                trainset=world.landscape.train,
                valset=world.landscape.validation,
                propose=world.propose,
                max_metric_calls=len({s[COMPONENT] for s in starts}) * len(world.landscape.validation),
                settings=GepaSettings(evaluators=evaluators),
            )
            wall = time.monotonic() - began
            found.append({"use": world.busy_s / (evaluators * wall), "calls": result.metric_calls})
        answers[f"{evaluators} evaluators"] = {
            "use": _median(found, "use"),
            "calls": found[0]["calls"],
        }
    return answers


def coordinator(seeds: int) -> dict[str, Any]:
    """Results that the search alone can be told of a second, with a pool of 10,000 candidates."""
    return {"continuous scores": _events(None), "scores of 5 steps (large fronts)": _events(4)}


def _events(steps: int | None, members: int = 10_000, measured: int = 5_000) -> dict[str, float]:
    settings = GepaSettings.model_validate(
        {"adaptive": False, "perfect_score": None, "racing": {"blocks": 1}}
    )
    archipelago = Archipelago(settings, [{COMPONENT: "0"}], 60, VALIDATION, None)
    rng, made = random.Random(0), 0

    def score(depth: int) -> float:
        # Deeper candidates are a little better, so that the fronts keep moving.
        value = rng.random() + depth * 1e-4
        return round(value * steps) / steps if steps else value

    archipelago.start()
    waiting: deque[Task] = deque(archipelago.take())
    pool = archipelago.islands[0].pool
    for place in range(members):
        member = Member({COMPONENT: f"0.{place}.filled"}, (), "mutation", complete=True)
        member.scores = {example: score(0) for example in range(VALIDATION)}
        pool.admit(member)

    def step() -> None:
        nonlocal made
        task = waiting.popleft()
        depth = int(task.candidate[COMPONENT].split(".")[0])
        if isinstance(task, Evaluate):
            archipelago.learn(task.name, Outcome(score(depth)))
        else:
            made += 1
            archipelago.learn(task.name, Proposed({COMPONENT: f"{depth + 1}.{made}"}))
        waiting.extend(archipelago.take())

    began = time.process_time()
    for _ in range(measured):
        step()
    return {"events_per_second": measured / (time.process_time() - began), "members": members}


@dataclass
class Sleeper:
    """Evaluations that only take time; it crosses Ray."""

    propose_new_texts: Any = None

    def evaluate(
        self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """Sleep for each example."""
        for example in batch:
            time.sleep(latency(NODE_EVALUATION, EVALUATION[1], candidate[COMPONENT], example))
        return EvaluationBatch([None] * len(batch), [0.0] * len(batch))

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Nothing is learnt."""
        return {COMPONENT: []}


def nothing(candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
    """No new text."""
    return {}


class Ticks:
    """When calls were answered."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_budget_updated(self, event: Any) -> None:
        """Another one."""
        self.times.append(time.monotonic())


def nodes(seeds: int) -> dict[str, Any]:
    """The same evaluations over 1, 2, 4 and 8 Ray nodes that are simulated on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    answers: dict[str, Any] = {}
    try:
        ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
        there = 0
        for count in (1, 2, 4, 8):
            while there < count:
                cluster.add_node(num_cpus=2)
                there += 1
            cluster.wait_for_nodes()
            ticks = Ticks()
            result = evolve(
                adapter=Sleeper(),
                seed_candidates=[{COMPONENT: f"{place}"} for place in range(NODE_CANDIDATES)],
                trainset=[0],
                valset=list(range(VALIDATION)),
                propose=nothing,
                max_metric_calls=NODE_CANDIDATES * VALIDATION,
                islands=count,
                callbacks=[ticks],
                settings=GepaSettings(evaluators=2, proposers=1, start_timeout_s=600),
            )
            seconds = ticks.times[-1] - ticks.times[0]
            answers[str(count)] = {"seconds": seconds, "use": result.worker_use}
            print(count, answers[str(count)], flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()
    first = answers["1"]["seconds"]
    for count, row in answers.items():
        row["efficiency"] = first / (int(count) * row["seconds"])
    return answers


def _row(watch: Watch, wall: float, used: float) -> dict[str, Any]:
    return {
        "seconds": watch.seconds,
        "calls": watch.calls,
        "best": watch.best,
        "spent": watch.spent,
        "wall": wall,
        "use": used,
    }


def _median(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows]
    return None if None in values else statistics.median(values)


class _Quiet:
    def log(self, message: str) -> None:
        """Keep nothing."""


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "race": race,
    "quick": quick,
    "use": use,
    "coordinator": coordinator,
    "nodes": nodes,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    report: dict[str, Any] = {"load": os.getloadavg()}
    for name in given.parts or PARTS:
        report[name] = PARTS[name](given.seeds)
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
