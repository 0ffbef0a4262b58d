"""The replicas of one pool: started, lent to calls, replaced when they die."""

from __future__ import annotations

import asyncio

from actors import metrics
from actors.errors import StageFailed
from actors.pool.host import Factory
from actors.pool.replica import Replica
from actors.pool.room import check_room
from configs.pool import PoolSettings

_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 5.0


class Replicas:
    """All replicas of a pool. Belongs to the event loop that started it."""

    def __init__(self, name: str, factory: Factory, settings: PoolSettings, node: str | None = None) -> None:
        self.name = name
        self.restarts = 0
        self.gone: str | None = None
        """Why no replica will ever be free again."""
        self._factory = factory
        self._settings = settings
        self._node = node
        self._places: dict[int, Replica] = {}
        self._free: asyncio.Queue[Replica | None] = asyncio.Queue()
        self._repairs: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> int:
        """How many are up."""
        return sum(replica.alive for replica in self._places.values())

    async def start(self) -> None:
        """Start all of them.

        Raises:
            BadInput: the cluster has not the resources that the settings ask for.
            StageFailed: a worker could not be built.
            TimedOut: a replica was not ready within `start_timeout_s`.
        """
        check_room(self.name, self._settings)
        started = await asyncio.gather(
            *(self._launch(index) for index in range(self._settings.workers)), return_exceptions=True
        )
        replicas = [replica for replica in started if isinstance(replica, Replica)]
        for error in started:
            if isinstance(error, BaseException):
                for replica in replicas:
                    replica.kill()
                raise error
        for replica in replicas:
            self._install(replica)

    async def take(self) -> Replica:
        """Wait for a free replica. The wait ends because calls, starts and restarts are bounded in time.

        Raises:
            StageFailed: no replica is left, or the pool is closed.
        """
        while True:
            replica = await self._free.get()
            if replica is None:
                self._free.put_nowait(None)
                raise StageFailed(str(self.gone))
            if replica.alive:
                return replica

    def give_back(self, replica: Replica) -> None:
        """The replica has finished a call and is free for the next."""
        replica.deaths = 0
        self._free.put_nowait(replica)

    def lost(self, replica: Replica) -> None:
        """The replica died or hangs: end it and start another in its place."""
        if not replica.alive:
            return
        replica.kill()
        replica.deaths += 1
        self._measure()
        if self.gone is None:
            repair = asyncio.create_task(self._repair(replica))
            self._repairs.add(repair)
            repair.add_done_callback(self._repairs.discard)

    async def close(self, timeout_s: float) -> None:
        """Let the workers close, then end their processes."""
        self._end(f"pool {self.name!r} is closed")
        for repair in self._repairs:
            repair.cancel()
        await asyncio.gather(*self._repairs, return_exceptions=True)
        await asyncio.gather(*(replica.close(timeout_s) for replica in self._places.values()))
        self._measure()

    async def _launch(self, index: int) -> Replica:
        return await Replica.launch(
            f"pool {self.name!r}, replica {index}", index, self._factory, self._settings, self._node
        )

    def _install(self, replica: Replica) -> None:
        self._places[replica.index] = replica
        for _ in range(self._settings.concurrency):
            self._free.put_nowait(replica)
        self._measure()

    async def _repair(self, dead: Replica) -> None:
        deaths, reason = dead.deaths, dead.last_error
        while deaths <= self._settings.restarts:
            await asyncio.sleep(min(_MAX_BACKOFF_S, _BACKOFF_S * (2 ** (deaths - 1) - 1)))
            self.restarts += 1
            metrics.count("pool_restarts", pool=self.name)
            try:
                fresh = await self._launch(dead.index)
            except StageFailed as error:
                deaths, reason = deaths + 1, str(error)
            else:
                fresh.deaths, fresh.last_error = deaths, reason
                self._install(fresh)
                return
        del self._places[dead.index]
        if not self._places:
            self._end(
                f"pool {self.name!r} has no replica left: each was lost more than {self._settings.restarts} "
                f"times in a row; the last error: {reason}"
            )

    def _end(self, reason: str) -> None:
        self.gone = self.gone or reason
        self._free.put_nowait(None)

    def _measure(self) -> None:
        metrics.gauge("pool_replicas", self.alive, pool=self.name)
