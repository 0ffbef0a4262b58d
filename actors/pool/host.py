"""What runs inside a replica's process: it builds the worker and calls its methods."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from actors.contracts import Failure
from actors.errors import failure_of

Factory = Callable[[], Any]
"""Builds the worker. Picklable, e.g. `functools.partial(build_worker, settings, artifacts)`."""


def thread_variables(threads: int) -> dict[str, str]:
    """Environment of a process whose numeric libraries use so many threads."""
    names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")
    limits = {f"{name}_NUM_THREADS": str(threads) for name in names}
    return {**limits, "OPENCV_FOR_THREADS_NUM": str(threads)}


class ReplicaHost:
    """One replica: a worker and the single thread in which its sync methods run.

    Every method answers, errors included: what the worker raised comes back as a `Failure`.
    """

    def __init__(self, factory: Factory, threads: int) -> None:
        self._factory = factory
        self._threads = threads
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker")
        self._worker: Any = None

    async def start(self) -> int | Failure:
        """Build the worker; the answer is the process's id."""
        try:
            self._worker = await self._in_thread(self._build)
        except Exception as error:  # whatever the worker's constructor raises: the pool reports it
            return failure_of(error, stage="start")
        return os.getpid()

    async def call(
        self, method: str, batches: Sequence[Sequence[Any]], constants: dict[str, Any]
    ) -> list[Any] | Failure:
        """One entry an item, or the failure of the whole call."""
        try:
            results = list(await self._invoke(getattr(self._worker, method), *batches, **constants))
        except Exception as error:  # whatever the worker raises: the pool decides about a retry
            return failure_of(error, stage=method)
        if len(results) != len(batches[0]):
            return Failure(
                stage=method,
                kind="WrongLength",
                message=f"{type(self._worker).__name__}.{method} returned {len(results)} entries "
                f"for {len(batches[0])} items; accepted: one an item",
            )
        return results

    async def close(self) -> None:
        """Let the worker close its connections."""
        close = getattr(self._worker, "close", None)
        if close is not None:
            await self._invoke(close)

    async def _invoke(self, bound: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(bound):
            return await bound(*args, **kwargs)
        return await self._in_thread(functools.partial(bound, *args, **kwargs))

    async def _in_thread(self, task: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, task)

    def _build(self) -> Any:
        worker = self._factory()
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(self._threads)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(self._threads)
        return worker
