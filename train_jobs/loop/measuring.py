"""First draws of every way on queries that nothing saw, and what they amount to."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.artifacts import Artifacts
from actors.contracts import Draw, Failure, Prompt, Query, Recall, Strategy, derive_seed
from actors.hosts import LocalWorker
from actors.intervals import clustered
from actors.studio import Job
from actors.vocabulary import FACETS, read, read_query
from configs.policy import TinySettings
from configs.reward import RewardSettings
from configs.schema import Settings
from train_jobs.loop.evaluation_set import EvaluationSet
from train_jobs.loop.job import Progress
from train_jobs.loop.statistics import arm_summary
from train_jobs.loop.unseen import names_any
from train_jobs.loop.winners import attempts
from train_jobs.ppo.rating import Rate

AT_ONCE = 384
"""Draws between two looks at the progress."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Measured:
    """One way's draws: those of covers first, each query's one behind the other."""

    covers: tuple[Query, ...]
    real: tuple[Query, ...]
    prompts: tuple[Prompt | Failure, ...]
    """Of each query the first."""
    draws: list[Draw]
    each: int
    """Draws a query."""
    seconds: float

    def of_cover(self, place: int) -> list[Draw]:
        """The draws of a cover."""
        return self.draws[place * self.each : (place + 1) * self.each]


async def measure(
    settings: Settings,
    rate: Rate,
    data: EvaluationSet,
    strategy: Strategy,
    policies: Mapping[str, Path],
    progress: Progress,
) -> dict[str, Measured]:
    """First draws of the search's strategy and of policies, and the best of several draws of the strategy.

    All but the last use the same seeds for a query: their draws are paired.

    Args:
        policies: folders, by arm.
    """
    room = settings.loop
    queries = (*data.covers, *data.real)
    written = attempts(queries, strategy, room.best_of, room.seed)
    prompts: dict[str, list[Prompt | Failure]] = {"search": _of_first(queries, written)}
    for name, folder in policies.items():
        prompts[name] = await policy_prompts(folder, queries, room.seed)
    found: dict[str, Measured] = {}
    for name, said in prompts.items():
        jobs = [
            Job(query, prompt, derive_seed(room.seed, "evaluate", query.id, turn), turn)
            for query, prompt in zip(queries, said, strict=True)
            for turn in range(room.draws)
            if isinstance(prompt, Prompt)
        ]
        found[name] = await _measured(rate, data, said, jobs, room.draws, progress, name)
    return {
        "search": found.pop("search"),
        "best_of_k": await _measured(
            rate, data, prompts["search"], written, room.best_of, progress, "best of several"
        ),
        **found,
    }


async def policy_prompts(folder: Path, queries: Sequence[Query], seed: int) -> list[Prompt | Failure]:
    """What the policy in a folder writes for each query, greedily."""
    worker = LocalWorker(TinySettings(weights=folder), Artifacts("memory://policies"))
    try:
        strategy = Strategy.of({})
        recalls = [Recall()] * len(queries)
        answers = await worker("propose", queries, recalls, strategy=strategy, n=1, seed=seed)
    finally:
        await worker.close()
    return [answer if isinstance(answer, Failure) else answer[0] for answer in answers]


async def drawn(
    rate: Rate, jobs: Sequence[Job], tell: Callable[[int, int], None] = lambda done, total: None
) -> list[Draw | Failure]:
    """One draw a job, in order."""
    found: list[Draw | Failure] = []
    for first in range(0, len(jobs), AT_ONCE):
        tell(first, len(jobs))
        found += await rate(jobs[first : first + AT_ONCE])
    tell(len(jobs), len(jobs))
    return found


def summaries(
    measured: Mapping[str, Measured], settings: RewardSettings, strangers: Set[str]
) -> dict[str, dict[str, Any]]:
    """Each way's part of `summary.json`."""
    return {name: _summary(name, each, settings, strangers) for name, each in measured.items()}


def gains(measured: Mapping[str, Measured]) -> dict[str, dict[str, Any]]:
    """Points of admission by which the trained policy is ahead, paired by query and seed, with intervals."""
    after = measured["policy_after"]
    return {name: _gain(measured[name], after) for name in ("policy_before", "search", "sft")}


def copies(query: Query, text: str) -> bool:
    """Whether a prompt names every subject of its query and quotes its title."""
    asked, written = read_query(query), read(text)
    kept = set(asked.keys("subject")) <= set(written.keys("subject"))
    return kept and (asked.title is None or asked.title in text)


