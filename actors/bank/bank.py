"""PromptBank: what worked and what failed, recalled for a query in Chinese or English.

A projection of the ledger: `remember` appends events, `replay` rebuilds the bank from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from actors.context import context_of
from actors.contracts import Event, Memory, Query, Recall
from actors.index import LexicalIndex
from actors.ledger import EventLog
from configs.bank import BankSettings

KIND = "bank.remembered"
DAY_S = 86_400.0
FORGOTTEN_SHARE = 0.1
"""Share of a full bank that is forgotten at once, so that forgetting is rare."""


class PromptBank:
    """Recall and remember. One instance a process; the log behind it is what lasts."""

    def __init__(
        self, settings: BankSettings, log: EventLog | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._memories: dict[str, Memory] = {}
        self._good = LexicalIndex()
        self._bad = LexicalIndex()
        self._offset = 0

    def __len__(self) -> int:
        return len(self._memories)

    def recall(self, query: Query) -> Recall:
        """The likest successes and failures, best first; a memory's weight halves every half-life."""
        text = _document(query)
        return Recall(
            good=self._search(self._good, text, self._settings.good),
            bad=self._search(self._bad, text, self._settings.bad),
        )

    async def remember(self, memories: Sequence[Memory]) -> None:
        """Write memories to the log, then know them. Remembering the same one twice changes nothing."""
        fresh = [memory for memory in memories if memory.id not in self._memories]
        if fresh and self._log is not None:
            await self._log.append([_event(memory) for memory in fresh])
        for memory in fresh:
            self._learn(memory)

    async def replay(self) -> int:
        """Learn what others wrote to the log since the last call; return how many entries were read."""
        read = 0
        while self._log is not None and (batch := await self._log.read(self._offset, 1000, kinds=[KIND])):
            for offset, event in batch:
                self._learn(Memory.model_validate({**event.payload, "time": event.time}))
                self._offset = offset
            read += len(batch)
        return read

    def _learn(self, memory: Memory) -> None:
        if memory.id in self._memories:
            return
        self._memories[memory.id] = memory
        index = self._good if memory.admitted else self._bad
        index.add(memory.id, _document(Query.of(memory.query, aspect=memory.aspect, lang=memory.lang)))
        if len(self._memories) > self._settings.capacity:
            self._forget()

    def _forget(self) -> None:
        keep = max(1, int(self._settings.capacity * (1 - FORGOTTEN_SHARE)))
        ranked = sorted(self._memories.values(), key=self._weight, reverse=True)
        for memory in ranked[keep:]:
            del self._memories[memory.id]
            (self._good if memory.admitted else self._bad).remove(memory.id)

    def _search(self, index: LexicalIndex, text: str, k: int) -> tuple[Memory, ...]:
        found = index.search(text, 4 * k) if k else []
        ranked = sorted(
            ((score * self._weight(self._memories[key]), key) for key, score in found),
            key=lambda x: (-x[0], x[1]),
        )
        return tuple(self._memories[key] for _, key in ranked[:k])

    def _weight(self, memory: Memory) -> float:
        age_days = max(0.0, self._clock() - memory.time) / DAY_S
        worth = memory.reward if memory.admitted else 1.0
        return float(worth * 0.5 ** (age_days / self._settings.half_life_days))


async def memories_of(log: EventLog) -> list[Memory]:
    """All memories in a log, in their order."""
    found: list[Memory] = []
    offset = 0
    while batch := await log.read(offset, 1000, kinds=[KIND]):
        found += [Memory.model_validate({**event.payload, "time": event.time}) for _, event in batch]
        offset = batch[-1][0]
    return found


def _document(query: Query) -> str:
    """A query's own words, and its situation in words that both languages share."""
    return " ".join((query.text, *context_of(query).tags()))


def _event(memory: Memory) -> Event:
    payload = memory.model_dump(mode="json", exclude={"time"})
    return Event(id=memory.id, kind=KIND, payload=payload, actor="bank", time=memory.time)
