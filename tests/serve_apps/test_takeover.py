import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from actors.bank.bank import KIND as REMEMBERED
from actors.contracts import Event, Query
from actors.errors import StageFailed, TimedOut
from actors.ledger import EventLog, FileLog
from serve_apps.imagine import jobs
from serve_apps.imagine.jobs import ENDED, ImagineJob, Lease
from tests.serve_apps.app_kit import Kit, replica


async def start(kit: Kit, n: int = 4) -> str:
    answer = await kit.http.post("/v1/imagine", json={"query": "a moon", "n": n})
    return str(answer.json()["id"])


async def events_of(log: EventLog) -> list[Event]:
    return [event for _, event in await log.read(0, 10_000)]


async def job_of(log: EventLog, job_id: str) -> ImagineJob:
    job: ImagineJob | None = None
    for offset, event in await log.read(0, 10_000, kinds=jobs.KINDS):
        if event.id == f"{job_id}/requested":
            job = ImagineJob.of(offset, event)
        elif job:
            job.apply(offset, event)
    assert job
    return job


def test_a_dead_replicas_job_is_taken_over_and_no_draw_is_made_twice(tmp_path: Path) -> None:
    async def check() -> None:
        log = FileLog(tmp_path / "events.jsonl")
        # What a replica leaves that is killed after two of four draws, one of them judged.
        query = Query.of("a moon")
        job_id = jobs.job_id_of("local", "k")
        async with replica(tmp_path / "ghost", serve__require_key=False) as ghost:
            answer = await ghost.http.post(
                "/v1/imagine", json={"query": "a moon", "n": 4}, headers={"Idempotency-Key": "k"}
            )
            assert answer.json()["id"] == job_id
            whole = await ghost.done(job_id)
            left = {"requested", "proposed", "drawn/0", "drawn/1", "judged/0"}
            for event in await events_of(ghost.log):
                if event.id.removeprefix(f"{job_id}/") in left:
                    await log.append([event])
        await log.append([jobs.leased(job_id, Lease(1, "dead", until=1.0), 0, 0.0)])
        assert (await job_of(log, job_id)).query == query
        async with replica(tmp_path, log=log, serve__require_key=False) as heir:
            for sha256 in [draw["picture"]["sha256"] for draw in whole["draws"][:2]]:
                assert heir.artifacts.put(ghost.artifacts.get(sha256)) == sha256
            job = await heir.done(job_id)
        assert job == whole
        assert len(heir.generator.drawn) == 2

    asyncio.run(check())


def test_replicas_that_race_make_each_draw_once_and_one_end(tmp_path: Path) -> None:
    async def check() -> None:
        log = FileLog(tmp_path / "events.jsonl")
        async with (
            replica(tmp_path, log=log) as a,
            replica(tmp_path, log=log) as b,
            replica(tmp_path, log=log) as c,
        ):
            b.http.headers = c.http.headers = a.http.headers
            ids = await asyncio.gather(*(start(kit) for kit in (a, b, c) * 4))
            seen = [await kit.done(job_id) for kit, job_id in zip((b, c, a) * 4, ids, strict=True)]
            assert {job["status"] for job in seen} == {"done"}
            assert len(a.generator.drawn + b.generator.drawn + c.generator.drawn) == 4 * len(ids)
        ends = Counter(event.payload["job"] for event in await events_of(log) if event.kind == ENDED)
        assert ends == Counter(ids)

    asyncio.run(check())


def test_a_zombie_changes_nothing(tmp_path: Path) -> None:
    """A replica that stood still beyond its lease comes back when another has taken over."""

    async def check() -> None:
        log = FileLog(tmp_path / "events.jsonl")
        gate = asyncio.Event()
        async with replica(tmp_path, log=log, gate=gate, lease_s=0.2) as zombie:
            job_id = await start(zombie, n=2)
            while not zombie.generator.drawn:
                await asyncio.sleep(0.01)
            beats = [task for task in asyncio.all_tasks() if "_beat" in str(task.get_coro())]
            for beat in beats:
                beat.cancel()
            async with replica(tmp_path, log=log) as heir:
                heir.http.headers = zombie.http.headers
                first = await heir.done(job_id)
                gate.set()
                await asyncio.sleep(0.1)
                assert await heir.done(job_id) == first
        assert [event.id for event in await events_of(log)].count(f"{job_id}/ended") == 1

    asyncio.run(check())


