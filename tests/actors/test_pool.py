"""WorkerPool on a real Ray: order, retries, deaths, timeouts, back-pressure."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import ValidationError

from actors.contracts import Failure, Query
from actors.errors import BadInput, StageFailed, TimedOut
from actors.pool import WorkerPool
from actors.pool.room import room_on
from configs.pool import PoolSettings


class Sloppy:
    """A worker with every vice. `log` is a folder in which each execution of an item leaves a mark."""

    version = "sloppy-1"

    def __init__(self, mood: str = "") -> None:
        if mood == "refuses":
            raise RuntimeError("no weights here")

    def double(self, items: Sequence[int], times: int = 2) -> list[int]:
        return [item * times for item in items]

    def add(self, left: Sequence[int], right: Sequence[int]) -> list[int]:
        return [a + b for a, b in zip(left, right, strict=True)]

    async def later(self, items: Sequence[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return [item + 1 for item in items]

    def poisoned(self, items: Sequence[int], log: Path) -> list[int]:
        for item in items:
            with (log / str(item)).open("a") as stream:
                stream.write("x")
            if item == 13:
                os.kill(os.getpid(), signal.SIGKILL)
        return list(items)

    def picky(self, items: Sequence[Any]) -> list[Any]:
        if 13 in items:
            raise ValueError("13 is not accepted")
        return list(items)

    def short(self, items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    def threads(self, items: Sequence[int]) -> list[tuple[str | None, str | None, int]]:
        import cv2

        found = tuple(os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "OPENBLAS"))
        return [(*found, cv2.getNumThreads())] * len(items)  # type: ignore[list-item]

    def pid(self, items: Sequence[int]) -> list[int]:
        return [os.getpid()] * len(items)

    async def hang(self, items: Sequence[int]) -> list[int]:
        if 13 in items:
            await asyncio.Event().wait()
        return list(items)

    def unpicklable(self, items: Sequence[int]) -> list[Any]:
        return [(item for item in items)]


class Run(Protocol):
    """Runs a coroutine on the event loop that the tests share."""

    def __call__(self, test: Coroutine[Any, Any, Any]) -> Any: ...


@pytest.fixture(scope="module")
def run(ray_session: str) -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield lambda test: runner.run(asyncio.wait_for(test, 90))


@pytest.fixture(scope="module")
def pool(run: Run) -> Iterator[WorkerPool]:
    shared = WorkerPool("sloppy", Sloppy, PoolSettings(workers=2, batch=4, in_flight=8, retries=2))
    run(shared.start())
    yield shared
    run(shared.close())


@pytest.mark.ray
def test_answers_in_order_with_constants_and_several_batches(run: Run, pool: WorkerPool) -> None:
    async def test() -> None:
        assert await pool.call("double", list(range(21)), times=3) == [3 * i for i in range(21)]
        assert await pool.call("add", [1, 2, 3], (10, 20, 30)) == [11, 22, 33]
        assert await pool.call("later", list(range(9))) == list(range(1, 10))
        assert await pool.call("double", []) == []
        assert len(set(await pool.call("pid", list(range(16))))) == 2
        assert await pool.call("threads", [0]) == [("1", "1", 1)]
        with pytest.raises(ValueError, match="lengths"):
            await pool.call("add", [1], [1, 2])

    run(test())


@pytest.mark.ray
@pytest.mark.chaos
def test_a_poison_item_fails_alone(run: Run, pool: WorkerPool, tmp_path: Path) -> None:
    entries = run(pool.call("poisoned", list(range(20)), log=tmp_path))
    assert [i for i, entry in enumerate(entries) if isinstance(entry, Failure)] == [13]
    assert [entry for entry in entries if not isinstance(entry, Failure)] == [i for i in range(20) if i != 13]
    assert entries[13].attempts == 3
    assert "pool 'sloppy', replica" in entries[13].message
    assert (tmp_path / "13").read_text() == "xxx"
    assert run(pool.call("double", [1, 2])) == [2, 4]


@pytest.mark.ray
@pytest.mark.chaos
def test_what_must_not_happen_twice_is_not_repeated(run: Run, pool: WorkerPool, tmp_path: Path) -> None:
    entries = run(pool.call("poisoned", list(range(10, 22)), idempotent=False, log=tmp_path))
    failed = [i + 10 for i, entry in enumerate(entries) if isinstance(entry, Failure)]
    assert 13 in failed and len(failed) <= 4
    assert all(mark.read_text() == "x" for mark in tmp_path.iterdir())


@pytest.mark.ray
@pytest.mark.chaos
def test_a_killed_replica_loses_nothing(run: Run, pool: WorkerPool) -> None:
    async def test() -> None:
        victim = (await pool.call("pid", [0]))[0]
        restarts = pool.stats().restarts
        seen = {}
        async for index, entry in pool.map("later", range(120)):
            assert index not in seen
            seen[index] = entry
            if len(seen) == 20:
                os.kill(victim, signal.SIGKILL)
        assert seen == {i: i + 1 for i in range(120)}
        assert pool.stats().restarts == restarts + 1

    run(test())


@pytest.mark.ray
def test_an_error_of_the_worker_is_the_failure_of_its_item_alone(run: Run, pool: WorkerPool) -> None:
    query = Query.of("a lake")
    entries = run(pool.call("picky", [1, 2, 13, query, 5]))
    assert entries[:2] + entries[3:] == [1, 2, query, 5]
    assert (entries[2].stage, entries[2].kind, entries[2].attempts) == ("picky", "ValueError", 2)
    assert "13 is not accepted" in entries[2].message
    [missing] = run(pool.call("no_such_method", [query]))
    assert (missing.kind, missing.item_id) == ("AttributeError", query.id)
    [short] = run(pool.call("short", [1]))
    assert short.kind == "WrongLength" and "0 entries for 1 items" in short.message
    [unpicklable] = run(pool.call("unpicklable", [1]))
    assert unpicklable.kind == "TypeError"
    assert run(pool.call("double", [4, 5, 6, 7])) == [8, 10, 12, 14]


@pytest.mark.ray
def test_a_hanging_item_times_out_and_the_message_says_where(run: Run, pool: WorkerPool) -> None:
    entries = run(pool.call("hang", [1, 13, 3, 4], timeout_s=0.5))
    assert [entries[i] for i in (0, 2, 3)] == [1, 3, 4]
    assert entries[1].kind == "TimedOut" and entries[1].attempts == 3
    assert "pool 'sloppy', replica" in entries[1].message and "last error" in entries[1].message


@pytest.mark.ray
def test_map_takes_no_more_than_in_flight_from_its_source(run: Run, pool: WorkerPool) -> None:
    taken = 0

    async def source() -> AsyncIterator[tuple[int, int]]:
        nonlocal taken
        for i in range(200):
            taken += 1
            yield i, 1000

    async def test() -> None:
        done = most = 0
        async for index, entry in pool.map("add", source(), unpack=True):
            assert entry == index + 1000
            most = max(most, taken - done)
            done += 1
        assert done == 200 and 4 < most <= 8

    run(test())


@pytest.mark.ray
def test_a_map_left_early_frees_its_replicas(run: Run, pool: WorkerPool) -> None:
    async def test() -> None:
        stream = pool.map("later", range(100))
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]
        assert await pool.call("double", list(range(16))) == [2 * i for i in range(16)]
        assert pool.stats().queued == pool.stats().running == 0

    run(test())


@pytest.mark.ray
@pytest.mark.chaos
def test_drain_waits_and_close_fails_what_is_left(run: Run) -> None:
    async def test() -> None:
        pool = WorkerPool("short-lived", Sloppy, PoolSettings(workers=1, batch=2, restarts=0))
        await pool.start()
        later = asyncio.create_task(pool.call("later", [1, 2, 3]))
        hanging = asyncio.create_task(pool.call("hang", [13, 14, 15, 16]))
        await asyncio.sleep(0)
        with pytest.raises(TimedOut, match="still had 4 items"):
            await pool.drain(0.3)
        assert await later == [2, 3, 4]
        with pytest.raises(StageFailed, match="draining"):
            await pool.call("double", [1])
        await pool.close()
        await pool.close()
        assert [type(entry) for entry in await hanging] == [Failure] * 4

    run(test())


@pytest.mark.ray
@pytest.mark.chaos
def test_a_pool_without_replicas_says_why(run: Run, tmp_path: Path) -> None:
    async def test() -> None:
        pool = WorkerPool("doomed", Sloppy, PoolSettings(workers=1, restarts=0))
        await pool.start()
        entries = await pool.call("poisoned", [13, 1], log=tmp_path)
        assert all("doomed" in entry.message and "no replica left" in entry.message for entry in entries)
        with pytest.raises(StageFailed, match="no replica left"):
            await pool.call("double", [1])
        with pytest.raises(StageFailed, match="no replica left"):
            await anext(aiter(pool.map("double", [1])))
        await pool.close()

    run(test())


@pytest.mark.ray
def test_a_worker_that_cannot_be_built_is_one_clear_error(run: Run) -> None:
    pool = WorkerPool("broken", functools.partial(Sloppy, "refuses"), PoolSettings(workers=1))
    with pytest.raises(StageFailed, match=r"'broken', replica 0.*RuntimeError: no weights here"):
        run(pool.start())


@pytest.mark.ray
def test_what_no_node_has_is_refused_at_once(run: Run) -> None:
    for settings, room in ((PoolSettings(workers=1, num_gpus=1), 0), (PoolSettings(workers=9), 8)):
        with pytest.raises(BadInput, match=rf"pool 'greedy' asks for.* 4 CPU, 0 GPU\) has room for {room};"):
            run(WorkerPool("greedy", Sloppy, settings).start())


def test_room_on_a_node() -> None:
    node = {"CPU": 4.0, "GPU": 2.0}
    assert room_on(node, PoolSettings(workers=100, num_cpus=0.5)) == 8
    assert room_on(node, PoolSettings(workers=100, num_cpus=0.1, num_gpus=1 / 3)) == 6
    assert room_on(node, PoolSettings(workers=100, num_cpus=0.1, num_gpus=2)) == 1
    assert room_on({}, PoolSettings(workers=3, num_cpus=0)) == 3


@pytest.mark.parametrize("gpus", [0, 0.5, 1 / 3, 0.3333, 0.1, 1, 8])
def test_gpus_are_whole_or_one_nth(gpus: float) -> None:
    assert PoolSettings(num_gpus=gpus).num_gpus == gpus


@pytest.mark.parametrize("gpus", [0.3, 0.6, 0.334, 0.9, 1.5, -1])
def test_other_gpu_shares_are_refused(gpus: float) -> None:
    with pytest.raises(ValidationError, match=r"1/n|greater than"):
        PoolSettings(num_gpus=gpus)
