"""Every replica's view of all jobs: a projection of the ledger, brought up to date before it is read."""

from __future__ import annotations

import asyncio

from actors.contracts import Event
from actors.ledger import EventConflict, EventLog
from serve_apps.imagine.jobs import KINDS, REQUESTED, ImagineJob

PAGE = 1000


class Board:
    """Jobs by id. `kept` finished jobs are remembered; the oldest are forgotten first."""

    def __init__(self, log: EventLog, kept: int) -> None:
        self._log = log
        self._kept = kept
        self._offset = 0
        self._jobs: dict[str, ImagineJob] = {}
        self._open: dict[str, ImagineJob] = {}
        self._lock = asyncio.Lock()
        self._begun = 0
        self._news = asyncio.Event()

    @property
    def news(self) -> asyncio.Event:
        """Set when something happens after now. Take it before looking at the board, then wait for it."""
        return self._news

    def get(self, job_id: str) -> ImagineJob | None:
        """A job as of the last refresh."""
        return self._jobs.get(job_id)

    def unfinished(self) -> list[ImagineJob]:
        """Jobs that have not ended, oldest first."""
        return list(self._open.values())

    async def refresh(self) -> None:
        """Fold in all that the log held when this was called. Callers that wait together read once."""
        wanted = self._begun + 1
        async with self._lock:
            if self._begun >= wanted:
                return
            self._begun += 1
            before = self._offset
            while page := await self._log.read(self._offset, PAGE, kinds=KINDS):
                for offset, event in page:
                    self._apply(offset, event)
                    self._offset = offset
            if self._offset != before:
                self._news.set()
                self._news = asyncio.Event()

    async def append(self, event: Event) -> bool:
        """Write an event, then know it. False when the log already holds another under its id."""
        try:
            await self._log.append([event])
            kept = True
        except EventConflict:
            kept = False
        await self.refresh()
        return kept

    def _apply(self, offset: int, event: Event) -> None:
        job_id = event.payload["job"]
        job = self._jobs.get(job_id)
        if job is None:
            # An event whose job was forgotten, e.g. from a replica that came back after the end.
            if event.kind != REQUESTED:
                return
            self._jobs[job_id] = self._open[job_id] = ImagineJob.of(offset, event)
            return
        job.apply(offset, event)
        if job.ended and self._open.pop(job_id, None):
            self._forget()

    def _forget(self) -> None:
        finished = len(self._jobs) - len(self._open)
        if finished > self._kept:
            oldest = next(job_id for job_id, job in self._jobs.items() if job.ended)
            del self._jobs[oldest]
