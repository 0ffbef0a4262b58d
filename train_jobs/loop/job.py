"""The evaluation of the imagine loop: which way of engineering gets a first draw admitted."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actors.artifacts import Artifacts
from actors.bank.bank import PromptBank
from actors.contracts import Draw, Failure, Prompt, Query, derive_seed
from actors.hosts import HostedPolicy, LocalWorker
from actors.policy.expander import default_strategy
from actors.roles import Policy, Roles
from actors.runs import Run
from actors.studio import Studio
from configs.policy import ExpanderSettings
from configs.schema import Settings
from train_jobs.loop import arms
from train_jobs.loop.evaluation_set import EvaluationSet
from train_jobs.loop.statistics import BARS, arm_summary
from train_jobs.loop.suffix_search import search

Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`."""
ARMS = ("raw", "suffix", "shuffled", "expander", "expander_bank", "policy", "policy_bank")
"""The last two only where the settings have another policy than the expander."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured: the summary, and the draws behind it by arm, in the order of the queries."""

    summary: dict[str, Any]
    queries: tuple[Query, ...]
    draws: dict[str, list[Draw]]


async def evaluate(settings: Settings, roles: Roles, data: EvaluationSet, progress: Progress) -> Evaluation:
    """Measure every arm on the same queries and seeds, and sum up."""
    loop = settings.loop
    other = not isinstance(settings.policy, ExpanderSettings)
    plain = replace(roles, policy=_expander()) if other else roles
    studio = Studio(plain, settings.reward)
    bank = PromptBank(settings.bank)
    started = time.monotonic()
    await _warm(
        Studio(plain, settings.reward, bank),
        data.learn[: loop.warm_queries],
        loop.warm_draws,
        loop.seed,
        progress,
    )
    progress("suffix search", 0, 1)
    tail = await search(studio, data.learn, loop.suffix_trials, loop.seed) if loop.suffix_trials else {}
    progress("suffix search", 1, 1)
    queries = (*data.covers, *data.real)
    strategy = default_strategy()
    prompts: dict[str, Sequence[Prompt | Failure]] = {
        "raw": [arms.raw(query) for query in queries],
        "suffix": [arms.suffix(query, tail) for query in queries],
        "shuffled": [
            arms.shuffled(query, other, strategy)
            for query, other in zip(queries, arms.others(queries), strict=True)
        ],
        "expander": await _proposed(studio, queries, loop.seed),
        "expander_bank": await _proposed(Studio(plain, settings.reward, bank), queries, loop.seed),
    }
    if other:
        prompts["policy"] = await _proposed(Studio(roles, settings.reward), queries, loop.seed)
        prompts["policy_bank"] = await _proposed(Studio(roles, settings.reward, bank), queries, loop.seed)
    summary: dict[str, Any] = {}
    draws: dict[str, list[Draw]] = {}
    for arm in (arm for arm in ARMS if arm in prompts):
        began = time.monotonic()
        draws[arm] = await studio.draw_each(
            queries, prompts[arm], loop.draws, loop.seed, functools.partial(progress, arm)
        )
        covers = draws[arm][: len(data.covers) * loop.draws]
        real = draws[arm][len(covers) :]
        summary[arm] = arm_summary(covers, real, settings.reward, time.monotonic() - began)
    summary["suffix"]["clauses"] = tail
    summary |= {
        "bars": BARS,
        "bar": settings.reward.bar,
        "evaluation_set": {
            "version": data.version,
            "covers": len(data.covers),
            "real": len(data.real),
            "draws_per_query": loop.draws,
            "seed": loop.seed,
        },
        "bank_memories": len(bank),
        "seconds": time.monotonic() - started,
        "profile": settings.profile,
    }
    return Evaluation(summary, queries, draws)


async def run(
    settings: Settings, roles: Roles, data: EvaluationSet, folder: Run, progress: Progress
) -> Evaluation:
    """`evaluate`, with `summary.json` written into the run's folder."""
    evaluation = await evaluate(settings, roles, data, progress)
    folder.write_json("summary.json", {"run": folder.id, **evaluation.summary})
    return evaluation


async def _warm(studio: Studio, queries: Sequence[Query], n: int, seed: int, progress: Progress) -> None:
    """Fill the bank with varied attempts at queries that are not measured."""
    step = 16
    for done in range(0, len(queries), step):
        progress("filling the PromptBank", done, len(queries))
        await studio.imagine(
            queries[done : done + step], default_strategy(), n=n, seed=derive_seed(seed, "warm")
        )
    progress("filling the PromptBank", len(queries), len(queries))


def _expander() -> Policy:
    return HostedPolicy(LocalWorker(ExpanderSettings(), Artifacts("memory://expander")))


async def _proposed(studio: Studio, queries: Sequence[Query], seed: int) -> list[Prompt | Failure]:
    answers = await studio.propose(queries, default_strategy(), 1, seed)
    return [answer if isinstance(answer, Failure) else answer[0] for answer in answers]
