"""`atelier evolve`: search the studio's strategies, measure the best one on unseen queries, hand it on.

What the best strategy is worth goes three ways: its admitted draws to the PromptBank's log, the same draws as
`DistillRecord`s for the policy's training, and its text to `strategy.yaml`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from actors.artifacts import Artifacts
from actors.bank.bank import PromptBank
from actors.contracts import (
    DistillRecord,
    Draw,
    Failure,
    Query,
    Strategy,
    content_id,
)
from actors.errors import BadInput
from actors.hosts import pooled
from actors.intervals import admission_interval
from actors.ledger import FileLog
from actors.queries import load
from actors.roles import Roles
from actors.studio import Studio
from configs.gepa import EditsSettings
from configs.schema import Settings
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.chat_model import ChatModel
from train_jobs.gepa.engine import Engine
from train_jobs.gepa.evolve import run
from train_jobs.gepa.plan import Plan
from train_jobs.gepa.result import EvolutionResult
from train_jobs.gepa.studio import StudioAdapter, following

Progress = Callable[[str, int, int], None]
SEARCH, DISTILL, BANK, STRATEGY = "search", "distill", "bank.jsonl", "strategy.yaml"
"""In a run's folder: the search, its winners as records, the memories, and the best strategy."""
SHARES = (0.5, 0.75)
"""Ends of the parts of a file of queries that are learnt from and that strategies are scored on."""


@dataclass(frozen=True)
class Data:
    """Queries to learn from, to score strategies on, and to measure the best one on, which nothing saw."""

    train: tuple[Query, ...]
    validation: tuple[Query, ...]
    test: tuple[Query, ...]


@dataclass(frozen=True)
class Measured:
    """A strategy's first draws on unseen queries."""

    strategy: Strategy
    draws: list[Draw]

    @property
    def admission(self) -> float:
        """Share admitted; a failed draw counts as not admitted."""
        return sum(draw.admitted for draw in self.draws) / len(self.draws)

    def summary(self) -> dict[str, Any]:
        """For `summary.json`."""
        admitted = sum(draw.admitted for draw in self.draws)
        rewards = [draw.reward.value if draw.reward else 0.0 for draw in self.draws]
        return {
            "strategy": self.strategy.id,
            "admission": self.admission,
            "admission_interval": admission_interval(self.draws),
            "draws_per_admitted": len(self.draws) / admitted if admitted else None,
            "reward": sum(rewards) / len(rewards),
            "draws": len(self.draws),
        }


@dataclass(frozen=True)
class Evolved:
    """What came of a run."""

    result: EvolutionResult
    seed: Measured
    best: Measured
    queries: tuple[Query, ...]
    """Of the measured draws, `draws` each."""
    records: int
    """Winners written for distillation."""

    def summary(self) -> dict[str, Any]:
        """`summary.json`."""
        before, after = self.seed.summary(), self.best.summary()
        return {
            "search": self.result.as_json(),
            "seed": before,
            "best": after,
            "gain": after["admission"] - before["admission"],
            "unseen_queries": len(self.queries),
            "distill_records": self.records,
        }


def of_file(path: Path) -> Data:
    """A file's queries, parted by their ids: half to learn from, a quarter each to score and to measure.

    Raises:
        BadInput: the file cannot be read, or has fewer than 12 queries.
    """
    queries = sorted(load(path), key=lambda query: content_id("evolve", query.id))
    if len(queries) < 12:
        raise BadInput(f"{path} has {len(queries)} queries; accepted: at least 12, better 100 or more")
    first, second = (round(share * len(queries)) for share in SHARES)
    return Data(tuple(queries[:first]), tuple(queries[first:second]), tuple(queries[second:]))


def candidates_of(strategies: Sequence[Strategy]) -> list[Candidate]:
    """Strategies as candidates: all of them get all components."""
    names = list(dict.fromkeys(name for strategy in strategies for name in strategy.components))
    return [{name: strategy.components.get(name, "") for name in names} for strategy in strategies]


