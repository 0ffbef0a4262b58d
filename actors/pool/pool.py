"""WorkerPool: batches go in, one result or `Failure` an item comes out, in order, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actors import metrics
from actors.contracts import Failure
from actors.errors import StageFailed, TimedOut
from actors.pool.chunks import Chunk, Source
from actors.pool.host import Factory
from actors.pool.replica import Replica
from actors.pool.replicas import Replicas
from configs.pool import PoolSettings

_CLOSE_S = 5.0


@dataclass(frozen=True)
class PoolStats:
    """A pool's counters at one moment, of items unless said otherwise."""

    replicas: int = 0
    """Replicas that are up."""
    restarts: int = 0
    """Replicas replaced."""
    queued: int = 0
    """Waiting for a replica."""
    running: int = 0
    """At a replica."""
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    calls: int = 0
    """Calls that a replica answered."""
    call_seconds: float = 0.0
    """Time of those calls in all."""
    wait_seconds: float = 0.0
    """Time that calls waited for a replica in all."""


class WorkerPool:
    """Replicas of a worker on Ray. Used from the event loop that started it.

    An item ends exactly once, as the worker's entry or as a `Failure`. Items of a call whose replica died,
    hung or failed are tried again one by one, on whichever replica is free, at most `retries` times.

    Args:
        node: id of the Ray node that all replicas shall be on; None = wherever there is room.
    """

    def __init__(
        self, name: str, factory: Factory, settings: PoolSettings, *, node: str | None = None
    ) -> None:
        self.name = name
        self._settings = settings
        self._replicas = Replicas(name, factory, settings, node)
        self._stats = PoolStats()
        self._outstanding = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._exchanges: set[asyncio.Future[list[Any] | Failure]] = set()
        self._draining = False

    async def start(self) -> None:
        """Start the replicas; see `Replicas.start` for what it raises."""
        await self._replicas.start()

    async def call(
        self,
        method: str,
        *batches: Sequence[Any],
        timeout_s: float | None = None,
        idempotent: bool = True,
        **constants: Any,
    ) -> list[Any]:
        """Call the worker's method over batches of equal length, split over the replicas.

        Args:
            method: name of a batch method of the worker.
            batches: its arguments that have one entry an item.
            timeout_s: longest time for one call to a replica; the pool's settings when None.
            idempotent: whether an item may be tried again after its replica died or hung.
            constants: its arguments that are the same for all items.

        Returns:
            One entry an item, in order: the worker's, or a `Failure`.

        Raises:
            StageFailed: the pool is closed, draining, or has lost all its replicas.
            ValueError: no batch is given, or their lengths differ.
        """
        self._check_open()
        chunk = self._chunk(method, batches, constants, timeout_s, idempotent)
        lanes = max(1, self._replicas.alive * self._settings.concurrency)
        size = max(1, min(self._settings.batch, -(-len(chunk) // lanes)))
        answers = await asyncio.gather(*(self._run(part) for part in chunk.split(size)))
        return [entry for answer in answers for entry in answer]

    async def map(
        self,
        method: str,
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        unpack: bool = False,
        timeout_s: float | None = None,
        idempotent: bool = True,
        **constants: Any,
    ) -> AsyncIterator[tuple[int, Any]]:
        """Stream items through the worker's method; yields (index, entry) as they finish.

        At most `in_flight` items are taken from the source and not yet yielded, so memory stays flat and
        a slow consumer slows the source. With `unpack` an item is a tuple with one value a batch argument.

        Raises:
            StageFailed: the pool is closed, draining, or has lost all its replicas.
        """
        source = Source(items, self._settings.batch)
        limit = self._settings.in_flight // self._settings.batch
        running: dict[asyncio.Task[Any], int] = {}
        reading: asyncio.Task[tuple[int, list[Any]]] | None = None
        try:
            while True:
                if reading is None and len(running) < limit and not source.exhausted and not self._refusal():
                    reading = asyncio.create_task(source.read())
                waiting = {*running, reading} if reading else set(running)
                if not waiting:
                    if not source.exhausted:
                        self._check_open()
                    return
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if reading in done:
                    first, taken = reading.result()
                    reading = None
                    if taken:
                        batches = tuple(zip(*taken, strict=True)) if unpack else (taken,)
                        chunk = self._chunk(method, batches, constants, timeout_s, idempotent)
                        running[asyncio.create_task(self._run(chunk))] = first
                for task in done & running.keys():
                    for index, entry in enumerate(task.result(), running[task]):
                        yield index, entry
                    del running[task]
        finally:
            for task in running:
                task.cancel()
            if reading is not None:
                reading.cancel()

    async def drain(self, timeout_s: float) -> None:
        """Take no more calls and wait until those outstanding have ended.

        Raises:
            TimedOut: some were still outstanding after `timeout_s`.
        """
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            raise TimedOut(
                f"pool {self.name!r} still had {self._outstanding} items after draining for {timeout_s:g} s"
            ) from None

    async def close(self) -> None:
        """End all replicas. Items still outstanding end as failures. Closing twice changes nothing."""
        await self._replicas.close(_CLOSE_S)
        await asyncio.gather(*self._exchanges, return_exceptions=True)

    def stats(self) -> PoolStats:
        """The pool's counters now."""
        return replace(self._stats, replicas=self._replicas.alive, restarts=self._replicas.restarts)

    def _check_open(self) -> None:
        if reason := self._refusal():
            raise StageFailed(reason)

    def _refusal(self) -> str | None:
        return self._replicas.gone or (f"pool {self.name!r} is draining" if self._draining else None)

    def _chunk(
        self,
        method: str,
        batches: tuple[Sequence[Any], ...],
        constants: dict[str, Any],
        timeout_s: float | None,
        idempotent: bool,
    ) -> Chunk:
        lengths = [len(batch) for batch in batches]
        if len(set(lengths)) != 1:
            raise ValueError(f"{method}: batches of the lengths {lengths}; accepted: at least one, all equal")
        return Chunk(method, batches, constants, timeout_s or self._settings.timeout_s, idempotent)

    async def _run(self, chunk: Chunk) -> list[Any]:
        self._outstanding += len(chunk)
        self._idle.clear()
        try:
            entries = await self._settle(chunk)
        finally:
            self._outstanding -= len(chunk)
            if not self._outstanding:
                self._idle.set()
        failed = sum(isinstance(entry, Failure) for entry in entries)
        self._add(failed=failed, succeeded=len(entries) - failed)
        metrics.count("pool_items", failed, pool=self.name, outcome="failed")
        metrics.count("pool_items", len(entries) - failed, pool=self.name, outcome="succeeded")
        return entries

    async def _settle(self, chunk: Chunk) -> list[Any]:
        """Try until every item has its entry; from the second attempt on each item goes alone."""
        while True:
            answer = await self._attempt(chunk)
            if isinstance(answer, list):
                return answer
            chunk = replace(chunk, attempts=chunk.attempts + 1)
            hopeless = len(chunk) == 1 and not answer.retryable
            if hopeless or not chunk.idempotent or chunk.attempts > self._settings.retries:
                return chunk.failed(answer)
            self._add(retried=len(chunk))
            metrics.count("pool_retries", len(chunk), pool=self.name)
            if len(chunk) > 1:
                alone = await asyncio.gather(*(self._settle(single) for single in chunk.split(1)))
                return [entry for entries in alone for entry in entries]

    async def _attempt(self, chunk: Chunk) -> list[Any] | Failure:
        began = time.perf_counter()
        self._add(queued=len(chunk))
        try:
            replica = await self._replicas.take()
        except StageFailed as error:
            return Failure(stage=chunk.method, kind="StageFailed", message=str(error))
        finally:
            waited = time.perf_counter() - began
            self._add(queued=-len(chunk), wait_seconds=waited)
            metrics.observe("pool_wait_duration_seconds", waited, pool=self.name)
        # A caller may go away; the exchange still ends, and only then is the replica free.
        exchange = asyncio.ensure_future(self._exchange(replica, chunk))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        return await asyncio.shield(exchange)

    async def _exchange(self, replica: Replica, chunk: Chunk) -> list[Any] | Failure:
        self._add(running=len(chunk))
        began = time.perf_counter()
        try:
            answer = await replica.call(chunk)
        except BaseException:
            # What cannot be pickled is the caller's mistake; the replica has seen nothing of it.
            self._replicas.give_back(replica)
            raise
        finally:
            self._add(running=-len(chunk))
        seconds = time.perf_counter() - began
        if answer.fatal:
            self._replicas.lost(replica)
        else:
            self._replicas.give_back(replica)
            self._add(calls=1, call_seconds=seconds)
            metrics.observe("pool_call_duration_seconds", seconds, pool=self.name, method=chunk.method)
        return answer.entries

    def _add(self, **changes: float) -> None:
        new = {name: getattr(self._stats, name) + change for name, change in changes.items()}
        self._stats = replace(self._stats, **new)
        for name in ("queued", "running"):
            if name in new:
                metrics.gauge(f"pool_{name}", new[name], pool=self.name)