def tail(query: Query, text: str) -> tuple[str, ...]:
    """What a prompt says that its query does not."""
    asked, written = read_query(query), read(text)
    return tuple(
        f"{facet}={key}" for facet in FACETS for key in written.keys(facet) if key not in asked.keys(facet)
    )


async def _measured(
    rate: Rate,
    data: EvaluationSet,
    prompts: Sequence[Prompt | Failure],
    jobs: Sequence[Job],
    each: int,
    progress: Progress,
    name: str,
) -> Measured:
    began = time.monotonic()
    results = await drawn(rate, jobs, functools.partial(progress, f"measuring {name.replace('_', ' ')}"))
    done = {(job.query.id, job.index): _draw(job, result) for job, result in zip(jobs, results, strict=True)}
    draws = [
        done.get((query.id, turn)) or Draw(query_id=query.id, index=turn, failure=_failure(prompt))
        for query, prompt in zip((*data.covers, *data.real), prompts, strict=True)
        for turn in range(each)
    ]
    seconds = time.monotonic() - began
    return Measured(data.covers, data.real, tuple(prompts), draws, each, seconds)


def _of_first(queries: Sequence[Query], jobs: Sequence[Job]) -> list[Prompt | Failure]:
    first = {job.query.id: job.prompt for job in jobs if job.index == 0}
    return [first[query.id] for query in queries]


def _draw(job: Job, result: Draw | Failure) -> Draw:
    if isinstance(result, Draw):
        return result
    return Draw(query_id=job.query.id, index=job.index, prompt=job.prompt, failure=result)


def _failure(prompt: Prompt | Failure) -> Failure:
    assert isinstance(prompt, Failure)
    return prompt


def _summary(name: str, measured: Measured, settings: RewardSettings, strangers: Set[str]) -> dict[str, Any]:
    count = len(measured.covers)
    covers, real = measured.draws[: count * measured.each], measured.draws[count * measured.each :]
    groups = {
        group: [
            _tries(name, measured.of_cover(place))
            for place, query in enumerate(measured.covers)
            if names_any(query, strangers) == strange
        ]
        for group, strange in (("familiar", False), ("strange", True))
    }
    found = {
        **arm_summary(covers, real, settings, measured.seconds),
        **{group: {"admission": _share(each), "interval": clustered(each)} for group, each in groups.items()},
        **_words(measured),
    }
    if name != "best_of_k":
        return found
    tries = [*groups["familiar"], *groups["strange"]]
    admission = _share(tries)
    return {
        **found,
        "k": measured.each,
        "admission": admission,
        "admission_interval": clustered(tries),
        "draws_per_admitted": measured.each / admission if admission else None,
        "admission_by_bar": [],
        "real_admission": None,
        "real_admission_interval": None,
    }


def _share(tries: Sequence[Sequence[bool]]) -> float:
    return sum(map(sum, tries)) / max(1, sum(map(len, tries)))


def _tries(name: str, draws: Sequence[Draw]) -> list[bool]:
    """What counts as one try: a draw, or all draws of a query where the best of them is taken."""
    admitted = [draw.admitted for draw in draws]
    return [any(admitted)] if name == "best_of_k" else admitted


def _words(measured: Measured) -> dict[str, Any]:
    """What the prompts of the covers are like."""
    pairs = [
        (query, prompt.text)
        for query, prompt in zip(measured.covers, measured.prompts, strict=False)
        if isinstance(prompt, Prompt)
    ]
    covers = measured.draws[: len(measured.covers) * measured.each]
    gates = [draw.reward.gates.get("intent", True) for draw in covers if draw.reward]
    return {
        "copied": sum(copies(*pair) for pair in pairs) / max(1, len(pairs)),
        "tails": len({tail(*pair) for pair in pairs}),
        "characters": sum(len(text) for _, text in pairs) / max(1, len(pairs)),
        "intent": sum(gates) / max(1, len(gates)),
    }


def _gain(before: Measured, after: Measured) -> dict[str, Any]:
    """Mean difference in admission over the covers, and its interval by resampling queries (bootstrap)."""
    differences = [
        sum(draw.admitted for draw in after.of_cover(place)) / after.each
        - sum(draw.admitted for draw in before.of_cover(place)) / before.each
        for place in range(len(after.covers))
    ]
    dice = random.Random(0)
    n = len(differences)
    means = sorted(sum(dice.choices(differences, k=n)) / n for _ in range(RESAMPLES))
    return {
        "points": sum(differences) / n,
        "interval": (means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]),
    }
