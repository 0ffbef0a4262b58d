"""Group commit: appends that arrive while a commit runs share the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from actors import metrics
from actors.contracts import Event
from actors.errors import StageFailed
from actors.ledger.log import EventConflict

Batch = Sequence[Event]
Outcome = list[int] | EventConflict
"""The offsets of one append's events, or why they were refused."""
MAX_EVENTS = 2000
"""Most events in one commit, so that one append does not wait for a very long one."""


class GroupCommit:
    """Runs `commit(batches)` in one thread, a group at a time, durable before anybody is answered.

    Events are immutable, so a group may be handed to the thread as it is.
    """

    def __init__(self, commit: Callable[[list[Batch]], list[Outcome]], host: str) -> None:
        self._commit = commit
        self._host = host
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"ledger-{host}")
        self._waiting: list[tuple[Batch, asyncio.Future[list[int]]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False

    async def append(self, events: Batch) -> list[int]:
        """Wait until the events are durable; see `EventLog.append`."""
        self._check_open()
        if not events:
            return []
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(events), answer))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.ensure_future(self._flush())
        return await answer

    async def run(self, task: Callable[..., Any], *args: Any) -> Any:
        """Run a read in the same thread, between commits."""
        self._check_open()
        return await self._in_thread(task, *args)

    async def close(self, task: Callable[[], None]) -> None:
        """Finish what was appended, then run a last task in the thread and end it."""
        if self._closed:
            return
        self._closed = True
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        await self._in_thread(task)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, task: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, task, *args)

    def _check_open(self) -> None:
        if self._closed:
            raise StageFailed("the ledger is closed; open it again to use it")

    async def _flush(self) -> None:
        while self._waiting:
            group = self._take_group()
            batches = [batch for batch, _ in group]
            began = time.perf_counter()
            outcomes: Sequence[Outcome | Exception]
            try:
                outcomes = await self._in_thread(self._commit, batches)
            except Exception as error:  # whatever the storage raises belongs to those who wait for it
                outcomes = [error] * len(group)
            metrics.observe("ledger_commit_duration_seconds", time.perf_counter() - began, host=self._host)
            for (batch, answer), outcome in zip(group, outcomes, strict=True):
                self._reply(answer, outcome, len(batch))

    def _take_group(self) -> list[tuple[Batch, asyncio.Future[list[int]]]]:
        events = taken = 0
        for batch, _ in self._waiting:
            events += len(batch)
            if taken and events > MAX_EVENTS:
                break
            taken += 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    def _reply(self, answer: asyncio.Future[list[int]], outcome: Outcome | Exception, events: int) -> None:
        if isinstance(outcome, EventConflict):
            metrics.count("ledger_conflicts", host=self._host)
        elif isinstance(outcome, list):
            metrics.count("ledger_events", events, host=self._host)
        if answer.cancelled():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
