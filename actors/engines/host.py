"""An engine that is there when it is asked: started, replaced when it dies, given its weights again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from actors import metrics
from actors.engines.errors import EngineDied
from actors.engines.nouns import Ask, Health, Noun, Samples, Update
from actors.engines.remote import RayEngine, Remote
from actors.errors import StageFailed, TimedOut
from configs.engine import VllmSettings

Launch = Callable[[VllmSettings], Awaitable[Remote]]
Weights = Sequence[bytes | Path]
"""Chunks in safetensors' form: bytes, or files that the engine's node can read."""


class EngineHost:
    """Asks one engine. Used from one event loop.

    A request whose engine died is asked once more, of the engine that took its place. That one has the last
    weights that this host gave or knows of, so the version in a sample is always the truth; one host alone
    should update, and where others ask the same engine, they should be told with `know`.
    """

    def __init__(self, settings: VllmSettings, launch: Launch = RayEngine.launch) -> None:
        self.restarts = 0
        """Engines replaced."""
        self._settings = settings
        self._launch = launch
        self._remote: Remote | None = None
        self._changing = asyncio.Lock()
        self._weights: tuple[str, Weights] | None = None
        self._deaths = 0
        self._last_error = "none"

    async def start(self) -> None:
        """Start the engine or find it; see `RayEngine.launch` for what that raises."""
        await self._ready()

    async def generate(self, ask: Ask) -> Samples:
        """Samples for a request.

        Raises:
            EngineRefused: the request cannot be used.
            EngineDied: the engine died, was replaced, and died again.
            TimedOut: no answer within `timeout_s`, from an engine that is alive.
            StageFailed: the engine was replaced `restarts` times in a row in vain.
        """
        value = await self._retried("generate", ask, timeout_s=self._settings.timeout_s)
        self._deaths = 0
        return Samples.model_validate(value)

    async def update(self, version: str, weights: Weights) -> None:
        """Change all weights. The very next sample comes from them and says so.

        Args:
            version: what samples shall say, another one each time.
            weights: all tensors of the model, in one chunk or many.

        Raises:
            EngineRefused: they are not the model's; nothing has changed.
            EngineDied: the engine died of it twice; the next request finds it with the weights before.
        """
        async with self._changing:
            for again in (False, True):
                remote = await self._living()
                try:
                    await self._push(remote, version, weights)
                    break
                except EngineDied as error:
                    self._lost(remote, error)
                    if again:
                        raise
            self._weights = (version, weights)

    def know(self, version: str, weights: Weights) -> None:
        """Another host has given the engine these weights: one that takes its place is given them too."""
        self._weights = (version, weights)

    async def reset_prefix_cache(self) -> None:
        """Forget what was computed for the beginnings of prompts."""
        await self._retried("reset_prefix_cache", timeout_s=self._settings.health_timeout_s)

    async def pause(self) -> None:
        """Freeze requests, those to come too, until `resume`."""
        await self._retried("pause", timeout_s=self._settings.health_timeout_s)

    async def resume(self) -> None:
        """Go on after `pause`."""
        await self._retried("resume", timeout_s=self._settings.health_timeout_s)

    async def health(self) -> Health:
        """A sign of life, as it is: a dead engine is not replaced by asking.

        Raises:
            EngineDied: it is dead.
            TimedOut: it does not move.
            StageFailed: it was never started.
        """
        if self._remote is None:
            raise StageFailed(f"no engine is up; the last error: {self._last_error}")
        value = await self._remote.call("health", None, timeout_s=self._settings.health_timeout_s)
        return Health.model_validate(value)

    async def close(self) -> None:
        """End the engine, unless somebody else started it."""
        remote, self._remote = self._remote, None
        if remote is not None:
            await remote.close()

    async def _retried(
        self, method: str, argument: Noun | None = None, *, timeout_s: float
    ) -> dict[str, Any]:
        for again in (False, True):
            remote = await self._ready()
            try:
                try:
                    return await remote.call(method, argument, timeout_s=timeout_s)
                except TimedOut as late:
                    await self._hangs(remote, late)
                    raise
            except EngineDied as error:
                self._lost(remote, error)
                if again:
                    raise
        raise AssertionError("unreachable: the second round returns or raises")

    async def _hangs(self, remote: Remote, late: TimedOut) -> None:
        """Tell a slow request from an engine that does not move.

        Raises:
            EngineDied: it does not move.
        """
        try:
            await remote.call("health", None, timeout_s=self._settings.health_timeout_s)
        except TimedOut:
            raise EngineDied(f"{late}; it gives no sign of life and is replaced") from None

    async def _ready(self) -> Remote:
        if self._remote is not None:
            return self._remote
        async with self._changing:
            return await self._living()

    async def _living(self) -> Remote:
        """The engine, started if need be. Only for who holds `_changing`."""
        while self._remote is None:
            if self._deaths > self._settings.restarts:
                raise StageFailed(
                    f"the engine was lost {self._deaths} times in a row, more than restarts="
                    f"{self._settings.restarts}; the last error: {self._last_error}"
                )
            try:
                remote = await self._launch(self._settings)
            except EngineDied as error:
                self._count(error)
                continue
            try:
                if self._weights is not None:
                    await self._push(remote, *self._weights)
            except EngineDied as error:
                remote.kill()
                self._count(error)
                continue
            self._remote = remote
        return self._remote

    async def _push(self, remote: Remote, version: str, weights: Weights) -> None:
        files = tuple(str(chunk) for chunk in weights if isinstance(chunk, Path))
        blobs = [chunk for chunk in weights if isinstance(chunk, bytes)]
        update = Update(version=version, files=files)
        try:
            await remote.call("update", update, *blobs, timeout_s=self._settings.update_timeout_s)
        except TimedOut as late:
            # Nobody knows how much of the weights has changed.
            raise EngineDied(f"{late}; its weights are in doubt, and it is replaced") from None

    def _lost(self, remote: Remote, error: EngineDied) -> None:
        """End an engine that is of no more use; whoever comes late with the same news changes nothing."""
        if self._remote is remote:
            with contextlib.suppress(StageFailed):
                remote.kill()
            self._remote = None
            self._count(error)

    def _count(self, error: EngineDied) -> None:
        self._deaths += 1
        self.restarts += 1
        self._last_error = str(error)
        metrics.count("engine_restarts", engine=self._settings.model.name)
