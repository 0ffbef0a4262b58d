"""WorkerPool on a real Ray: order, retries, deaths, timeouts, back-pressure."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.contracts import Failure
from actors.errors import BadInput, StageFailed, TimedOut
from actors.pool import WorkerPool
from configs.pool import PoolSettings

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


class Sloppy:
    """A worker with every vice. `log` is a folder in which each execution of an item leaves a line."""

    version = "sloppy-1"

    def __init__(self, log: str = "") -> None:
        self._log = log

    def double(self, items: Sequence[int], times: int = 2) -> list[int]:
        return [item * times for item in items]

    def add(self, left: Sequence[int], right: Sequence[int]) -> list[int]:
        return [a + b for a, b in zip(left, right, strict=True)]

    async def later(self, items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return [item + 1 for item in items]

    def poisoned(self, items: Sequence[int]) -> list[int]:
        for item in items:
            self._note(item)
            if item == 13:
                os.kill(os.getpid(), signal.SIGKILL)
        return list(items)

    def picky(self, items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise ValueError("13 is not accepted")
        return list(items)

    def short(self, items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    def threads(self, items: Sequence[int]) -> list[dict[str, str | int]]:
        import cv2

        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return [
            {**{name: os.environ.get(name, "") for name in names}, "cv2": cv2.getNumThreads()} for _ in items
        ]

    def pid(self, items: Sequence[int]) -> list[int]:
        return [os.getpid()] * len(items)

    async def hang(self, items: Sequence[int]) -> list[int]:
        if 13 in items:
            await asyncio.Event().wait()
        return list(items)

    def _note(self, item: int) -> None:
        with open(Path(self._log) / str(item), "a") as stream:
            stream.write("x")


def with_pool(test: Callable[[WorkerPool], Awaitable[Any]], log: str = "", **settings: Any) -> Any:
    """Run a test's coroutine on a started pool."""

    async def run() -> Any:
        chosen = PoolSettings(**{"workers": 2, "batch": 4, "num_cpus": 0.1, **settings})
        pool = WorkerPool("sloppy", functools.partial(Sloppy, log), chosen)
        await pool.start()
        try:
            return await asyncio.wait_for(test(pool), 60)
        finally:
            await pool.close()

    return asyncio.run(run())


def test_answers_in_order_sync_and_async_with_constants_and_several_batches() -> None:
    async def run(pool: WorkerPool) -> None:
        assert await pool.call("double", list(range(21)), times=3) == [3 * i for i in range(21)]
        assert await pool.call("add", [1, 2, 3], [10, 20, 30]) == [11, 22, 33]
        assert await pool.call("later", list(range(9))) == list(range(1, 10))
        assert await pool.call("double", []) == []
        with pytest.raises(ValueError, match="lengths"):
            await pool.call("add", [1], [1, 2])
        assert len(set(await pool.call("pid", list(range(16))))) == 2
        [threads] = await pool.call("threads", [0])
        assert threads == {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "cv2": 1}
        assert pool.stats().succeeded == 21 + 3 + 9 + 16 + 1

    with_pool(run)


def test_a_poison_item_fails_alone(tmp_path: Path) -> None:
    async def run(pool: WorkerPool) -> None:
        entries = await pool.call("poisoned", list(range(20)))
        assert [i for i, entry in enumerate(entries) if isinstance(entry, Failure)] == [13]
        assert [entry for entry in entries if not isinstance(entry, Failure)] == [
            i for i in range(20) if i != 13
        ]
        assert entries[13].attempts == 3
        assert "sloppy" in entries[13].message and "replica" in entries[13].message
        assert await pool.call("double", [1, 2]) == [2, 4]

    with_pool(run, log=str(tmp_path), retries=2)
    assert (tmp_path / "13").read_text() == "xxx"
