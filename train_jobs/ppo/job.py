"""The policy's training as a job: warm start on the search's winners, then PPO, on Ray Train or here.

A run's folder holds `start/` (the warm start), `ray/` (Ray Train's own, with the checkpoints) or
`checkpoint/`, and at the end `policy/`. The same run started again goes on from its newest checkpoint.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import torch

from actors.contracts import ASPECTS, DistillRecord, Lang, Query, content_id
from actors.policy import grammar
from actors.policy.tiny.checkpoint import PIECES, load, save
from actors.policy.tiny.tokens import Tokens
from actors.pool import WorkerPool
from actors.vocabulary import keys, read_query
from configs.ppo import PpoSettings
from configs.schema import Settings
from train_jobs.ppo.lessons import distinct, lesson_of
from train_jobs.ppo.rating import Rate, StudioRater
from train_jobs.ppo.rollout import Queries
from train_jobs.ppo.start import new, pieces
from train_jobs.ppo.state import PolicyState
from train_jobs.ppo.trainer import Trainer
from train_jobs.ppo.warm_start import warm_start
from train_jobs.training.checkpoint import STATE
from train_jobs.training.fitting import fitted, joined, replace, report
from train_jobs.training.publishing import Curve, telling
from train_jobs.training.ranks import ALONE, Ranks

Tell = Callable[[str, int, int], None]
START, POLICY = "start", "policy"


def strangers(count: int) -> frozenset[str]:
    """Subjects that are kept out of training; which follows from their names."""
    return frozenset(sorted(keys("subject"), key=lambda key: content_id("stranger", key))[:count])


def made_queries(settings: PpoSettings) -> Queries:
    """Queries of the grammar without end, none of which names a stranger."""
    unknown = strangers(settings.strangers)

    @functools.lru_cache(maxsize=4096)
    def query(index: int) -> Query:
        attempt = 0
        while True:
            seed = settings.seed * 1000 + attempt
            found = grammar.query(seed, index, list(ASPECTS), get_args(Lang))
            if not unknown & set(read_query(found).keys("subject")):
                return found
            attempt += 1

    return query


def begin(settings: PpoSettings, records: Sequence[DistillRecord], folder: Path, tell: Tell) -> Path:
    """The warm start's folder, made if it is not there."""
    made = folder / START
    if (made / "policy.json").exists():
        return made
    made.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(settings.threads)
    familiar = tuple(key for key in keys("subject") if key not in strangers(settings.strangers))
    found = pieces(settings.seed)
    found.save(str(made / PIECES))
    tokens = Tokens(found, familiar)
    actor = new(tokens, settings.seed)
    lessons = distinct([lesson_of(record) for record in records])
    warm_start(
        actor,
        tokens,
        lessons,
        settings.warm_start,
        settings.seed,
        lambda step, steps, metrics: tell("warm start, steps", step, steps),
    )
    save(made, actor, made / PIECES, familiar, {"lessons": len(lessons), "stage": "warm start"})
    return made


def train_here(settings: Settings, start: Path, folder: Path) -> PolicyState:
    """Train in this process, from the folder's checkpoint if there is one."""
    kept = folder / "checkpoint"
    state = PolicyState.load(kept) if (kept / STATE).exists() else None
    with telling(settings.ppo, folder, ALONE, _curve(state)) as (publish, watch):

        def keep(fresh: PolicyState) -> None:
            publish(fresh.progress.curve)
            replace(fresh, kept)

        return asyncio.run(_train(settings, start, ALONE, keep, state, watch))


def train_on_ray(settings: Settings, start: Path, folder: Path, *, deaths: int = 3) -> PolicyState:
    """Train with Ray Train on the running cluster; `folder` must be shared by its nodes.

    Raises:
        StageFailed: the run failed; the message has the first worker's error.
    """
    config = {
        "settings": settings.model_dump(mode="json"),
        "start": str(start.absolute()),
        "folder": str(folder.absolute()),
    }
    workers = settings.ppo.workers
    with fitted(_worker, config, folder, workers=workers, gpus=False, deaths=deaths) as checkpoint:
        return PolicyState.load(checkpoint)


def finish(settings: PpoSettings, start: Path, state: PolicyState, folder: Path) -> Path:
    """Write the trained policy's folder; the answer is its path."""
    loaded = load(start)
    loaded.model.load_state_dict(state.actor)
    about = {
        "stage": "ppo",
        "steps": state.progress.step,
        "draws": state.progress.draws,
        "settings": settings.model_dump(mode="json"),
    }
    save(folder / POLICY, loaded.model, start / PIECES, loaded.familiar, about)
    return folder / POLICY


def _worker(config: dict[str, Any]) -> None:
    """What each of Ray Train's workers runs."""
    settings = Settings.model_validate(config["settings"])
    with joined() as (ranks, checkpoint):
        state = PolicyState.load(checkpoint) if checkpoint else None
    with telling(settings.ppo, Path(config["folder"]), ranks, _curve(state)) as (publish, watch):

        def keep(fresh: PolicyState) -> None:
            publish(fresh.progress.curve)
            report(fresh, {"step": fresh.progress.step}, ranks)

        asyncio.run(_train(settings, Path(config["start"]), ranks, keep, state, watch))


async def _train(
    settings: Settings,
    start: Path,
    ranks: Ranks,
    keep: Callable[[PolicyState], None],
    state: PolicyState | None,
    watch: Tell,
) -> PolicyState:
    torch.set_num_threads(settings.ppo.threads)
    loaded = load(start)
    async with _raters(settings, ranks) as rate:
        trainer = Trainer(
            settings.ppo,
            loaded.model,
            loaded.tokens,
            made_queries(settings.ppo),
            rate,
            ranks,
            keep,
            state,
            lambda step, steps, metrics: watch("ppo, steps", step, steps),
        )
        return await trainer.run()


@asynccontextmanager
async def _raters(settings: Settings, ranks: Ranks) -> AsyncIterator[Rate]:
    """What draws and judges for one rank."""
    room = settings.ppo.raters
    if room.workers == 0:
        rater = StudioRater(settings)
        try:
            yield rater.rate
        finally:
            await rater.close()
        return
    mine = room.model_copy(update={"workers": max(1, room.workers // ranks.size)})
    pool = WorkerPool(f"raters of rank {ranks.rank}", functools.partial(StudioRater, settings), mine)
    try:
        await pool.start()
        yield functools.partial(pool.call, "rate")
    finally:
        await pool.close()


def _curve(state: PolicyState | None) -> Curve:
    return state.progress.curve if state else ()
