import asyncio
import logging
import pickle
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from actors.contracts import Failure
from actors.errors import StageFailed, TimedOut
from serve_apps.edge.guard import RateLimit, guard
from serve_apps.edge.problems import Problem
from tests.fake_roles import FakeAudit, fake_roles
from tests.serve_apps.app_kit import replica

OPEN = {"/healthz", "/openapi.json"}


def error_of(response: httpx.Response) -> dict[str, Any]:
    body = response.json()
    assert set(body) == {"error"}
    assert body["error"]["request_id"] == response.headers["x-request-id"]
    return dict(body["error"])


def test_every_route_is_guarded(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            walked = 0
            for route in kit.app.routes:
                path = route.path  # type: ignore[attr-defined]
                if path in OPEN:
                    assert (await kit.http.get(path, headers={"Authorization": ""})).status_code == 200
                    continue
                assert isinstance(route, APIRoute), path
                assert guard in [dependency.call for dependency in route.dependant.dependencies], path
                for method in route.methods:
                    answer = await kit.http.request(method, path, headers={"Authorization": ""}, json={})
                    assert answer.status_code == 401, (method, path)
                    assert answer.headers["www-authenticate"] == "Bearer"
                    assert error_of(answer)["code"] == "unauthorized"
                    walked += 1
            assert walked == 6

    asyncio.run(check())


def test_scopes_are_held(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, scopes=["score"]) as kit:
            answer = await kit.http.post("/v1/imagine", json={"query": "moon"})
            assert answer.status_code == 403
            assert "'imagine'" in error_of(answer)["message"]
            wrong = {"Authorization": "Bearer ak0.no"}
            assert (await kit.http.get("/v1/imagine/x", headers=wrong)).status_code == 401

    asyncio.run(check())


def test_no_key_is_needed_where_settings_say_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, serve__require_key=False) as kit:
            answer = await kit.http.get("/v1/imagine/x", headers={"Authorization": ""})
            assert answer.status_code == 404

    asyncio.run(check())


def test_request_ids_go_in_and_out(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            given = await kit.http.get("/healthz", headers={"X-Request-Id": "abc-1"})
            assert given.headers["x-request-id"] == "abc-1"
            odd = await kit.http.get("/nowhere", headers={"X-Request-Id": "a b\tc"})
            assert odd.status_code == 404
            assert len(error_of(odd)["request_id"]) == 32

    asyncio.run(check())


def test_a_body_is_counted_as_it_streams(tmp_path: Path) -> None:
    async def body(chunks: int) -> AsyncIterator[bytes]:
        for _ in range(chunks):
            yield b" " * 10_000

    async def check() -> None:
        async with replica(tmp_path, serve__max_body_bytes=50_000) as kit:
            small = await kit.http.post("/v1/imagine", content=body(4))
            assert small.status_code == 400
            large = await kit.http.post("/v1/imagine", content=body(6))
            assert large.status_code == 413
            assert "50000 bytes" in error_of(large)["message"]
            stranger = await kit.http.post(
                "/v1/imagine", content=body(2), headers={"Authorization": "Bearer x.y"}
            )
            assert stranger.status_code == 401

    asyncio.run(check())


def test_too_many_requests(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path, serve__rate_per_minute=2) as kit:
            statuses = [(await kit.http.get("/v1/imagine/x")).status_code for _ in range(3)]
            assert statuses == [404, 404, 429]
            answer = await kit.http.get("/v1/imagine/x")
            assert 1 <= int(answer.headers["retry-after"]) <= 31
            assert (await kit.http.get("/healthz")).status_code == 200

    asyncio.run(check())


def test_the_bucket_refills_evenly() -> None:
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    assert [limit.take("a") for _ in range(60)] == [0.0] * 60
    assert limit.take("a") == pytest.approx(1.0)
    assert limit.take("b") == 0.0
    now = 0.5
    assert limit.take("a") == pytest.approx(0.5)
    now = 1.0
    assert limit.take("a") == 0.0
    now = 1000.0
    assert [limit.take("a") for _ in range(61)][-1] > 0


class SlowAudit(FakeAudit):
    async def check(self, items: Any) -> Any:
        await asyncio.sleep(60)


class FailingAudit(FakeAudit):
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def check(self, items: Any) -> Any:
        if self.error:
            raise self.error
        return [Failure(stage="audit", kind="Down", message="no audit") for _ in items]


def test_a_slow_request_is_answered(tmp_path: Path) -> None:
    async def check() -> None:
        roles = replace(fake_roles(), audit=SlowAudit())
        async with replica(tmp_path, roles=roles, serve__request_timeout_s=0.05) as kit:
            answer = await kit.http.post("/v1/imagine", json={"query": "moon"})
            assert answer.status_code == 504
            assert error_of(answer)["code"] == "timeout"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, 503),
        (TimedOut("audit: no answer"), 504),
        (StageFailed("audit is down"), 503),
        (KeyError("inner"), 500),
    ],
)
def test_errors_have_one_shape_and_show_nothing_inner(
    tmp_path: Path, error: Exception | None, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with replica(tmp_path, roles=replace(fake_roles(), audit=FailingAudit(error))) as kit:
            answer = await kit.http.post("/v1/imagine", json={"query": "moon"})
            assert answer.status_code == status
            assert "Traceback" not in answer.text and "inner" not in answer.text
            if status == 503:
                assert answer.headers["retry-after"] == "5"
            if status == 500:
                assert error_of(answer)["request_id"] in caplog.text

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())


def test_health_tells_what_is_out_of_reach(tmp_path: Path) -> None:
    async def check() -> None:
        async with replica(tmp_path) as kit:
            fine = (await kit.http.get("/healthz?ready=1")).json()
            assert fine == {
                "status": "ok",
                "ready": True,
                "checks": {"ledger": "ok", "artifacts": "ok", "audit": "ok", "runner": "ok"},
            }
        roles = replace(fake_roles(), audit=FailingAudit(StageFailed("x")))
        async with replica(tmp_path / "b", roles=roles) as kit:
            assert (await kit.http.get("/healthz")).status_code == 200
            broken = await kit.http.get("/healthz?ready=1")
            assert broken.status_code == 503
            assert broken.json()["checks"]["audit"] == "StageFailed: out of reach"

    asyncio.run(check())


def test_a_problem_survives_pickling() -> None:
    problem = pickle.loads(pickle.dumps(Problem(429, "slow down", "n", 2.0)))
    assert (problem.status, problem.message, problem.field, problem.retry_after_s) == (
        429,
        "slow down",
        "n",
        2.0,
    )
