"""What an answer earns: its prompt is drawn and judged as everybody's."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from actors.artifacts import Artifacts
from actors.contracts import Draw, Failure
from actors.hosts import in_process
from actors.studio import Job, Studio
from configs.policy import ExpanderSettings
from configs.schema import Settings

Rate = Callable[[Sequence[Job]], Awaitable[list[Draw | Failure]]]
"""One draw a job, in order."""


@dataclass(frozen=True)
class Earned:
    """What a draw was worth to training."""

    reward: float
    """0..1; 0 where a gate failed."""
    admitted: bool
    intent: bool
    """Whether the picture shows what was asked for."""


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
            settings = self._settings.model_copy(update={"policy": ExpanderSettings()})
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
    return Earned(draw.reward.value, draw.admitted, draw.reward.gates.get("intent", True))
