"""What an answer earns: its prompt is drawn and judged as everybody's, or looked up in a reward model."""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from actors.artifacts import Artifacts
from actors.contracts import Draw, Failure
from actors.hosts import in_process
from actors.pool import WorkerPool
from actors.studio import Job, Studio
from configs.generator import ProceduralSettings
from configs.policy import ExpanderSettings
from configs.schema import Settings
from train_jobs.ppo.reward_model.rater import ModelRater
from train_jobs.training.ranks import ALONE, Ranks

Rate = Callable[[Sequence[Job]], Awaitable[list[Draw | Failure]]]
"""One draw a job, in order; an imagined one has no picture."""


@dataclass(frozen=True)
class Earned:
    """What a draw was worth to training."""

    reward: float
    """0..1; 0 where a gate failed."""
    admitted: bool
    intent: bool
    """Whether the picture shows what was asked for."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of each dimension, 0..1; none of a prompt that was refused."""
    gates: Mapping[str, bool] = field(default_factory=dict)
    """By what the query asked for, whether it is there; none of a prompt that was refused."""


class StudioRater:
    """Draws and judges prompts with roles of its own; a worker for a pool. Pictures are not kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = AsyncExitStack()
        self._studio: Studio | None = None
        self._pictures = Artifacts(f"memory://rating-{uuid.uuid4().hex}")

    async def rate(self, jobs: Sequence[Job]) -> list[Draw | Failure]:
        """One draw a job."""
        if self._studio is None:
            generator, update = self._settings.generator, dict[str, Any](policy=ExpanderSettings())
            if isinstance(generator, ProceduralSettings):
                update["generator"] = generator.model_copy(update={"compression": 0})
            settings = self._settings.model_copy(update=update)
            roles = await self._open.enter_async_context(in_process(settings, self._pictures, scorer=False))
            self._studio = Studio(roles, self._settings.reward)
        draws = await self._studio.evaluate(jobs)
        for draw in draws:
            if draw.picture is not None:
                self._pictures.discard(draw.picture.sha256)
        return list(draws)

    async def close(self) -> None:
        """End the roles."""
        await self._open.aclose()


def earned(draw: Draw | Failure) -> Earned | None:
    """What a prompt earned; None where the fault was not the prompt's, which teaches nothing."""
    failure = draw if isinstance(draw, Failure) else draw.failure
    if failure is not None:
        return Earned(0.0, False, False) if failure.kind == "Refused" else None
    assert isinstance(draw, Draw) and draw.reward is not None
    reward = draw.reward
    gates = reward.gates
    return Earned(reward.value, draw.admitted, gates.get("intent", True), reward.parts, gates)


@asynccontextmanager
async def raters(settings: Settings, ranks: Ranks = ALONE) -> AsyncIterator[Rate]:
    """What rates for one rank: a reward model, or what draws and judges, its share of a pool on the running
    cluster or this process."""
    room = settings.ppo.raters
    if settings.ppo.reward_model is not None:
        yield ModelRater(settings.ppo.reward_model).rate
        return
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
