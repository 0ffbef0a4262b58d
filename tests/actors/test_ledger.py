"""The event log on its hosts: idempotent, durable, owned by one writer."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from actors.contracts import Event
from actors.errors import StageFailed, TimedOut
from actors.ledger import (
    ActorLog,
    EventConflict,
    EventLog,
    FileLog,
    LedgerCorrupt,
    LedgerLocked,
    SqlLog,
    new_id,
    open_log,
)
from actors.ledger.sql_log import EVENTS
from configs.ledger import LedgerSettings

Open = Callable[[], EventLog]


def event(id: str, value: Any = 1, kind: str = "k") -> Event:
    return Event(id=id, kind=kind, payload={"值": value}, actor="test", time=1.5)


@pytest.fixture(params=["file", "sql"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same log again and again."""
    if request.param == "file":
        return lambda: FileLog(tmp_path / "run" / "events.jsonl")
    return lambda: SqlLog(f"sqlite:///{tmp_path}/db/ledger.db")


def test_what_was_appended_is_read_back_in_order_also_after_reopening(opened: Open) -> None:
    async def test() -> None:
        log = opened()
        assert await log.tail() == 0 and await log.read(0, 10) == []
        assert await log.append([event("a"), event("b", kind="other")]) == [1, 2]
        assert await log.append([event("c", {"deep": [1.5, None, "月"]})]) == [3]
        assert await log.append([]) == []
        await log.close()
        with pytest.raises(StageFailed, match="closed"):
            await log.append([event("d")])
        log = opened()
        everything = await log.read(0, 10)
        assert everything == [
            (1, event("a")),
            (2, event("b", kind="other")),
            (3, event("c", {"deep": [1.5, None, "月"]})),
        ]
        assert await log.read(1, 1) == everything[1:2]
        assert await log.read(0, 10, kinds=["k"]) == [everything[0], everything[2]]
        assert await log.read(0, 1, kinds={"other"}) == [everything[1]]
        assert await log.read(3, 10) == await log.read(0, 0) == await log.read(0, 5, kinds=[]) == []
        assert await log.tail() == 3
        await log.close()

    asyncio.run(test())


def test_a_repeated_append_is_answered_again_and_another_content_is_refused(opened: Open) -> None:
    async def test() -> None:
        log = opened()
        assert await log.append([event("a"), event("b")]) == [1, 2]
        assert await log.append([event("b"), event("c"), event("a"), event("c")]) == [2, 3, 1, 3]
        for wrong in (event("a", 2), event("a", kind="other")):
            with pytest.raises(EventConflict, match="event a"):
                await log.append([event("new"), wrong])
        with pytest.raises(EventConflict):
            await log.append([event("new", 1), event("new", 2)])
        assert await log.tail() == 3
        await log.close()
        log = opened()
        assert await log.append([event("c"), event("d")]) == [3, 4]
        with pytest.raises(EventConflict):
            await log.append([event("a", 2)])
        await log.close()

    asyncio.run(test())


def test_concurrent_appends_share_commits_and_a_conflict_hurts_only_its_own(opened: Open) -> None:
    async def test() -> None:
        log = opened()
        commits = 0
        commit = log._commits._commit  # type: ignore[attr-defined]

        def counting(batches: Any) -> Any:
            nonlocal commits
            commits += 1
            return commit(batches)

        log._commits._commit = counting  # type: ignore[attr-defined]
        batches = [[event(f"{i}-{j}") for j in range(3)] for i in range(50)]
        batches[7] = [event("7-0"), event("0-0", "another")]
        appends = (log.append(batch) for batch in batches)
        answers = await asyncio.gather(*appends, return_exceptions=True)
        assert isinstance(answers.pop(7), EventConflict)
        assert sorted(chain.from_iterable(answers)) == list(range(1, 148))  # type: ignore[arg-type]
        assert commits <= 2
        ids = [entry.id for _, entry in await log.read(0, 1000)]
        assert len(ids) == len(set(ids)) == 147
        assert "7-0" not in ids
        await log.close()

    asyncio.run(test())


def test_a_second_process_is_told_that_the_log_is_open(opened: Open) -> None:
    async def test() -> None:
        log = opened()
        await log.append([event("a")])
        with pytest.raises(LedgerLocked, match="open in another process"):
            opened()
        await log.close()
        await opened().close()

    asyncio.run(test())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400))
def test_a_file_cut_anywhere_opens_with_the_whole_lines_before(cut: int) -> None:
    path = Path(f"/tmp/atelier-{uuid.uuid4().hex}.jsonl")

    async def test() -> None:
        async with FileLog(path) as log:
            await log.append([event("a"), event("b"), event("c")])
        data = path.read_bytes()
        path.write_bytes(data[:cut])
        whole = data[:cut].count(b"\n")
        async with FileLog(path) as log:
            assert [entry.id for _, entry in await log.read(0, 9)] == ["a", "b", "c"][:whole]
            assert await log.append([event("d")]) == [whole + 1]
        lines = path.read_bytes().splitlines()
        assert [json.loads(line)["id"] for line in lines] == [*["a", "b", "c"][:whole], "d"]

    try:
        asyncio.run(test())
    finally:
        path.unlink(missing_ok=True)


def test_a_line_that_was_edited_is_named(tmp_path: Path) -> None:
    async def test() -> None:
        async with FileLog(tmp_path / "e.jsonl") as log:
            await log.append([event("a"), event("b", 1)])

    asyncio.run(test())
    path = tmp_path / "e.jsonl"
    path.write_text(path.read_text("utf-8").replace('{"值": 1}', '{"值": 2}'), "utf-8")
    with pytest.raises(LedgerCorrupt, match=r"e.jsonl, line 1, is not an event"):
        FileLog(path)