async def evolve_studio(
    settings: Settings,
    data: Data,
    seeds: Sequence[Strategy],
    folder: Path,
    *,
    progress: Progress = lambda stage, done, total: None,
    advanced: Callable[[Archipelago, Engine], None] = lambda archipelago, engine: None,
    outside: Callable[[], str] = lambda: "",
) -> Evolved:
    """Search on the running Ray cluster, measure and hand on. A folder that holds a run is gone on with.

    Raises:
        RunDiffers: the folder's search is another one.
        StageFailed: nothing works, e.g. the judge's service is down.
    """
    artifacts = Artifacts(settings.paths.artifacts)
    settings = _for_search(settings, artifacts)
    room = settings.gepa
    edits = isinstance(room.reflection, EditsSettings)
    adapter = StudioAdapter(settings, scorer=room.studio.scorer, model=not edits)
    plan = Plan(
        room,
        adapter,
        candidates_of(seeds),
        list(data.train),
        list(data.validation),
        None,
        None if isinstance(room.reflection, EditsSettings) else ChatModel(room.reflection),
        room.studio.budget,
        folder / SEARCH,
        outside=outside,
        advanced=advanced,
    )
    result = await run(plan, on_ray=True)
    best = Strategy.of(result.best_candidate)
    (folder / STRATEGY).write_text(
        yaml.safe_dump(result.best_candidate, allow_unicode=True, sort_keys=False), "utf-8"
    )
    async with pooled(settings, artifacts, scorer=room.studio.scorer) as roles:
        first = Strategy.of(plan.seeds[0])
        measured = [
            Measured(
                strategy,
                await first_draws(
                    Studio(roles, settings.reward),
                    strategy,
                    data.test,
                    room.studio.draws,
                    room.seed,
                    functools.partial(progress, stage),
                ),
            )
            for stage, strategy in (("measuring the seed", first), ("measuring the best", best))
        ]
        records = await hand_on(settings, roles, best, data, folder, progress)
    return Evolved(result, measured[0], measured[1], data.test, records)


def _for_search(settings: Settings, artifacts: Artifacts) -> Settings:
    """Settings for workers elsewhere, with the store in full."""
    paths = settings.paths.model_copy(update={"artifacts": artifacts.uri})
    return following(settings).model_copy(update={"paths": paths})


async def first_draws(
    studio: Studio,
    strategy: Strategy,
    queries: Sequence[Query],
    count: int,
    seed: int,
    tell: Callable[[int, int], None],
) -> list[Draw]:
    """`count` draws of the prompt that a strategy writes for each query, in the order of the queries."""
    answers = await studio.propose(queries, strategy, 1, seed)
    prompts = [answer if isinstance(answer, Failure) else answer[0] for answer in answers]
    return await studio.draw_each(queries, prompts, count, seed, tell)


async def hand_on(
    settings: Settings, roles: Roles, strategy: Strategy, data: Data, folder: Path, progress: Progress
) -> int:
    """Draw the queries that were learnt from with a strategy; keep all draws as memories, and count the
    admitted ones, which become records."""
    async with FileLog(folder / BANK) as log:
        studio = Studio(roles, settings.reward, PromptBank(settings.bank, log))
        draws = await first_draws(
            studio,
            strategy,
            data.train,
            settings.gepa.studio.distill,
            settings.gepa.seed,
            functools.partial(progress, "drawing for the bank and distillation"),
        )
    by_id = {query.id: query for query in data.train}
    records = [
        DistillRecord(
            query=by_id[draw.query_id],
            prompt=draw.prompt,
            reward=draw.reward,
            strategy=strategy,
            seed=draw.picture.seed,
        )
        for draw in draws
        if draw.admitted and draw.prompt and draw.reward and draw.picture
    ]
    (folder / DISTILL).mkdir(parents=True, exist_ok=True)
    path = folder / DISTILL / "records.jsonl"
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(f"{record.model_dump_json()}\n" for record in records), "utf-8")
    temporary.replace(path)
    return len(records)
