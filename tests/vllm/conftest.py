"""Real engines on tiny models. Each takes most of a minute to start, so a module shares one."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from actors.engines.host import EngineHost
from actors.engines.nouns import Ask, Sample
from configs.engine import VllmSettings

T = TypeVar("T")
PYTHON = Path(__file__).parents[2] / ".venv-vllm/bin/python"


@dataclass
class Kit:
    """An engine, and the loop on which it is asked."""

    folder: Path
    settings: VllmSettings
    host: EngineHost
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def sample(self, **ask: Any) -> Sample:
        return self.run(self.host.generate(Ask(**ask))).samples[0]


def kit(folder: Path, **change: Any) -> Iterator[Kit]:
    """An engine on a tiny model, started and ended."""
    fields: dict[str, Any] = {
        "model": folder,
        "python": PYTHON,
        "device": "cpu",
        "dtype": "float32",
        "max_model_len": 2048,
        "enforce_eager": True,
        "cpu_cache_gib": 1,
        "concurrency": 4,
        "timeout_s": 120,
    }
    settings = VllmSettings(**{**fields, **change})
    loop = asyncio.new_event_loop()
    made = Kit(folder, settings, EngineHost(settings), loop)
    try:
        made.run(made.host.start())
        yield made
    finally:
        made.run(made.host.close())
        loop.close()


@pytest.fixture(scope="session", autouse=True)
def environment() -> None:
    """Whether the engine's environment is one; a broken one must fail here and not after a minute."""
    if not PYTHON.exists():
        pytest.skip("no .venv-vllm; run `make setup-vllm`")
    subprocess.run([PYTHON, "-c", "import actors.engines.nouns, ray"], check=True)
