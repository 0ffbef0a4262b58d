"""What every host of the event log promises, and the identity of events."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from actors.contracts import Event
from actors.errors import AtelierError


class EventConflict(AtelierError):
    """An id came back with another content. Example: a client that reuses ids."""


class LedgerLocked(AtelierError):
    """Another process has the ledger open. Example: the same run resumed twice at once."""


class LedgerCorrupt(AtelierError):
    """The ledger holds what no append wrote. Example: a log that was edited by hand."""


@runtime_checkable
class EventLog(Protocol):
    """An append-only log. Offsets start at 1, have no gaps, and their order is the order of commits."""

    async def append(self, events: Sequence[Event]) -> list[int]:
        """Write events and return their offsets; what it has returned survives any crash.

        An event that is there already (same id, kind and payload) is not written again: its old offset
        is returned, so that a retry is harmless. All events of one call are refused together.

        Raises:
            EventConflict: an id is there with another kind or payload.
            StageFailed: the storage refused the write, e.g. a full disk. Nothing was written.
        """
        ...

    async def read(
        self, offset: int, limit: int, kinds: Collection[str] | None = None
    ) -> list[tuple[int, Event]]:
        """At most `limit` events behind `offset` (0 = from the start), only of the kinds if given."""
        ...

    async def tail(self) -> int:
        """The offset of the last event; 0 when there is none."""
        ...

    async def close(self) -> None:
        """Free what the log holds. What is appended is safe without it."""
        ...


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance; sorts by time of making."""
    milliseconds = time.time_ns() // 1_000_000
    chance = secrets.randbits(76)
    value = (milliseconds & (1 << 48) - 1) << 80 | chance
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def fingerprint(event: Event) -> str:
    """What must be equal when an id comes back."""
    return f"{event.kind} {event.payload_hash}"


def check_same(event: Event, known: str) -> None:
    """Compare an event with the fingerprint that is stored under its id.

    Raises:
        EventConflict: they differ.
    """
    if known != fingerprint(event):
        raise EventConflict(
            f"event {event.id} is in the ledger as {known[:80]!r} and came again as "
            f"{fingerprint(event)[:80]!r}; accepted: the same content, or a new id"
        )
