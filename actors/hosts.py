"""Where workers live: `in_process`, or `pooled` on Ray. Either gives the same `Roles`.

A hosted role forwards to its worker by method name; a worker's method may be sync (run in one thread of
its own, so a worker sees one call at a time) or async.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from actors.artifacts import Artifacts
from actors.build import build_worker
from actors.contracts import (
    AuditVerdict,
    Comparison,
    Dimension,
    Failure,
    Judgement,
    Picture,
    Prompt,
    Query,
    Recall,
    Strategy,
)
from actors.engines.host import EngineHost
from actors.pool import WorkerPool
from actors.roles import Roles
from configs.base import BackendSettings
from configs.engine import VllmSettings
from configs.pool import PoolSettings
from configs.schema import Settings

Call = Callable[..., Awaitable[list[Any]]]
"""`await call(method, *batches, **constants)`: one entry an item, in order."""


class HostedPolicy:
    """A policy behind a host."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def propose(
        self, queries: Sequence[Query], recalls: Sequence[Recall], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        """See `actors.roles.Policy.propose`."""
        return await self._call("propose", queries, recalls, strategy=strategy, n=n, seed=seed)


class HostedGenerator:
    """A generator behind a host."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        """See `actors.roles.Generator.draw`."""
        return await self._call("draw", prompts, seeds)


class HostedJudge:
    """A judge behind a host."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        """See `actors.roles.Judge.judge`."""
        return await self._call("judge", pictures, queries)

    async def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
    ) -> list[Comparison | Failure]:
        """See `actors.roles.Judge.compare`."""
        return await self._call("compare", pairs, queries)


class HostedAudit:
    """An audit behind a host."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def check(self, items: Sequence[str | Picture]) -> list[AuditVerdict | Failure]:
        """See `actors.roles.Audit.check`."""
        return await self._call("check", items)


class HostedScorer:
    """A scorer behind a host."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def score(
        self, pictures: Sequence[Picture], prompts: Sequence[str]
    ) -> list[dict[Dimension, float] | Failure]:
        """See `actors.roles.Scorer.score`."""
        return await self._call("score", pictures, prompts)


class LocalWorker:
    """One worker in this process. Sync methods run in its own single thread."""

    def __init__(self, settings: BackendSettings, artifacts: Artifacts) -> None:
        self._worker = build_worker(settings, artifacts)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=type(self._worker).__name__)

    async def __call__(self, method: str, *batches: Sequence[Any], **constants: Any) -> list[Any]:
        """Call the worker's method with whole batches."""
        if not batches[0]:
            return []
        bound = getattr(self._worker, method)
        if inspect.iscoroutinefunction(bound):
            answer: list[Any] = await bound(*batches, **constants)
        else:
            task = functools.partial(bound, *batches, **constants)
            answer = await asyncio.get_running_loop().run_in_executor(self._thread, task)
        return answer

    async def close(self) -> None:
        """Close the worker's connections and its thread."""
        close = getattr(self._worker, "close", None)
        if close is not None:
            await close()
        self._thread.shutdown(wait=False)


@asynccontextmanager
async def in_process(
    settings: Settings, artifacts: Artifacts | None = None, *, scorer: bool = True
) -> AsyncIterator[Roles]:
    """All roles as workers inside this process; otherwise as `pooled`."""
    artifacts = artifacts or Artifacts(settings.paths.artifacts)
    wanted = backends(settings, scorer).items()
    workers = {name: LocalWorker(backend, artifacts) for name, backend in wanted}
    try:
        yield bundle(workers)
    finally:
        await asyncio.gather(*(worker.close() for worker in workers.values()))


@asynccontextmanager
async def pooled(
    settings: Settings, artifacts: Artifacts | None = None, *, scorer: bool = True
) -> AsyncIterator[Roles]:
    """Roles on WorkerPools of the running Ray cluster; a role with `workers: 0` stays in this process.

    Pictures go to `artifacts`, or to the settings' store. Without `scorer` none is started even if set.
    Engines are started here, so that the death of no replica takes one along.
    """
    artifacts = artifacts or Artifacts(settings.paths.artifacts)
    hosts = {
        name: _host(name, backend, getattr(settings.pools, name), artifacts)
        for name, backend in backends(settings, scorer).items()
    }
    started = [EngineHost(engine) for engine in engines(settings)]
    try:
        await asyncio.gather(*(engine.start() for engine in started))
        await asyncio.gather(*(host.start() for host in hosts.values() if isinstance(host, WorkerPool)))
        yield bundle(
            {name: host.call if isinstance(host, WorkerPool) else host for name, host in hosts.items()}
        )
    finally:
        await asyncio.gather(*(host.close() for host in hosts.values()))
        await asyncio.gather(*(engine.close() for engine in started))


def engines(settings: Settings) -> set[VllmSettings]:
    """The engines that the roles ask; those of equal settings are one."""
    named = (getattr(backend, "engine", None) for backend in backends(settings).values())
    return {engine for engine in named if engine is not None}


def backends(settings: Settings, scorer: bool = True) -> dict[str, BackendSettings]:
    """The backend of each role that the settings have; without `scorer` never one of that."""
    found: dict[str, BackendSettings] = {
        "policy": settings.policy,
        "generator": settings.generator,
        "judge": settings.judge,
        "audit": settings.audit,
    }
    if scorer and isinstance(settings.scorer, BackendSettings):
        found["scorer"] = settings.scorer
    return found


def bundle(calls: Mapping[str, Call]) -> Roles:
    """The roles behind the calls of their hosts, by role."""
    return Roles(
        policy=HostedPolicy(calls["policy"]),
        generator=HostedGenerator(calls["generator"]),
        judge=HostedJudge(calls["judge"]),
        audit=HostedAudit(calls["audit"]),
        scorer=HostedScorer(calls["scorer"]) if "scorer" in calls else None,
    )


def _host(
    name: str, backend: BackendSettings, pool: PoolSettings, artifacts: Artifacts
) -> WorkerPool | LocalWorker:
    if pool.workers == 0:
        return LocalWorker(backend, artifacts)
    return WorkerPool(name, functools.partial(build_worker, backend, artifacts), pool)
