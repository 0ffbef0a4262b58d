"""What the routes do: take a job on, find it, follow it, wait for its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from actors.artifacts import Artifacts
from actors.contracts import AuditVerdict, Event, Failure, Query
from actors.ledger import EventLog, new_id
from actors.roles import Roles
from configs.reward import RewardSettings
from configs.serve import ImagineAppSettings
from serve_apps.edge.guard import Caller
from serve_apps.edge.problems import Overloaded, Problem
from serve_apps.imagine import jobs
from serve_apps.imagine.board import Board
from serve_apps.imagine.jobs import ImagineJob, Progress
from serve_apps.imagine.runner import Runner

MAX_IDEMPOTENCY_CHARS = 200


class ImagineService:
    """The app's logic over roles, ledger and artifacts. Each replica has one; none holds state of its own."""

    def __init__(
        self,
        roles: Roles,
        log: EventLog,
        artifacts: Artifacts,
        board: Board,
        runner: Runner,
        reward: RewardSettings,
        settings: ImagineAppSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.roles = roles
        self.log = log
        self.artifacts = artifacts
        self.reward = reward
        self.settings = settings
        self._board = board
        self._runner = runner
        self._clock = clock
        self._entering: set[str] = set()

    async def submit(
        self, query: Query, n: int, caller: Caller, idempotency_key: str | None = None
    ) -> ImagineJob:
        """Take a job on, or find the one that the same key already stands for.

        Raises:
            Problem: 409 the key stands for another request, 422 `n` or the query is refused.
            Overloaded: too many jobs are unfinished.
        """
        if n > self.settings.max_draws:
            raise Problem(422, f"n: {n} is not accepted: 1 to {self.settings.max_draws} draws a request", "n")
        key = _checked(idempotency_key) if idempotency_key is not None else new_id()
        event = jobs.requested(jobs.job_id_of(caller.id, key), caller.id, query, n, self._clock())
        if idempotency_key is not None:
            await self._board.refresh()
        job = self._board.get(event.payload["job"])
        if job is None:
            await self.refuse_unsafe([_texts(query)])
            await self._enter(event)
            self._runner.kick()
            job = self._board.get(event.payload["job"])
        if job is None:
            raise Problem(503, "the job was written and is not yet to be read; ask again", retry_after_s=1)
        if (job.query, job.n) != (query, n):
            raise Problem(409, f"Idempotency-Key {key!r} stands for another request; accepted: a new key")
        return job

    async def _enter(self, event: Event) -> None:
        # Those that are being written count too, or a burst would slip in between the look and the write.
        job_id, most = event.payload["job"], self.settings.max_queued
        waiting = {job.id for job in self._board.unfinished()} | self._entering
        if len(waiting) >= most and job_id not in waiting:
            raise Overloaded(f"{most} jobs are unfinished, the most that are taken; try later")
        self._entering.add(job_id)
        try:
            await self._board.append(event)
        finally:
            self._entering.discard(job_id)

    async def find(self, job_id: str, caller: Caller) -> ImagineJob:
        """A job of the caller's.

        Raises:
            Problem: 404 there is none, or it is somebody else's.
        """
        await self._board.refresh()
        job = self._board.get(job_id)
        if job is None or not caller.may_see(job.owner):
            raise Problem(404, "no such job; accepted: an id that POST /v1/imagine answered to this key")
        return job

    async def follow(self, job: ImagineJob, after: int = -1) -> AsyncIterator[Progress]:
        """The job's progress beyond a ledger offset, as it happens, to its end."""
        while True:
            news = self._board.news
            for step in [step for step in job.progress if step.offset > after]:
                after = step.offset
                yield step
            if job.ended:
                return
            if not news.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.settings.poll_s):
                        await news.wait()
            if not job.ended:
                await self._board.refresh()

    async def finish(self, job: ImagineJob) -> None:
        """Wait for a job's end. Giving up waiting does not end the job."""
        async for _ in self.follow(job):
            pass

    async def refuse_unsafe(self, texts: list[str]) -> None:
        """Have the audit look at texts before anything is made of them.

        Raises:
            Problem: 422 a text is refused, 503 the audit cannot tell.
        """
        for verdict in await self.roles.audit.check(texts):
            if isinstance(verdict, Failure):
                raise Problem(503, f"the audit cannot check the text now: {verdict.message}", retry_after_s=5)
            if not verdict.allowed:
                reasons = ", ".join(verdict.reasons)
                raise Problem(422, f"the audit refuses this text: {reasons}; ask for something else")

    async def health(self) -> dict[str, str]:
        """What each thing that the app stands on says: `ok`, or what is wrong with it."""
        checks: dict[str, asyncio.Task[object]] = {
            "ledger": asyncio.create_task(self._board.refresh()),
            "artifacts": asyncio.create_task(asyncio.to_thread(self.artifacts.has, "0" * 64)),
            "audit": asyncio.create_task(self._audit_answers()),
        }
        report: dict[str, str] = {}
        await asyncio.wait(checks.values(), timeout=2.0)
        for name, check in checks.items():
            if not check.done():
                check.cancel()
                report[name] = "no answer in 2 s"
            else:
                error = check.exception()
                report[name] = f"{type(error).__name__}: out of reach" if error else "ok"
        return report | {"runner": "ok" if self._runner.alive else "stopped"}

    async def _audit_answers(self) -> AuditVerdict | Failure:
        return (await self.roles.audit.check(["a paper boat"]))[0]


def _texts(query: Query) -> str:
    return f"{query.text}\n{query.title}" if query.title else query.text


def _checked(key: str) -> str:
    if not key or len(key) > MAX_IDEMPOTENCY_CHARS or not key.isprintable():
        raise Problem(
            422,
            f"Idempotency-Key: accepted: 1 to {MAX_IDEMPOTENCY_CHARS} printable characters",
            "Idempotency-Key",
        )
    return key
