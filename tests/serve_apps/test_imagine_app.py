import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve_apps.app_kit import replica, sse


async def started(http: httpx.AsyncClient, **body: Any) -> str:
    answer = await http.post("/v1/imagine", json={"query": "a moon over a lake", **body})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_query_becomes_pictures(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            job_id = await started(kit.http, n=3, aspect="9:16", title="月", seed=5)
            job = await kit.done(job_id)
            assert job["status"] == "done"
            assert [draw["index"] for draw in job["draws"]] == [0, 1, 2]
            rewards = [draw["reward"] for draw in job["draws"]]
            assert rewards[job["best"]] == max(rewards)
            assert job["query"]["aspect"] == "9:16" and job["query"]["title"] == "月"
            draw = job["draws"][0]
            assert draw["gates"]["intent"] is True and 0 <= draw["scores"]["color"] <= 1
            picture = await kit.http.get(draw["picture"]["url"])
            assert picture.headers["content-type"] == "image/png"
            assert picture.content == kit.artifacts.get(draw["picture"]["sha256"])
            assert "immutable" in picture.headers["cache-control"]
            again = await kit.http.get(
                draw["picture"]["url"], headers={"If-None-Match": picture.headers["etag"]}
            )
            assert again.status_code == 304 and not again.content

    asyncio.run(check())


def test_the_same_seed_gives_the_same_pictures(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            ids = [await started(kit.http, n=2, seed=seed) for seed in (1, 1, 2)]
            shas = [[d["picture"]["sha256"] for d in (await kit.done(job_id))["draws"]] for job_id in ids]
            assert shas[0] == shas[1] != shas[2]

    asyncio.run(check())


def test_progress_is_told_in_order_and_resumes(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, chunk=1) as kit:
            job_id = await started(kit.http, n=2)
            answer = await kit.http.get(f"/v1/imagine/{job_id}/events")
            assert answer.headers["content-type"].startswith("text/event-stream")
            told = sse(answer.text)
            names = [name for _, name, _ in told]
            assert names[:2] == ["queued", "proposed"] and names[-1] == "done"
            assert sorted(names[2:-1]) == ["drawn", "drawn", "judged", "judged"]
            assert [json.loads(data)["k"] for _, name, data in told if name == "judged"] == [1, 2]
            assert [offset for offset, _, _ in told] == sorted({offset for offset, _, _ in told})
            for place, (offset, _, _) in enumerate(told):
                resumed = await kit.http.get(
                    f"/v1/imagine/{job_id}/events", headers={"Last-Event-ID": str(offset)}
                )
                assert sse(resumed.text) == told[place + 1 :]
            bad = await kit.http.get(f"/v1/imagine/{job_id}/events", headers={"Last-Event-ID": "x"})
            assert bad.status_code == 422

    asyncio.run(check())


def test_an_idempotency_key_is_one_job(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, max_queued=1) as kit:
            kit.generator.gate = asyncio.Event()
            headers = {"Idempotency-Key": "k1"}
            body = {"query": "a moon", "n": 2}
            first, second = await asyncio.gather(
                *(kit.http.post("/v1/imagine", json=body, headers=headers) for _ in range(2))
            )
            assert first.json()["id"] == second.json()["id"]
            other = await kit.http.post("/v1/imagine", json=body | {"n": 3}, headers=headers)
            assert other.status_code == 409 and "k1" in other.text
            again = await kit.http.post("/v1/imagine", json=body, headers=headers)
            assert again.status_code == 202 and again.json()["id"] == first.json()["id"]
            kit.generator.gate.set()
            await kit.done(first.json()["id"])
            assert len(kit.generator.drawn) == 2

    asyncio.run(check())


def test_too_many_jobs_are_refused_for_now(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, max_queued=2, jobs_at_once=1, gate=asyncio.Event()) as kit:
            ids = [await started(kit.http, n=1, seed=seed) for seed in range(2)]
            full = await kit.http.post("/v1/imagine", json={"query": "a moon"})
            assert full.status_code == 503 and full.headers["retry-after"] == "2"
            waiting = (await kit.http.get(f"/v1/imagine/{ids[1]}")).json()
            assert waiting["status"] == "queued"
            assert kit.generator.gate
            kit.generator.gate.set()
            assert [(await kit.done(job_id))["status"] for job_id in ids] == ["done", "done"]
            await started(kit.http, n=1)

    asyncio.run(check())


def test_jobs_are_shown_to_their_owner_only(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            job_id = await started(kit.http)
            _, other = kit.keys.create(["imagine"])
            _, admin = kit.keys.create(["admin"])
            for token, status in ((other, 404), (admin, 200)):
                headers = {"Authorization": f"Bearer {token}"}
                assert (await kit.http.get(f"/v1/imagine/{job_id}", headers=headers)).status_code == status
                assert (
                    await kit.http.get(f"/v1/imagine/{job_id}/events", headers=headers)
                ).status_code == status

    asyncio.run(check())


@pytest.mark.parametrize(
    ("body", "status", "field", "says"),
    [
        ({"query": ""}, 422, "query", "empty"),
        ({"query": "x" * 10_000}, 422, "query", "10000 characters"),
        ({"query": "a\x00b"}, 422, "query", "U+0000 at position 1"),
        ({"query": "a\x1bb"}, 422, "query", "U+001B"),
        ({"query": "a \ud800 b"}, 422, "query", ""),
        ({"query": "an unsafe thing"}, 422, None, "audit refuses"),
        ({"query": "moon", "title": "unsafe"}, 422, None, "audit refuses"),
        ({"query": "moon", "aspect": "5:7"}, 422, "aspect", "'9:16'"),
        ({"query": "moon", "n": 0}, 422, "n", "greater than or equal to 1"),
        ({"query": "moon", "n": 1000}, 422, "n", "1 to 16"),
        ({"query": "moon", "n": 10**40}, 422, "n", ""),
        ({"query": "moon", "seed": -1}, 422, "seed", "-1"),
        ({"query": "moon", "seeds": 1}, 422, "seeds", "not a field"),
        ({"n": 1}, 422, "query", "missing"),
        ({"query": ["moon"]}, 422, "query", "string"),
        ([], 422, None, "the body"),
        ("{", 400, None, "not JSON"),
        ("", 400, None, "empty"),
    ],
)
def test_bad_requests_are_one_clear_sentence(
    tmp_path: Path, body: Any, status: int, field: str | None, says: str
) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            content = body if isinstance(body, str) else json.dumps(body)
            answer = await kit.http.post("/v1/imagine", content=content)
            assert answer.status_code == status, answer.text
            error = answer.json()["error"]
            assert error.get("field") == field, error
            assert says in error["message"] and len(error["message"]) < 400
            assert await kit.log.tail() == 0

    asyncio.run(check())


def test_a_burst_does_not_slip_past_the_limit(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, max_queued=3, gate=asyncio.Event()) as kit:
            calls = [kit.http.post("/v1/imagine", json={"query": "a moon", "seed": i}) for i in range(9)]
            statuses = [answer.status_code for answer in await asyncio.gather(*calls)]
            assert sorted(statuses) == [202] * 3 + [503] * 6

    asyncio.run(check())


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x7fb"])
def test_bad_idempotency_keys(tmp_path: Path, key: str) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            answer = await kit.http.post(
                "/v1/imagine", json={"query": "moon"}, headers={"Idempotency-Key": key}
            )
            assert answer.status_code == 422
            assert answer.json()["error"]["field"] == "Idempotency-Key"

    asyncio.run(check())


@pytest.mark.parametrize("sha256", ["0" * 64, "nothex", "..%2f..%2fkeys.json"])
def test_no_such_picture(tmp_path: Path, sha256: str) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            answer = await kit.http.get(f"/v1/pictures/{sha256}")
            assert answer.status_code == 404
            assert str(tmp_path) not in answer.text

    asyncio.run(check())


def test_a_blob_that_is_no_picture_is_not_served_and_a_damaged_one_neither(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            note = kit.artifacts.put(b"<script>")
            assert (await kit.http.get(f"/v1/pictures/{note}")).status_code == 404
            picture = kit.artifacts.put(b"\x89PNG\r\n\x1a\nxyz")
            (tmp_path / "artifacts" / picture[:2] / picture).write_bytes(b"\x89PNG\r\n\x1a\nabc")
            damaged = await kit.http.get(f"/v1/pictures/{picture}")
            assert damaged.status_code == 500 and "damaged" in damaged.text

    asyncio.run(check())


@pytest.mark.parametrize(("query", "says"), [("unpromptable", "no policy"), ("undrawable", "cannot draw")])
def test_a_job_that_cannot_succeed_fails_and_says_why(tmp_path: Path, query: str, says: str) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            job_id = await started(kit.http, query=query, n=2)
            job = await kit.done(job_id)
            assert job["status"] == "failed" and says in job["error"] and job["best"] is None

    asyncio.run(check())
