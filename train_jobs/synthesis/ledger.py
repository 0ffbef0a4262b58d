"""What a synthesis writes into the ledger, and the state that it reads back."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from actors.contracts import Event
from actors.errors import BadInput
from actors.ledger import EventLog
from train_jobs.synthesis.outcome import Failed
from train_jobs.synthesis.selection import Taken

STARTED = "synthesis.started"
LEASED = "shard.leased"
DONE = "shard.done"
_PAGE = 1000


@dataclass
class Counts:
    """Samples by what became of them: `examined` is the sum of the others."""

    examined: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By reason: no pair came about, or it was turned away."""
    quarantined: Counter[str] = field(default_factory=Counter)
    """By stage and kind of the failure."""

    @property
    def difference(self) -> int:
        """0 when every sample is accounted for."""
        return self.examined - self.accepted - self.refused.total() - self.quarantined.total()

    def add(self, other: Counts) -> None:
        """Count another shard's samples too."""
        self.examined += other.examined
        self.accepted += other.accepted
        self.refused.update(other.refused)
        self.quarantined.update(other.quarantined)

    def json(self) -> dict[str, Any]:
        """As it stands in the ledger and in the summary."""
        return {
            "examined": self.examined,
            "accepted": self.accepted,
            "refused": dict(sorted(self.refused.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Counts:
        """Back from `json`."""
        return cls(data["examined"], data["accepted"], Counter(data["refused"]), Counter(data["quarantined"]))


@dataclass
class Past:
    """What earlier runs of the same spec have finished."""

    next: int = 0
    """Index of the first sample that is not decided."""
    taken: Taken = field(default_factory=Taken)
    counts: Counts = field(default_factory=Counts)
    leased: set[int] = field(default_factory=set)
    """First indexes of shards that were begun and not finished: they are made again."""
    runs: int = 0
    pictures: int = 0
    """Pictures that can have been drawn at most: a shard counts from its lease on."""


async def read_past(log: EventLog, spec_id: str) -> Past:
    """The state that the ledger tells.

    Raises:
        BadInput: the ledger is another spec's.
    """
    past, offset = Past(), 0
    while batch := await log.read(offset, _PAGE):
        for position, event in batch:
            offset = position
            if event.kind == STARTED:
                _check(event, spec_id)
                past.runs += 1
            elif event.kind == LEASED:
                past.leased.add(event.payload["first"])
                past.pictures += 2 * (event.payload["end"] - event.payload["first"])
            elif event.kind == DONE:
                past.leased.discard(event.payload["first"])
                past.next = event.payload["next"]
                past.taken = Taken(**event.payload["taken"])
                past.counts.add(Counts.of_json(event.payload["counts"]))
    return past


def started(spec_id: str, owner: str, pairs: int) -> Event:
    """A run begins."""
    return _event(f"{spec_id}-started-{owner}", STARTED, {"spec": spec_id, "pairs": pairs}, owner)


def leased(spec_id: str, owner: str, first: int, end: int) -> Event:
    """A run has begun the samples `first` to `end - 1`."""
    return _event(f"{spec_id}-leased-{first}-{owner}", LEASED, {"first": first, "end": end}, owner)


def done(
    spec_id: str, owner: str, first: int, end: int, counts: Counts, taken: Taken, failed: list[Failed]
) -> Event:
    """The samples `first` to `end - 1` are decided, and the accepted ones are in the manifest."""
    payload = {
        "first": first,
        "next": end,
        "counts": counts.json(),
        "taken": taken.json(),
        "quarantined": [{"id": f.id, **f.failure.model_dump(mode="json")} for f in failed],
    }
    return _event(f"{spec_id}-done-{first}", DONE, payload, owner)


def _check(event: Event, spec_id: str) -> None:
    if event.payload["spec"] != spec_id:
        raise BadInput(
            f"the ledger there is of the spec {event.payload['spec']}, not {spec_id}: other settings, "
            "backends or queries; accepted: the same ones, or another place"
        )


def _event(id: str, kind: str, payload: dict[str, Any], owner: str) -> Event:
    return Event(id=id, kind=kind, payload=payload, actor=f"synthesis-{owner}", time=time.time())