def test_a_full_disk_is_one_clear_error_and_nothing_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with FileLog(tmp_path / "e.jsonl") as log:
            await log.append([event("a")])
            before = log.path.read_bytes()
            write = os.write

            def full(descriptor: int, data: Any) -> int:
                if len(data) < 60:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(descriptor, data[:60])

            monkeypatch.setattr(os, "write", full)
            with pytest.raises(StageFailed, match=r"No space left on device; nothing was written"):
                await log.append([event("b")])
            assert log.path.read_bytes() == before
            monkeypatch.setattr(os, "write", write)
            assert await log.append([event("b")]) == [2]

    asyncio.run(test())


CHAOS = """
import asyncio, sys
from actors.contracts import Event
from actors.ledger import FileLog, SqlLog
async def main():
    log = FileLog(sys.argv[1]) if sys.argv[1].endswith("jsonl") else SqlLog(sys.argv[1])
    async def client(name):
        for n in range(100000):
            ids = [f"{name}-{n}-{i}" for i in range(3)]
            await log.append([Event(id=id, kind="k", payload={"n": n}, time=0.0) for id in ids])
            print("\\n".join(ids), flush=True)
    await asyncio.gather(*(client(name) for name in range(8)))
asyncio.run(main())
"""


@pytest.mark.chaos
def test_sigkill_in_mid_append_loses_nothing_acknowledged(opened: Open) -> None:
    async def prepare() -> str:
        log = opened()
        await log.close()
        return str(log.path) if isinstance(log, FileLog) else str(log.url)  # type: ignore[attr-defined]

    target = asyncio.run(prepare())
    process = subprocess.Popen([sys.executable, "-c", CHAOS, target], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split("\n")
    process.wait()
    acknowledged += [line for line in rest[:-1] if line]

    async def check() -> None:
        log = opened()
        entries = await log.read(0, 10**6)
        assert [offset for offset, _ in entries] == list(range(1, len(entries) + 1))
        ids = [entry.id for _, entry in entries]
        assert len(ids) == len(set(ids))
        assert set(acknowledged) <= set(ids)
        await log.close()

    asyncio.run(check())


@pytest.mark.ray
@pytest.mark.chaos
def test_the_actor_is_shared_and_its_death_loses_nothing(ray_session: str, tmp_path: Path) -> None:
    chosen = LedgerSettings(url=f"sqlite:///{tmp_path}/ledger.db", timeout_s=60)
    import ray

    async def test() -> None:
        log, other = open_log(chosen), open_log(chosen)
        assert isinstance(log, ActorLog)
        assert await log.append([event("a"), event("b", kind="other")]) == [1, 2]
        assert await other.append([event("b", kind="other"), event("c")]) == [2, 3]
        with pytest.raises(EventConflict, match=r"^event a is in the ledger"):
            await other.append([event("a", 2)])
        ray.kill(ray.get_actor(log.name, namespace="atelier"), no_restart=False)
        answers = await asyncio.gather(*(log.append([event(f"e{i}")]) for i in range(20)))
        assert sorted(chain.from_iterable(answers)) == list(range(4, 24))
        assert await other.tail() == 23
        assert [entry.id for _, entry in await other.read(0, 2, kinds=["k"])] == ["a", "c"]

    try:
        asyncio.run(test())
    finally:
        ray.kill(ray.get_actor(ActorLog(chosen.url).name, namespace="atelier"))


@pytest.mark.ray
def test_an_actor_that_does_not_answer_is_named(ray_session: str, tmp_path: Path) -> None:
    import ray

    log = ActorLog(f"sqlite:///{tmp_path}/slow.db", timeout_s=0.001)
    with pytest.raises(TimedOut, match=f"{log.name}.*within 0.001 s"):
        asyncio.run(log.tail())
    ray.kill(ray.get_actor(log.name, namespace="atelier"))


def test_a_run_has_its_own_log_whatever_the_shared_one_is(tmp_path: Path) -> None:
    log = open_log(LedgerSettings(), tmp_path)
    assert isinstance(log, FileLog) and log.path == tmp_path / "events.jsonl"
    asyncio.run(log.close())


@pytest.mark.parametrize("url", ["", "runs/ledger.db", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_url_without_a_database_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="accepted"):
        LedgerSettings(url=url)


def test_a_database_that_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StageFailed, match=r"cannot open the ledger sqlite:.*unable to open"):
        SqlLog(f"sqlite:///{tmp_path}/folder.db")


def test_the_tables_are_valid_on_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    ddl = str(CreateTable(EVENTS).compile(dialect=dialect))
    assert '"offset" BIGINT NOT NULL' in ddl and "SERIAL" not in ddl
    assert 'ON events (kind, "offset")' in str(
        CreateIndex(next(iter(EVENTS.indexes))).compile(dialect=dialect)
    )


def test_ids_are_version_7_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    early = uuid.UUID(new_id())
    assert (early.version, early.variant) == (7, uuid.RFC_4122)
    monkeypatch.setattr("actors.ledger.log.time.time_ns", lambda: 2_000_000_000 * 10**9)
    late = uuid.UUID(new_id())
    assert late.int >> 80 == 2_000_000_000_000 and str(early) < str(late)
    assert len({new_id() for _ in range(1000)}) == 1000
