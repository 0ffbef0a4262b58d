"""The part of a replica that works: claims jobs nobody works on, and brings each to its one end."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from actors.bank.bank import PromptBank
from actors.contracts import Failure, Picture, Prompt, Strategy
from actors.errors import AtelierError, failure_of
from actors.ledger import EventConflict
from actors.roles import Generator, Roles
from actors.studio import Studio
from configs.reward import RewardSettings
from configs.serve import ImagineAppSettings
from serve_apps.imagine import jobs
from serve_apps.imagine.board import Board
from serve_apps.imagine.jobs import ImagineJob, Lease

STOP_S = 3.0
"""Time that a stopping replica spends on giving its jobs back."""
BACKOFF_S = 1.0
"""Pause after the first attempt that failed; doubled for each further one."""
_log = logging.getLogger(__name__)

Record = Callable[[int, Picture], Awaitable[object]]


class RecordingGenerator:
    """A generator that has each picture written down at once, and draws none that was drawn before."""

    def __init__(self, generator: Generator, job: ImagineJob, record: Record) -> None:
        self._generator = generator
        self._job = job
        self._record = record
        self._index = {(draw.prompt.id, draw.seed): draw.index for draw in job.missing()}

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        """See `actors.roles.Generator.draw`."""
        indices = [self._index[prompt.id, seed] for prompt, seed in zip(prompts, seeds, strict=True)]
        new = [i for i, index in enumerate(indices) if index not in self._job.pictures]
        drawn = await self._generator.draw([prompts[i] for i in new], [seeds[i] for i in new]) if new else []
        fresh: dict[int, Picture | Failure] = {}
        for i, outcome in zip(new, drawn, strict=True):
            fresh[indices[i]] = outcome
            if isinstance(outcome, Picture):
                await self._record(indices[i], outcome)
        # What the ledger holds wins over what was drawn here: another replica may have been first.
        return [
            self._job.pictures[index] if index in self._job.pictures else fresh[index] for index in indices
        ]


@dataclass
class Work:
    """A job that this replica has claimed."""

    job: ImagineJob
    lease: Lease
    beats: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Runner:
    """Works on jobs while it is `running`. `holder` names this replica in the ledger."""

    def __init__(
        self,
        board: Board,
        roles: Roles,
        strategy: Strategy,
        bank: PromptBank,
        reward: RewardSettings,
        settings: ImagineAppSettings,
        *,
        holder: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._board = board
        self._roles = roles
        self._strategy = strategy
        self._bank = bank
        self._reward = reward
        self._settings = settings
        self._holder = holder
        self._clock = clock
        self._kick = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._work: dict[asyncio.Task[None], Work] = {}

    @property
    def alive(self) -> bool:
        """Whether jobs are being looked for."""
        return self._loop_task is not None and not self._loop_task.done()

    def kick(self) -> None:
        """Look for jobs now, without waiting for the next poll."""
        self._kick.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the block ends, then give unfinished jobs back."""
        loop = self._loop_task = asyncio.create_task(self._loop(), name="imagine-runner")
        try:
            yield
        finally:
            loop.cancel()
            given_back = list(self._work.values())
            tasks = [loop, *self._work]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self._give_back(given_back)

    async def _loop(self) -> None:
        while True:
            self._kick.clear()
            try:
                await self._board.refresh()
                await self._claim()
            # Absorbs whatever an unreachable ledger raises: this loop is all that keeps jobs moving.
            except Exception:
                _log.exception("the imagine runner could not look for jobs; it tries again")
                await asyncio.sleep(self._settings.poll_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_s):
                    await self._kick.wait()

    async def _claim(self) -> None:
        mine = {work.job.id for work in self._work.values()}
        for job in self._board.unfinished():
            if len(self._work) >= self._settings.jobs_at_once:
                break
            now = self._clock()
            if job.id in mine or not job.claimable(now):
                continue
            attempt = job.lease.attempt + 1 if job.lease else 1
            if attempt > self._settings.attempts:
                await self._board.append(jobs.ended(job.id, _given_up(job), self._holder, now))
                continue
            lease = Lease(attempt, self._holder, now + self._settings.lease_s)
            if await self._board.append(jobs.leased(job.id, lease, 0, now)):
                work = Work(job, lease)
                task = asyncio.create_task(self._finish(work), name=f"imagine-{job.id}")
                self._work[task] = work
                task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        work = self._work.pop(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("job %s is left to the next replica", work.job.id, exc_info=error)
        self.kick()

    async def _finish(self, work: Work) -> None:
        beat = asyncio.create_task(self._beat(work))
        failure: Failure | None
        try:
            async with asyncio.timeout(self._settings.job_timeout_s):
                failure = await self._imagine(work.job)
        except TimeoutError:
            message = f"the job took longer than {self._settings.job_timeout_s:g} s; ask for fewer draws"
            failure = Failure(stage="imagine", kind="TimeoutError", message=message, item_id=work.job.id)
        # Absorbs any error of a backend: the job must come to an end that its caller sees.
        except Exception as error:
            if _passes(error):
                await self._retry_later(work, error)
                return
            _log.exception("job %s failed", work.job.id)
            failure = failure_of(error, stage="imagine", item_id=work.job.id, attempts=work.lease.attempt)
        finally:
            beat.cancel()
        await self._board.append(jobs.ended(work.job.id, failure, self._holder, self._clock()))

    async def _imagine(self, job: ImagineJob) -> Failure | None:
        """Make what is missing of a job. Returns why it failed, or None."""
        await self._bank.replay()
        studio = Studio(self._roles, self._reward, self._bank, chunk=self._settings.chunk)
        if job.prompts is None:
            proposal = (await studio.propose([job.query], self._strategy, job.n, 0))[0]
            if isinstance(proposal, Failure):
                return proposal
            await self._board.append(jobs.proposed(job.id, proposal, self._holder, self._clock()))
        recording = RecordingGenerator(self._roles.generator, job, lambda i, p: self._record(job, i, p))
        studio = replace(studio, roles=replace(self._roles, generator=recording))
        async for draw in studio.stream(job.missing()):
            await self._board.append(jobs.judged(job.id, draw, self._holder, self._clock()))
        if job.best is not None:
            return None
        failures = [draw.failure for draw in job.draws.values() if draw.failure]
        return failures[0] if failures else _nothing(job)

    async def _record(self, job: ImagineJob, index: int, picture: Picture) -> None:
        await self._board.append(jobs.drawn(job.id, index, picture, self._holder, self._clock()))

    async def _beat(self, work: Work) -> None:
        while True:
            await asyncio.sleep(self._settings.lease_s / 3)
            until = self._clock() + self._settings.lease_s
            try:
                await self._extend(work, replace(work.lease, until=until))
            except AtelierError as error:
                _log.warning("no sign of life of job %s could be written: %s", work.job.id, error)

    async def _retry_later(self, work: Work, error: Exception) -> None:
        pause = BACKOFF_S * 2 ** (work.lease.attempt - 1)
        _log.warning("job %s is tried again in %g s: %s", work.job.id, pause, error)
        await self._extend(work, replace(work.lease, until=self._clock() + pause, why=str(error)))

    async def _give_back(self, works: Sequence[Work]) -> None:
        for work in works:
            if not work.job.ended:
                await self._extend(
                    work, replace(work.lease, until=self._clock(), why="its replica was stopped")
                )

    async def _extend(self, work: Work, lease: Lease) -> None:
        await self._board.append(jobs.leased(work.job.id, lease, next(work.beats), self._clock()))


def _passes(error: Exception) -> bool:
    """Whether another attempt may succeed; after a conflict it reads what another replica wrote."""
    return isinstance(error, EventConflict) or bool(getattr(error, "retryable", False))


def _given_up(job: ImagineJob) -> Failure:
    attempts = job.lease.attempt if job.lease else 0
    why = (job.lease.why if job.lease else "") or "its replica was lost"
    message = f"the job was tried {attempts} times without success; the last time: {why}"
    return Failure(stage="imagine", kind="GivenUp", message=message, item_id=job.id, attempts=attempts)


def _nothing(job: ImagineJob) -> Failure:
    return Failure(stage="policy", kind="NoPrompts", message="the policy wrote no prompt", item_id=job.id)
