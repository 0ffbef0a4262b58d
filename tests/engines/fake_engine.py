"""An engine that dies, hangs and refuses by script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from actors.engines.errors import EngineDied
from actors.engines.nouns import BASE, Ask, Noun, Sample, Samples, Update
from actors.errors import TimedOut
from configs.engine import VllmSettings

POISON = b"poison"
"""Weights that kill every engine."""


@dataclass
class FakeRemote:
    """Answers with its weights' version; `script` holds errors for its next calls, by method."""

    name: str
    script: dict[str, list[Exception]] = field(default_factory=dict)
    weight_version: str = BASE
    text: Callable[[Ask], str] = lambda ask: "hello"
    calls: list[str] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    chunks: list[bytes | str] = field(default_factory=list)
    dead: bool = False
    closed: bool = False

    async def call(
        self, method: str, argument: Noun | None, *blobs: bytes, timeout_s: float
    ) -> dict[str, Any]:
        self.calls.append(method)
        await asyncio.sleep(0)
        if self.dead:
            raise EngineDied(f"{self.name}: {method} ended with the actor's death")
        if errors := self.script.get(method):
            error = errors.pop(0)
            self.dead = isinstance(error, EngineDied)
            raise error
        if POISON in blobs:
            self.dead = True
            raise EngineDied("the weights killed it")
        if isinstance(argument, Update):
            self.weight_version = argument.version
            self.chunks += [*argument.files, *blobs]
        if method == "health":
            return {
                "pid": 1,
                "children": (),
                "weight_version": self.weight_version,
                "paused": False,
                "running": 0,
            }
        if isinstance(argument, Ask):
            self.asks.append(argument)
            sample = Sample(
                text=self.text(argument),
                token_ids=(1, 2),
                finish_reason="stop",
                weight_version=self.weight_version,
            )
            return Samples(samples=(sample,) * argument.n, prompt_token_ids=(0,)).model_dump(mode="json")
        return {}

    async def close(self) -> None:
        self.closed = True

    def kill(self) -> None:
        self.dead = True


@dataclass
class FakeCluster:
    """Launches fakes, the first with the first script and so on; later ones without."""

    scripts: list[dict[str, list[Exception]]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next launches."""
    launched: list[FakeRemote] = field(default_factory=list)

    async def launch(self, settings: VllmSettings) -> FakeRemote:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        number = len(self.launched)
        script = self.scripts[number] if number < len(self.scripts) else {}
        self.launched.append(FakeRemote(f"engine-{number}", script))
        return self.launched[-1]


def died(times: int = 1) -> list[Exception]:
    return [EngineDied("it was killed")] * times


def late() -> TimedOut:
    return TimedOut("engine-0: generate gave no answer within 1 s")
