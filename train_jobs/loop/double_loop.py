"""`atelier loop`: search online, freeze offline.

    baseline -> search -> practice -> training (warm start, then PPO) -> evaluation on unseen queries

Each stage but the last leaves its result in the run's folder; a run that is started again does no finished
stage again, and goes on inside the search, the practice and the training. A stage's seconds are those since
it was last started.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.artifacts import Artifacts
from actors.contracts import Draw, Failure, Prompt, Query, Strategy, derive_seed
from actors.errors import BadInput
from actors.hosts import in_process, pooled
from actors.policy.expander import default_strategy, read_strategy
from actors.runs import Run
from actors.studio import Job, Studio
from configs.policy import ExpanderSettings
from configs.ppo import LlmPolicySettings
from configs.schema import Settings
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.engine import Engine
from train_jobs.gepa.job import STRATEGY, Data, Evolved, evolve_studio
from train_jobs.loop import arms, measuring
from train_jobs.loop.job import Progress, evaluate
from train_jobs.loop.lessons.practice import MODEL, Practice, course
from train_jobs.loop.measuring import Measured
from train_jobs.loop.unseen import unseen
from train_jobs.ppo.curves import ends
from train_jobs.ppo.job import (
    POLICY,
    START,
    UNTAUGHT,
    begin,
    finish,
    made_queries,
    strangers,
    train_here,
    train_on_ray,
    untaught,
)
from train_jobs.ppo.lessons import read_records
from train_jobs.ppo.rating import raters
from train_jobs.training.publishing import CURVE

SEARCH, PRACTICE = "search", "practice"
SHOWN = 12
"""Queries whose pictures are kept for the report."""


@dataclass(frozen=True)
class Looped:
    """What came of a run."""

    summary: dict[str, Any]
    curve: list[dict[str, Any]]
    """Of PPO, a row a step."""
    policy: Path
    """Folder of the trained policy."""
    queries: tuple[Query, ...]
    """Some of those that were measured, drawn again with their pictures kept."""
    before: list[Draw]
    """Of these queries as they were typed."""
    after: list[Draw]
    """With the trained policy's prompt and the same seed."""


@dataclass(frozen=True)
class Watchers:
    """Who is told while a run goes on."""

    progress: Progress
    advanced: Callable[[Archipelago, Engine], None] = lambda archipelago, engine: None
    """After each result of the search."""
    searched: Callable[[Path, Evolved], None] = lambda folder, found: None
    """Once the search is over, with its folder."""
    training: Callable[[Path], AbstractContextManager[None]] = field(default=lambda folder: nullcontext())
    """Around the training in a folder."""


