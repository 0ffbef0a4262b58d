"""Where calls are made: threads of this process, or pools of replicas on the nodes of a Ray cluster."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from train_jobs.gepa.tasks import Evaluate, Result, Task
from train_jobs.gepa.worker import Kit, SearchWorker


@dataclass(frozen=True)
class Lost:
    """A call that has no result."""

    reason: str
    again: bool = True
    """Whether it was its worker's fault, and another one may try."""
    counts: bool = True
    """Whether the call may have been what ended its worker."""


class Host(Protocol):
    """Some lanes for evaluations and some for reflections."""

    name: str
    evaluators: int
    proposers: int
    islands: frozenset[int]
    """Islands at home here; others' calls are made when these have none."""

    async def run(self, task: Task) -> Result | Lost:
        """Make a call. It ends within its time limit."""
        ...

    async def close(self) -> None:
        """End what is running."""
        ...


class ThreadHost:
    """Threads of this process around one adapter. A call that hangs keeps its thread and frees its lane."""

    def __init__(
        self,
        kit: Kit,
        *,
        evaluators: int,
        proposers: int,
        islands: int,
        evaluation_timeout_s: float,
        reflection_timeout_s: float,
    ) -> None:
        self.name = "this process"
        self.evaluators, self.proposers = evaluators, proposers
        self.islands = frozenset(range(islands))
        self._worker = SearchWorker(kit, "process")
        self._evaluation_timeout_s = evaluation_timeout_s
        self._reflection_timeout_s = reflection_timeout_s

    async def run(self, task: Task) -> Result | Lost:
        """See `Host.run`."""
        limit = self._evaluation_timeout_s if isinstance(task, Evaluate) else self._reflection_timeout_s
        try:
            result: Result = await asyncio.wait_for(
                _in_thread(lambda: self._worker.run_one(task)), timeout=limit
            )
        except TimeoutError:
            return Lost(f"no answer within {limit:g} s", again=False)
        return result

    async def close(self) -> None:
        """See `Host.close`."""
        self._worker.close()


async def _in_thread(call: Callable[[], Any]) -> Any:
    """Run a call in a thread of its own, which nobody waits for at exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(setter: str, value: Any) -> None:
        if not future.done():
            getattr(future, setter)(value)

    def body() -> None:
        try:
            answer = call()
        except BaseException as error:  # handed on to whoever waits
            _post(loop, deliver, "set_exception", error)
        else:
            _post(loop, deliver, "set_result", answer)

    threading.Thread(target=body, daemon=True, name="gepa-call").start()
    return await future


def _post(loop: asyncio.AbstractEventLoop, deliver: Callable[..., None], *arguments: Any) -> None:
    """Hand an answer over, unless the loop was closed while a hanging call ran on."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(deliver, *arguments)
