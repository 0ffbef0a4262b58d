"""Does the search of strategies pay? Against random search and hill climbing at as many metric calls.

    python -m benchmarks.strategies [--seeds 5] [--calls 12000]

prints one JSON object. All three start from the shipped strategy, are scored on the same validation queries
and are measured on the same queries that nothing saw, with fresh seeds. Two seeds run side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from actors.context import context_of
from actors.contracts import Query, derive_seed
from actors.policy import grammar
from actors.policy.expander import default_strategy
from actors.policy.rules import parse_rules
from actors.vocabulary import keys
from configs.load import load
from configs.schema import Settings
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.edits import RULES, situation_conditions, situation_of, with_rule, write
from train_jobs.gepa.evolve import evolve
from train_jobs.gepa.studio import OPEN, StudioAdapter
from train_jobs.loop.evaluation_set import packaged

DRAWS = 2
"""Fresh seeds a query that nothing saw."""
MOST_EDITS = 6
RESAMPLES = 4000


@dataclass(frozen=True)
class Case:
    """What each way of searching is given."""

    settings: Settings
    adapter: StudioAdapter
    start: Candidate
    train: list[Query]
    validation: list[Query]
    calls: int

    @property
    def trials(self) -> int:
        """Candidates beside the start that the calls pay the validation of."""
        return self.calls // len(self.validation) - 1

    def score(self, candidate: Candidate) -> float:
        """Mean score on the validation queries."""
        return statistics.mean(self.adapter.evaluate(self.validation, candidate).scores)


def one(seed: int, calls: int) -> dict[str, Any]:
    """All three on one seed: admissions of each fresh draw, by way of searching."""
    with tempfile.TemporaryDirectory() as folder:
        changes = ["generator.long_side=256", f"paths.artifacts={folder}", f"gepa.seed={seed}"]
        settings = load(None, changes)
        adapter = StudioAdapter(settings, scorer=False)
        start = dict(default_strategy().components)
        train, validation, unseen = _queries(settings)
        case = Case(settings, adapter, start, train, validation, calls)
        found: dict[str, Candidate] = {"seed strategy": start}
        seconds: dict[str, float] = {}
        for name, search in (("evolve", _evolved), ("random search", _random), ("hill climbing", _climbed)):
            began = time.monotonic()
            found[name] = search(case)
            seconds[name] = time.monotonic() - began
        admitted = {name: _admitted(adapter, candidate, unseen) for name, candidate in found.items()}
        return {"admitted": admitted, "seconds": seconds}


def _queries(settings: Settings) -> tuple[list[Query], list[Query], list[Query]]:
    room, spec = settings.gepa, settings.synthesis
    made = [grammar.query(room.seed, i, spec.aspects, spec.langs) for i in range(room.studio.train)]
    shipped = packaged(10**6, 0)
    fresh = [
        query.model_copy(update={"seed": derive_seed("unseen", query.id, turn), "id": f"{query.id}-{turn}"})
        for query in shipped.covers
        for turn in range(DRAWS)
    ]
    return made, list(shipped.learn[: room.studio.validation]), fresh


def _evolved(case: Case) -> Candidate:
    return evolve(
        adapter=case.adapter,
        seed_candidates=[case.start],
        trainset=case.train,
        valset=case.validation,
        max_metric_calls=case.calls,
        settings=case.settings.gepa,
    ).best_candidate


def _random(case: Case) -> Candidate:
    """The best of many random changes of the start."""
    rng = random.Random(derive_seed(case.settings.gepa.seed, "random search"))
    candidates = [case.start, *(_changed(case.start, case.train, rng) for _ in range(case.trials))]
    return max(candidates, key=case.score)


def _climbed(case: Case) -> Candidate:
    """A random change of the best one, kept where it is better."""
    rng = random.Random(derive_seed(case.settings.gepa.seed, "hill climbing"))
    best, score = case.start, case.score(case.start)
    for _ in range(case.trials):
        candidate = _changed(best, case.train, rng)
        if (found := case.score(candidate)) > score:
            best, score = candidate, found
    return best


def _changed(candidate: Candidate, train: Sequence[Query], rng: random.Random) -> Candidate:
    """Up to `MOST_EDITS` random values in the situations of random queries: the search's edits without what
    was measured."""
    rules = list(parse_rules(candidate[RULES]))
    for _ in range(rng.randint(1, MOST_EDITS)):
        context = context_of(rng.choice(train))
        facet = rng.choice(OPEN)
        situation = situation_of(context)
        conditions = situation_conditions(situation, facet, rng)
        rules = with_rule(rules, conditions, facet, rng.choice(keys(facet)))
    return {**candidate, RULES: write(rules)}


def _admitted(adapter: StudioAdapter, candidate: Candidate, queries: Sequence[Query]) -> list[float]:
    objectives = adapter.evaluate(list(queries), candidate).objective_scores
    assert objectives is not None
    return [row["admitted"] for row in objectives]


def interval(differences: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """95% bootstrap interval of a mean difference; queries are drawn, each with all its seeds and draws.

    Args:
        differences: [seeds, queries], 0..1.
    """
    rng = np.random.default_rng(0)
    columns = rng.integers(0, differences.shape[1], (RESAMPLES, differences.shape[1]))
    rows = rng.integers(0, differences.shape[0], (RESAMPLES, differences.shape[0]))
    means = [differences[np.ix_(row, column)].mean() for row, column in zip(rows, columns, strict=True)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=12_000)
    given = parser.parse_args()
    load_before = os.getloadavg()
    with ProcessPoolExecutor(2) as pool:
        runs = list(pool.map(one, range(given.seeds), [given.calls] * given.seeds))
    tables = {
        name: np.array([np.reshape(run["admitted"][name], (-1, DRAWS)).mean(1) for run in runs])
        for name in runs[0]["admitted"]
    }
    report: dict[str, Any] = {"load": load_before, "calls": given.calls, "seeds": given.seeds}
    for name, table in tables.items():
        ahead = tables["evolve"] - table
        report[name] = {
            "admission": float(table.mean()),
            "by_seed": table.mean(1).tolist(),
            "evolve_is_ahead_by": float(ahead.mean()),
            "interval": interval(ahead),
            "seconds": statistics.median(run["seconds"].get(name, 0.0) for run in runs),
        }
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