def test_a_stopped_replica_gives_its_jobs_back_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        log = FileLog(tmp_path / "events.jsonl")
        async with replica(tmp_path, log=log, gate=asyncio.Event()) as stopped:
            job_id = await start(stopped)
            while not stopped.generator.drawn:
                await asyncio.sleep(0.01)
        async with replica(tmp_path, log=log) as heir:
            heir.http.headers = stopped.http.headers
            assert (await heir.done(job_id))["status"] == "done"

    asyncio.run(check())


def test_a_living_replica_keeps_its_lease(tmp_path: Path) -> None:
    async def check() -> None:
        log = FileLog(tmp_path / "events.jsonl")
        gate = asyncio.Event()
        async with replica(tmp_path, log=log, gate=gate, lease_s=0.3) as slow:
            job_id = await start(slow, n=1)
            async with replica(tmp_path, log=log) as other:
                await asyncio.sleep(0.7)
                assert not other.generator.drawn
            gate.set()
            assert (await slow.done(job_id))["status"] == "done"
            await asyncio.sleep(0)
            assert not [task for task in asyncio.all_tasks() if "_beat" in str(task.get_coro())]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("errors", "status", "says"),
    [
        ([TimedOut("generator: no answer")], "done", None),
        (
            [TimedOut("generator: no answer")] * 4,
            "failed",
            "2 times without success; the last time: generator: no",
        ),
        ([StageFailed("no disk")], "failed", "no disk"),
        ([ZeroDivisionError("bug")], "failed", "bug"),
    ],
)
def test_errors_of_a_stage(
    tmp_path: Path, errors: list[Exception], status: str, says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_apps.imagine.runner.BACKOFF_S", 0.01)

    async def check() -> None:
        async with replica(tmp_path, attempts=2, chunk=8) as kit:
            kit.generator.errors = errors
            job = await kit.done(await start(kit))
            assert job["status"] == status
            assert says is None or says in job["error"]

    asyncio.run(check())


def test_a_job_has_a_limit_of_time(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, gate=asyncio.Event(), job_timeout_s=0.05) as kit:
            job = await kit.done(await start(kit))
            assert job["status"] == "failed" and "longer than 0.05 s" in job["error"]

    asyncio.run(check())


def test_a_caller_who_leaves_does_not_end_the_job(tmp_path: Path) -> None:
    async def check() -> None:
        gate = asyncio.Event()
        async with replica(tmp_path, gate=gate) as kit:
            call = asyncio.create_task(kit.http.post("/v1/images/generations", json={"prompt": "a moon"}))
            while not kit.generator.drawn:
                await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises((asyncio.CancelledError, httpx.HTTPError)):
                await call
            gate.set()
            job_id = (await events_of(kit.log))[0].payload["job"]
            assert (await kit.done(job_id))["status"] == "done"

    asyncio.run(check())


def test_what_was_learnt_is_in_the_ledger(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            await kit.done(await start(kit))
            remembered = await kit.log.read(0, 100, kinds=[REMEMBERED])
            assert len(remembered) == 4

    asyncio.run(check())


def test_the_oldest_finished_jobs_are_forgotten(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, jobs_kept=1) as kit:
            first, second = await start(kit, 1), await start(kit, 1)
            await kit.done(second)
            await asyncio.sleep(0.2)
            statuses = [(await kit.http.get(f"/v1/imagine/{job}")).status_code for job in (first, second)]
            assert statuses == [404, 200]

    asyncio.run(check())
