"""EventLog on one JSON Lines file: line n holds the event at offset n. One process writes it."""

from __future__ import annotations

import fcntl
import json
import os
from array import array
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from actors.contracts import Event
from actors.errors import StageFailed
from actors.ledger.group_commit import Batch, GroupCommit, Outcome
from actors.ledger.log import EventConflict, LedgerCorrupt, LedgerLocked, check_same, fingerprint


class FileLog:
    """See `EventLog`. The file is locked while it is open; a half-written last line is cut off when opened.

    Raises:
        LedgerLocked: another process has it open.
        LedgerCorrupt: a line in it is not an event.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._lock()
            self._starts = array("q", [0])
            """Where each line starts in the file; the last entry is the file's length."""
            self._known: dict[str, tuple[int, str]] = {}
            self._kinds: list[str] = []
            self._load()
        except BaseException:
            os.close(self._descriptor)
            raise
        if is_new:
            _sync_folder(self.path.parent)
        self._commits = GroupCommit(self._commit, "file")

    async def append(self, events: Sequence[Event]) -> list[int]:
        """See `EventLog.append`."""
        return await self._commits.append(events)

    async def read(
        self, offset: int, limit: int, kinds: Collection[str] | None = None
    ) -> list[tuple[int, Event]]:
        """See `EventLog.read`."""
        found: list[tuple[int, Event]] = await self._commits.run(self._read, offset, limit, kinds)
        return found

    async def tail(self) -> int:
        """See `EventLog.tail`."""
        return len(self._kinds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Unlock and close the file."""
        await self._commits.close(lambda: os.close(self._descriptor))

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerLocked(
                f"{self.path} is open in another process; wait until it ends, or use another run folder"
            ) from None

    def _load(self) -> None:
        with self.path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                try:
                    event = Event.model_validate_json(line)
                except ValidationError as error:
                    raise LedgerCorrupt(
                        f"{self.path}, line {len(self._kinds) + 1}, is not an event: "
                        f"{error.errors()[0]['msg']}; restore the file from a copy"
                    ) from None
                self._remember(event, len(line))
        # A crash in mid-append leaves the rest of a line that nobody was told is safe.
        os.ftruncate(self._descriptor, self._starts[-1])

    def _remember(self, event: Event, size: int) -> None:
        self._kinds.append(event.kind)
        self._known[event.id] = (len(self._kinds), fingerprint(event))
        self._starts.append(self._starts[-1] + size)

    def _commit(self, batches: list[Batch]) -> list[Outcome]:
        fresh: dict[str, Event] = {}
        outcomes: list[Outcome] = [self._admit(batch, fresh) for batch in batches]
        if fresh:
            lines = [_line(event) for event in fresh.values()]
            self._write(b"".join(lines))
            for event, line in zip(fresh.values(), lines, strict=True):
                self._remember(event, len(line))
        return outcomes

    def _admit(self, batch: Batch, fresh: dict[str, Event]) -> Outcome:
        """Offsets of one append's events; those not in the file yet are added to `fresh`."""
        mine: dict[str, Event] = {}
        try:
            for event in batch:
                if event.id in self._known:
                    check_same(event, self._known[event.id][1])
                elif other := fresh.get(event.id) or mine.get(event.id):
                    check_same(event, fingerprint(other))
                else:
                    mine[event.id] = event
        except EventConflict as conflict:
            return conflict
        fresh.update(mine)
        places = {id: len(self._kinds) + n for n, id in enumerate(fresh, 1)}
        return [self._known[e.id][0] if e.id in self._known else places[e.id] for e in batch]

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, self._starts[-1])
            raise StageFailed(
                f"cannot append {len(data)} bytes to {self.path}: {error.strerror}; nothing was written; "
                "free space or mend the disk, then try again"
            ) from None

    def _read(self, offset: int, limit: int, kinds: Collection[str] | None) -> list[tuple[int, Event]]:
        return [(n, self._event(n)) for n in islice(self._places(max(offset, 0), kinds), max(limit, 0))]

    def _places(self, offset: int, kinds: Collection[str] | None) -> Iterator[int]:
        for n in range(offset + 1, len(self._kinds) + 1):
            if kinds is None or self._kinds[n - 1] in kinds:
                yield n

    def _event(self, n: int) -> Event:
        start, end = self._starts[n - 1], self._starts[n]
        return Event.model_validate_json(os.pread(self._descriptor, end - start, start))


def _line(event: Event) -> bytes:
    return json.dumps(event.model_dump(mode="json"), ensure_ascii=False).encode("utf-8") + b"\n"


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