class Loop:
    """One run of the double loop, on the running Ray cluster.

    Args:
        run: its folder must be shared by the cluster's nodes.

    Raises:
        BadInput: the policy to be trained is a language model, a reward model is to take the place of all
            draws, or the search's budget does not hold its first scoring.
    """

    def __init__(self, settings: Settings, run: Run, watchers: Watchers) -> None:
        if isinstance(settings.ppo.policy, LlmPolicySettings):
            raise BadInput(
                "ppo.policy.type llm: the loop trains and measures the tiny policy; accepted: tiny, or "
                "`evolve`, `train policy` and `evaluate imagine` one after the other"
            )
        if settings.ppo.reward_model is not None:
            raise BadInput(
                f"ppo.reward_model {settings.ppo.reward_model}: a loop practises and measures by draws; "
                "accepted: loop.imagined=true, which has PPO alone learn from practice's model"
            )
        room = settings.gepa.studio
        if room.budget < room.validation:
            raise BadInput(
                f"gepa.studio.budget {room.budget} does not hold the first scoring of {room.validation} "
                f"queries; accepted: {room.validation} or more, better ten times that"
            )
        self._settings, self._run, self._watchers = settings, run, watchers
        self._progress = watchers.progress
        self._strangers = strangers(settings.ppo.strangers)
        self._queries = made_queries(settings.ppo)
        self.data = unseen(settings.loop.unseen, settings.loop.real, self._strangers)

    def close(self) -> Looped:
        """Run all stages that are not done yet.

        Raises:
            StageFailed: nothing works, e.g. the judge's service is down.
        """
        baseline = self._stage("baseline", self._baseline)
        search = self._stage(SEARCH, self._search)
        strategy = read_strategy(self._run.path / SEARCH / STRATEGY)
        practised = self._stage(PRACTICE, functools.partial(self._practice, strategy))
        trained = self._stage("training", self._training)
        folder = self._run.path.absolute()
        policies = {
            "policy_before": folder / UNTAUGHT,
            "sft": folder / START,
            "policy_after": folder / POLICY,
        }
        began = time.monotonic()
        measured = asyncio.run(self._evaluation(strategy, policies))
        queries, before, after = asyncio.run(self._samples(measured["policy_after"]))
        draws = sum(len(each.draws) for each in measured.values())
        stages = {
            "baseline": _cost(baseline),
            "search": _cost(search),
            "practice": _cost(practised),
            "training": _cost(trained),
            "evaluation": {"seconds": time.monotonic() - began, "draws": draws},
        }
        curve = json.loads((folder / CURVE).read_text("utf-8"))
        summary = {
            **baseline["summary"],
            **measuring.summaries(measured, self._settings.reward, self._strangers),
            "gains": measuring.gains(measured),
            "training": {
                **ends(curve),
                "steps": len(curve),
                "answers": trained["answers"],
                "imagined": self._settings.loop.imagined,
                "records": trained["records"],
            },
            "practice": course(folder / PRACTICE),
            "stages": stages,
            "strangers": sorted(self._strangers),
            "seconds": sum(stage["seconds"] for stage in stages.values()),
        }
        return Looped(summary, curve, folder / POLICY, queries, before, after)

    def _stage(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What a stage came to, from its file if it is finished."""
        path = self._run.path / f"{name}.json"
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return found
        began = time.monotonic()
        result = {**work(), "seconds": time.monotonic() - began}
        self._run.write_json(path.name, result)
        return result

    def _baseline(self) -> dict[str, Any]:
        settings = self._settings.model_copy(update={"policy": ExpanderSettings()})

        async def measure() -> dict[str, Any]:
            async with pooled(settings, scorer=False) as roles:
                return (await evaluate(settings, roles, self.data, self._progress)).summary

        summary = asyncio.run(measure())
        draws = sum(arm["draws"] for arm in summary.values() if isinstance(arm, dict) and "draws" in arm)
        return {"summary": summary, "draws": draws}

    def _search(self) -> dict[str, Any]:
        folder = self._run.path / SEARCH
        folder.mkdir(exist_ok=True)
        room = self._settings.gepa.studio
        train = [self._queries(index) for index in range(room.train)]
        validation = [self._queries(index) for index in range(room.train, room.train + room.validation)]
        data = Data(tuple(train), tuple(validation), self.data.learn[: room.validation])
        found = asyncio.run(
            evolve_studio(
                self._settings,
                data,
                [default_strategy()],
                folder,
                progress=self._progress,
                advanced=self._watchers.advanced,
            )
        )
        self._watchers.searched(folder, found)
        calls = found.result.metric_calls
        return {**found.summary(), "draws": calls + len(found.seed.draws) + len(found.best.draws)}

    def _practice(self, strategy: Strategy) -> dict[str, Any]:
        first = self._settings.gepa.studio.train + self._settings.gepa.studio.validation
        practice = Practice(
            self._settings.loop,
            self._queries,
            first,
            strategy,
            self._run.path / PRACTICE,
            self._progress,
        )

        async def practise() -> None:
            async with raters(self._settings) as rate:

                async def draws(stage: str, jobs: Sequence[Job]) -> list[Draw | Failure]:
                    return await measuring.drawn(rate, jobs, functools.partial(self._progress, stage))

                await practice.run(draws)

        asyncio.run(practise())
        return {"draws": practice.draws}

    def _training(self) -> dict[str, Any]:
        folder, settings = self._run.path.absolute(), self._settings
        if settings.loop.imagined:
            ppo = settings.ppo.model_copy(update={"reward_model": folder / PRACTICE / MODEL})
            settings = settings.model_copy(update={"ppo": ppo})
        untaught(settings.ppo, folder)
        records = read_records(self._run.path)
        start = begin(settings.ppo, records, folder, self._progress)
        with self._watchers.training(folder):
            train = train_on_ray if settings.ppo.workers else train_here
            state = train(settings, start, folder)
        finish(settings.ppo, start, state, folder)
        answers = state.progress.step * settings.ppo.batch
        return {"draws": state.progress.draws, "answers": answers, "records": len(records)}

    async def _evaluation(self, strategy: Strategy, policies: dict[str, Path]) -> dict[str, Measured]:
        async with raters(self._settings) as rate:
            return await measuring.measure(
                self._settings, rate, self.data, strategy, policies, self._progress
            )

    async def _samples(self, after: Measured) -> tuple[tuple[Query, ...], list[Draw], list[Draw]]:
        """The first draws of some queries again, as typed and as the policy writes them, pictures kept."""
        places = range(0, len(after.covers), max(1, len(after.covers) // SHOWN))
        queries = [after.covers[place] for place in places if isinstance(after.prompts[place], Prompt)]
        written = [after.prompts[place] for place in places]
        seeds = [derive_seed(self._settings.loop.seed, "evaluate", query.id, 0) for query in queries]
        said = [arms.raw(query) for query in queries], [each for each in written if isinstance(each, Prompt)]
        settings = self._settings.model_copy(update={"policy": ExpanderSettings()})
        async with in_process(settings, Artifacts(settings.paths.artifacts), scorer=False) as roles:
            studio = Studio(roles, settings.reward)
            before, later = [
                await studio.evaluate([Job(*each) for each in zip(queries, prompts, seeds, strict=True)])
                for prompts in said
            ]
        return tuple(queries), before, later


def _cost(stage: Mapping[str, Any]) -> dict[str, float]:
    return {name: stage[name] for name in ("seconds", "draws")}
