"""Hosts on a Ray cluster: one for each island, spread over the nodes; nodes may join and leave."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from actors.contracts import Failure
from actors.errors import AtelierError, BadInput, StageFailed
from actors.pool import WorkerPool
from configs.gepa import GepaSettings
from configs.pool import PoolSettings
from train_jobs.gepa.hosts import Host, Lost
from train_jobs.gepa.tasks import Evaluate, Result, Task
from train_jobs.gepa.worker import Kit, SearchWorker

LOGGER = logging.getLogger(__name__)
WATCH_S = 2.0
"""Time between two looks at which nodes there are."""


class Crew(Protocol):
    """Who is told of hosts that join and leave."""

    def join(self, host: Host) -> None:
        """Use it."""
        ...

    def leave(self, host: Host) -> None:
        """Use it no more."""
        ...


class NodeHost:
    """Pools of evaluators and proposers on one node.

    Args:
        node: Ray's id of it.
        islands: at home here.
        share: for how many islands it has lanes.
    """

    def __init__(
        self, kit: Kit, settings: GepaSettings, node: str, islands: Iterable[int], share: int
    ) -> None:
        self.name = f"node {node[:8]}"
        self.node = node
        self.islands = frozenset(islands)
        self.evaluators = settings.evaluators * share
        self.proposers = settings.proposers * share
        self._gone = asyncio.Event()
        factory = functools.partial(SearchWorker, kit)
        self._pools = {
            kind: WorkerPool(
                f"{self.name}, {kind}",
                factory,
                PoolSettings(
                    workers=workers,
                    batch=1,
                    retries=0,
                    timeout_s=timeout_s,
                    start_timeout_s=settings.start_timeout_s,
                    num_cpus=settings.num_cpus,
                ),
                node=node,
            )
            for kind, workers, timeout_s in (
                ("evaluators", self.evaluators, settings.evaluation_timeout_s),
                ("proposers", self.proposers, settings.reflection_timeout_s),
            )
        }

    async def start(self) -> None:
        """Start the replicas.

        Raises:
            StageFailed, TimedOut, BadInput: as `WorkerPool.start`.
        """
        await asyncio.gather(*(pool.start() for pool in self._pools.values()))

    async def run(self, task: Task) -> Result | Lost:
        """See `Host.run`. A node that goes loses its calls at once."""
        pool = self._pools["evaluators" if isinstance(task, Evaluate) else "proposers"]
        call = asyncio.create_task(pool.call("run", [task], idempotent=False))
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({call, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                return Lost(f"{self.name} is gone", counts=False)
            (entry,) = call.result()
        except StageFailed as error:
            return Lost(str(error))
        finally:
            gone.cancel()
            call.cancel()
        if isinstance(entry, Failure):
            return Lost(entry.message, again=entry.kind != "TimedOut")
        result: Result = entry
        return result

    def lose(self) -> None:
        """The node is gone."""
        self._gone.set()

    async def close(self) -> None:
        """End the replicas."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))


class Fleet:
    """All hosts of a run. Used as a context manager; its value is the hosts to begin with.

    Island `i` is at home on node `i` modulo their number. A node that joins later gets a host that helps all
    islands; one that leaves takes only the calls with it that it was making.
    """

    def __init__(self, kit: Kit, settings: GepaSettings, crew: Crew) -> None:
        # Workers elsewhere have another working directory, so the folder travels in full.
        folder = kit.folder.absolute() if kit.folder else None
        self._kit, self._settings, self._crew = replace(kit, folder=folder), settings, crew
        self._hosts: dict[str, NodeHost] = {}
        self._watching: asyncio.Task[None] | None = None
        self._welcoming: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> list[Host]:
        _check_pickles(self._kit)
        nodes = _nodes()[: self._settings.islands]
        homes: dict[str, list[int]] = {node: [] for node in nodes}
        for island in range(self._settings.islands):
            homes[nodes[island % len(nodes)]].append(island)
        for node, islands in homes.items():
            self._hosts[node] = NodeHost(self._kit, self._settings, node, islands, len(islands))
        try:
            await asyncio.gather(*(host.start() for host in self._hosts.values()))
        except BaseException:
            await self._close()
            raise
        self._watching = asyncio.create_task(self._watch(set(_nodes())))
        return list(self._hosts.values())

    async def __aexit__(self, *error: object) -> None:
        tasks = [*self._welcoming, *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        await asyncio.gather(*(host.close() for host in self._hosts.values()))

    async def _watch(self, known: set[str]) -> None:
        """Follow the nodes that are there."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                there = set(await asyncio.to_thread(_nodes))
            except StageFailed:  # for the moment; others may come
                there = set()
            for node in set(self._hosts) - there:
                host = self._hosts.pop(node)
                known = set(self._hosts)  # a node that had nothing to do may take its place
                LOGGER.warning("%s is gone; its islands go on elsewhere", host.name)
                self._crew.leave(host)
                host.lose()
                await host.close()
            for node in there - known:
                welcome = asyncio.create_task(self._welcome(node))
                self._welcoming.add(welcome)
                welcome.add_done_callback(self._welcoming.discard)
            known |= there

    async def _welcome(self, node: str) -> None:
        host = NodeHost(self._kit, self._settings, node, (), 1)
        try:
            await host.start()
        except AtelierError as error:
            LOGGER.warning("%s cannot help: %s", host.name, error)
            await host.close()
            return
        except asyncio.CancelledError:
            await host.close()
            raise
        self._hosts[node] = host
        self._crew.join(host)


def _check_pickles(kit: Kit) -> None:
    """Refuse what could not be sent to a worker.

    Raises:
        BadInput: adapter, examples, or what writes texts cannot be pickled.
    """
    import ray

    try:
        ray.cloudpickle.dumps(kit)
    except Exception as error:  # whatever an object's own pickling raises
        raise BadInput(
            f"the adapter, its examples or what writes texts cannot be pickled ({error}); accepted: what can "
            "be sent to the workers of islands, or islands=None to search in this process"
        ) from None


def _nodes() -> list[str]:
    """Ids of the nodes that are alive and have CPUs, in a fixed order.

    Raises:
        StageFailed: there is none.
    """
    import ray

    nodes = sorted(
        node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0
    )
    if not nodes:
        raise StageFailed("the Ray cluster has no node with CPUs")
    return nodes
