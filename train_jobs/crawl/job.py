"""The crawl: list pages lead to pictures, pictures are checked and kept, kept ones become rows.

Every step is an event of `frontier.jsonl` before the next begins, so a crawl that was stopped at any point
goes on where it was; at most what was in flight is asked for again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from actors.datasets import DatasetWriter
from actors.errors import BadInput
from actors.ledger import FileLog
from configs.crawl import CrawlSettings
from train_jobs.crawl.answers import want_picture
from train_jobs.crawl.catalogue import Catalogue
from train_jobs.crawl.errors import Refused, Trouble
from train_jobs.crawl.fetcher import Fetcher
from train_jobs.crawl.frontier import FAILED, FETCHED, REFUSED, Entry, Frontier, Outcome
from train_jobs.crawl.guard import Guard
from train_jobs.crawl.lister import Lister
from train_jobs.crawl.pictures import keep
from train_jobs.crawl.spec import Spec

VERSION = "1"
LOG = "frontier.jsonl"
Progress = Callable[[str, int, int], None]


class Summary(BaseModel):
    """What became of every picture. `discovered` is the sum of the five numbers that follow it."""

    model_config = ConfigDict(frozen=True)

    discovered: int
    kept: int
    duplicates: int
    refused: int
    failed: int
    pending: int
    """Not decided yet, because the crawl was stopped."""
    skipped_details: int
    """Detail pages that could not be had; the next run asks again."""
    in_dataset: int
    """Rows written; pictures kept beyond them are written when the crawl comes to its end."""
    reasons: dict[str, int]
    """How often pictures were refused or failed, by the beginning of the reason."""
    troubles: tuple[str, ...]
    """List pages at which a walk ended early."""
    round: int
    complete: bool
    """Whether this round came to its end."""
    pages: int
    unchanged_pages: int
    requests: int
    retries: int
    received_bytes: int

    @property
    def difference(self) -> int:
        """0, or the books are wrong."""
        return self.discovered - (self.kept + self.duplicates + self.refused + self.failed + self.pending)


async def crawl(
    spec: Spec,
    out: Path,
    settings: CrawlSettings,
    *,
    limit: int | None = None,
    stop: asyncio.Event | None = None,
    progress: Progress = lambda stage, done, total: None,
    fetcher: Fetcher | None = None,
) -> Summary:
    """Crawl a gallery into the dataset at `out`, or go on with it.

    Args:
        spec: the gallery.
        out: a folder of its own. A crawl that was interrupted goes on; one that came to its end begins a new
            round, which takes what is new in the gallery and what failed before. A picture that was fetched
            is not fetched again.
        settings: manners and limits.
        limit: pictures discovered at most, over all runs.
        stop: set it to end early; what is in flight is dropped, all that is recorded stays.
        progress: told of pictures that are done.
        fetcher: in place of the one that the spec and the settings make; it is closed in the end.

    Raises:
        BadInput: `out` holds another crawl, or the settings name no contact.
        LedgerLocked: another process crawls into `out`.
        StageFailed: `out` cannot be written, e.g. a full disk.
    """
    identity = {"crawler": VERSION, "spec": spec.id, "duplicate_bits": settings.duplicate_bits}
    identity["shard_rows"] = settings.shard_rows
    guard = Guard(spec.allowed_hosts, allow_private=spec.allow_private)
    async with fetcher or Fetcher(settings, guard) as fetcher:
        _refuse_foreign(out)
        async with FileLog(out / LOG) as log:
            _sweep(out)
            frontier = await Frontier.open(log, identity)
            writer = DatasetWriter(str(out), versions={name: str(value) for name, value in identity.items()})
            catalogue = Catalogue(writer, out, spec.name, settings.duplicate_bits, settings.shard_rows)
            lister = Lister(spec, settings, fetcher, frontier, limit)
            run = _Run(spec, out, settings, fetcher, frontier, catalogue, lister, progress)
            complete = await run.until(stop or asyncio.Event())
            return _summary(run, writer, complete)


class _Run:
    """One process' part of a round."""

    def __init__(
        self,
        spec: Spec,
        out: Path,
        settings: CrawlSettings,
        fetcher: Fetcher,
        frontier: Frontier,
        catalogue: Catalogue,
        lister: Lister,
        progress: Progress,
    ) -> None:
        self.spec = spec
        self.out = out
        self.fetcher = fetcher
        self.frontier = frontier
        self.catalogue = catalogue
        self.lister = lister
        self.round = frontier.round
        self._want = want_picture(settings.max_picture_bytes)
        self._progress = progress
        self._slots = asyncio.Semaphore(settings.in_flight)
        self._deciding = asyncio.Lock()
        self._records: set[asyncio.Task[None]] = set()

    async def until(self, stop: asyncio.Event) -> bool:
        """Work until the round is at its end or `stop` is set; whether it came to its end."""
        work = asyncio.create_task(self._round())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                with suppress(asyncio.CancelledError):
                    await work
            if not work.cancelled():
                work.result()
            return not work.cancelled()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            stopped.cancel()
            work.cancel()
            # What has been handed to the log is on the disk a moment later: count it, too.
            await asyncio.gather(work, *self._records, return_exceptions=True)

    async def _round(self) -> None:
        await self._decide()
        await self.frontier.requeue()
        async with asyncio.TaskGroup() as group:
            for entry in self.frontier.pending:
                await self._start(group, entry)
            async for entries in self.lister.walk():
                for entry in entries:
                    if entry.outcome is None:
                        await self._start(group, entry)
                await self._decide()
        await self._decide()
        await self.catalogue.close_round()
        await self.frontier.finish()

    async def _start(self, group: asyncio.TaskGroup, entry: Entry) -> None:
        """Begin with an entry as soon as there is a slot."""
        await self._slots.acquire()
        group.create_task(self._fetch(entry)).add_done_callback(lambda _: self._slots.release())

    async def _fetch(self, entry: Entry) -> None:
        outcome: Outcome = FETCHED
        try:
            answer = await self.fetcher.get(entry.item.url, self._want)
            facts = await asyncio.to_thread(keep, answer.body, self.out, self.spec.min_side)
        except Trouble as error:
            outcome = REFUSED if isinstance(error, Refused) else FAILED
            facts = {"reason": str(error)}
            if outcome == FAILED:
                facts["retryable"] = error.retryable
        record = asyncio.create_task(self._settle(entry, outcome, facts))
        self._records.add(record)
        record.add_done_callback(self._records.discard)
        await asyncio.shield(record)

    async def _settle(self, entry: Entry, outcome: Outcome, facts: dict[str, Any]) -> None:
        await self.frontier.settle(entry, outcome, facts)
        await self._decide()

    async def _decide(self) -> None:
        async with self._deciding:
            await self.frontier.mark_duplicates(await self.catalogue.advance(self.frontier.entries))
        self._progress("pictures", self.catalogue.decided, len(self.frontier.entries))


