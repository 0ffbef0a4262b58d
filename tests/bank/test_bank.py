import asyncio
from dataclasses import dataclass, field
from typing import Any

from actors.bank.bank import DAY_S, KIND, PromptBank
from actors.contracts import Event, Memory, Query
from configs.bank import BankSettings


@dataclass
class ListLog:
    """An event log in a list."""

    events: list[Event] = field(default_factory=list)

    async def append(self, events: Any) -> list[int]:
        self.events += events
        return list(range(len(self.events) - len(events) + 1, len(self.events) + 1))

    async def read(self, offset: int, limit: int, kinds: Any = None) -> list[tuple[int, Event]]:
        return list(enumerate(self.events, 1))[offset : offset + limit]


def memory(name: str, query: str, *, admitted: bool = True, reward: float = 0.9, time: float = 0.0) -> Memory:
    lang = Query.of(query).lang
    return Memory(
        id=name, query=query, lang=lang, aspect="1:1", prompt=f"{query}, {name}", reward=reward,
        admitted=admitted, causes=() if admitted else ("color",), time=time,
    )  # fmt: skip


def bank(log: ListLog | None = None, now: float = 0.0, **settings: Any) -> PromptBank:
    return PromptBank(BankSettings(**settings), log, clock=lambda: now)  # type: ignore[arg-type]


def test_recalls_the_likest_success_and_failure() -> None:
    known = bank(good=1, bad=1)
    asyncio.run(known.remember([
        memory("a", "a calm lighthouse"), memory("b", "a festive rocket"),
        memory("c", "a lonely lighthouse", admitted=False), memory("d", "retro bicycle", admitted=False),
    ]))  # fmt: skip
    recall = known.recall(Query.of("a lighthouse, calm"))
    assert [m.id for m in recall.good] == ["a"]
    assert [m.id for m in recall.bad] == ["c"]


def test_a_chinese_query_recalls_english_memories() -> None:
    known = bank(good=1)
    asyncio.run(known.remember([memory("a", "a calm lighthouse"), memory("b", "a festive rocket")]))
    assert known.recall(Query.of("宁静的灯塔")).good[0].id == "a"


def test_stale_entries_decay() -> None:
    entries = [
        memory("old", "a calm lake", time=0.0),
        memory("new", "a calm lake", time=60 * DAY_S, reward=0.5),
    ]
    known = bank(good=1, now=60 * DAY_S, half_life_days=30.0)
    asyncio.run(known.remember(entries))
    assert known.recall(Query.of("a calm lake")).good[0].id == "new"
    patient = bank(good=1, now=60 * DAY_S, half_life_days=3000.0)
    asyncio.run(patient.remember(entries))
    assert patient.recall(Query.of("a calm lake")).good[0].id == "old"


def test_the_log_rebuilds_the_bank() -> None:
    log = ListLog()
    asyncio.run(bank(log).remember([memory("a", "a calm lake"), memory("b", "a boat", admitted=False)]))
    again = bank(log)
    assert asyncio.run(again.replay()) == 2
    assert asyncio.run(again.replay()) == 0
    assert again.recall(Query.of("a lake")).good[0].id == "a"
    assert all(event.kind == KIND for event in log.events)


def test_remembering_twice_changes_nothing() -> None:
    log = ListLog()
    known = bank(log)
    asyncio.run(known.remember([memory("a", "a lake")]))
    asyncio.run(known.remember([memory("a", "a lake", time=5.0)]))
    assert len(known) == len(log.events) == 1


def test_a_full_bank_forgets_the_least_worth() -> None:
    known = bank(capacity=10, good=20)
    asyncio.run(known.remember([memory(f"m{i}", "a lake", reward=i / 20) for i in range(20)]))
    assert len(known) <= 10
    assert {m.id for m in known.recall(Query.of("a lake")).good} >= {"m19", "m18"}
