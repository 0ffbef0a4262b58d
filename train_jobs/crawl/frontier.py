"""What the crawl knows of every picture: a fold over the events in `frontier.jsonl`.

A *round* is one walk through the gallery, from its start to its end, however often it was interrupted. An
entry is one place in the order of discovery; a picture that failed takes a new place in the next round.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from actors.contracts import Event, content_id
from actors.errors import BadInput
from actors.ledger import EventLog

STARTED, FINISHED, PAGE, SKIPPED = "crawl.started", "crawl.finished", "crawl.page", "crawl.skipped"
DISCOVERED, REQUEUED, DUPLICATE = "crawl.discovered", "crawl.requeued", "crawl.duplicate"
FETCHED: Final = "crawl.fetched"
REFUSED: Final = "crawl.refused"
FAILED: Final = "crawl.failed"
Outcome = Literal["crawl.fetched", "crawl.refused", "crawl.failed"]
OUTCOMES: dict[str, Outcome] = {FETCHED: FETCHED, REFUSED: REFUSED, FAILED: FAILED}
Payload = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One picture of the gallery, and what the gallery says of it."""

    id: str
    """`content_id` of the picture's URL."""
    url: str
    page_url: str = ""
    text: str = ""
    author: str = ""
    licence: str = ""


@dataclass
class Entry:
    """A picture at its place in the order of discovery."""

    item: Item
    round: int
    outcome: Outcome | None = None
    facts: Payload = field(default_factory=dict)
    """What was fetched, or why nothing was."""

    @property
    def tried_again(self) -> bool:
        """Whether the next round asks for it again."""
        return self.outcome == FAILED and bool(self.facts["retryable"])


@dataclass
class Chain:
    """How far this round has walked from one start URL."""

    next: str | None
    pages: int = 0


class Frontier:
    """State and log together: what a method has recorded survives any crash."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.round = 1
        self.entries: list[Entry] = []
        self.latest: dict[str, Entry] = {}
        """Picture id -> its last entry."""
        self.chains: dict[int, Chain] = {}
        """Start URL's position -> how far this round has come."""
        self.known_pages: dict[str, Payload] = {}
        """List page URL -> what its last whole reading recorded."""
        self.details: set[str] = set()
        """Ids of the detail pages that were read to their end."""
        self.duplicates: set[str] = set()
        self.skipped = 0
        """Detail pages that could not be had, in this round."""
        self._identity: Payload | None = None

    @classmethod
    async def open(cls, log: EventLog, identity: Mapping[str, Any]) -> Frontier:
        """Fold the log.

        Args:
            log: the crawl's own.
            identity: what makes the result; a crawl goes on only with the same.

        Raises:
            BadInput: the log belongs to a crawl of another spec or other settings.
        """
        frontier = cls(log)
        offset = 0
        while batch := await log.read(offset, 1000):
            for _, event in batch:
                frontier._apply(event.kind, event.payload)
            offset = batch[-1][0]
        if frontier._identity is None:
            await frontier._record([("started", STARTED, dict(identity))])
        elif frontier._identity != dict(identity):
            changed = [name for name in identity if frontier._identity.get(name) != identity[name]]
            raise BadInput(
                f"the folder holds a crawl made with another {' and '.join(changed)}; accepted: the same "
                "spec and settings, or another folder"
            )
        return frontier

    def visited(self, start: int, url: str) -> bool:
        """Whether this round has read a list page on its way from the start URL at this position."""
        page = self.known_pages.get(url)
        return page is not None and (page["round"], page["start"]) == (self.round, start)

    @property
    def pending(self) -> list[Entry]:
        """Entries without an outcome, in order."""
        return [entry for entry in self.entries if entry.outcome is None]

    async def requeue(self) -> None:
        """Give the pictures that failed in earlier rounds a place in this one."""
        again = [e for e in self.latest.values() if e.tried_again and e.round < self.round]
        await self._record(
            (f"requeued-{self.round}-{e.item.id}", REQUEUED, {"id": e.item.id, "round": self.round})
            for e in again
        )

    async def discover(
        self, items: Sequence[tuple[Item, str]], skipped: Sequence[tuple[str, str]], page: Payload
    ) -> list[Entry]:
        """Record a list page and what is new on it, with the reason where an item is refused at once.

        `page` has the fields `start`, `url`, `next`, `etag`, `last_modified`, `details`.
        """
        first = len(self.entries)
        events = []
        for item, reason in items:
            events.append((f"discovered-{item.id}", DISCOVERED, {**asdict(item), "round": self.round}))
            if reason:
                events.append((f"refused-{item.id}", REFUSED, {"id": item.id, "reason": reason}))
        for url, reason in skipped:
            name = f"skipped-{self.round}-{content_id(url)}"
            events.append((name, SKIPPED, {"url": url, "reason": reason, "round": self.round}))
        name = f"page-{self.round}-{page['start']}-{content_id(page['url'])}"
        events.append((name, PAGE, {**page, "round": self.round}))
        await self._record(events)
        return self.entries[first:]

    async def settle(self, entry: Entry, outcome: Outcome, facts: Payload) -> None:
        """Record what became of an entry."""
        name = outcome.rpartition(".")[2] + (f"-{entry.round}" if outcome == FAILED else "")
        await self._record([(f"{name}-{entry.item.id}", outcome, {"id": entry.item.id, **facts})])

    async def mark_duplicates(self, found: Sequence[tuple[Item, str, int]]) -> None:
        """Record pictures that another one, of the given id and so many bits away, makes superfluous."""
        await self._record(
            (f"duplicate-{item.id}", DUPLICATE, {"id": item.id, "of": other, "bits": bits})
            for item, other, bits in found
            if item.id not in self.duplicates
        )

    async def finish(self) -> None:
        """Record that this round came to its end."""
        await self._record([(f"finished-{self.round}", FINISHED, {"round": self.round})])

    async def _record(self, events: Any) -> None:
        made = [
            Event(id=name, kind=kind, payload=payload, actor="crawl", time=time.time())
            for name, kind, payload in events
        ]
        await self._log.append(made)
        for event in made:
            self._apply(event.kind, event.payload)

    def _apply(self, kind: str, payload: Payload) -> None:
        if kind == STARTED:
            self._identity = payload
        elif kind == DISCOVERED:
            fields = {name: value for name, value in payload.items() if name != "round"}
            self._enter(Item(**fields), payload["round"])
        elif kind == REQUEUED:
            self._enter(self.latest[payload["id"]].item, payload["round"])
        elif kind in OUTCOMES:
            entry = self.latest[payload["id"]]
            entry.outcome, entry.facts = OUTCOMES[kind], payload
        elif kind == DUPLICATE:
            self.duplicates.add(payload["id"])
        elif kind == PAGE:
            pages = self.chains.get(payload["start"], Chain(None)).pages + 1
            self.chains[payload["start"]] = Chain(payload["next"], pages)
            self.details.update(payload["details"])
            self.known_pages[payload["url"]] = payload
        elif kind == SKIPPED:
            self.skipped += 1
        elif kind == FINISHED:
            self.round, self.chains, self.skipped = payload["round"] + 1, {}, 0

    def _enter(self, item: Item, number: int) -> None:
        entry = Entry(item, number)
        self.entries.append(entry)
        self.latest[item.id] = entry