def _summary(run: _Run, writer: DatasetWriter, complete: bool) -> Summary:
    frontier, catalogue = run.frontier, run.catalogue
    # A picture that failed and came again counts once, as what became of it last.
    last = {entry.item.id: (place, entry) for place, entry in enumerate(frontier.entries)}
    ended = [entry for place, entry in last.values() if place < catalogue.decided]
    outcomes = Counter(entry.outcome for entry in ended)
    reasons = Counter(entry.facts["reason"][:60] for entry in ended if entry.outcome != FETCHED)
    return Summary(
        discovered=len(frontier.latest),
        kept=catalogue.kept,
        duplicates=catalogue.duplicates,
        refused=outcomes[REFUSED],
        failed=outcomes[FAILED],
        pending=len(last) - len(ended),
        skipped_details=frontier.skipped,
        in_dataset=writer.manifest.rows,
        reasons=dict(reasons.most_common(20)),
        troubles=tuple(run.lister.troubles),
        round=run.round,
        complete=complete,
        pages=run.lister.pages,
        unchanged_pages=run.lister.unchanged,
        requests=run.fetcher.requests,
        retries=run.fetcher.retried,
        received_bytes=run.fetcher.received,
    )


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is no folder; accepted: a new folder, or one of a crawl that is to go on")
    if out.is_dir() and any(out.iterdir()) and not (out / LOG).exists():
        raise BadInput(f"{out} holds other files; accepted: a new folder, or one of a crawl that is to go on")


def _sweep(out: Path) -> None:
    """Remove the half-written pictures that a killed process left."""
    for path in out.glob("pictures/*/.*.tmp"):
        path.unlink(missing_ok=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
