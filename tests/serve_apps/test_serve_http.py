"""The real thing: roles and app as Serve deployments, called over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from configs.schema import Settings
from serve_apps.deploy import serve_local
from serve_apps.edge.keys import KeyStore
from tests.serve_apps.app_kit import BriskJudgeSettings, settings_of, sse

REPLICAS = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(ray_session: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    from ray import serve

    folder = tmp_path_factory.mktemp("served")
    settings = settings_of(folder, serve__port=free_port(), serve__replicas=REPLICAS, lease_s=3.0)
    ledger = settings.ledger.model_copy(update={"url": f"sqlite:///{folder}/ledger.db"})
    small = settings.generator.model_copy(update={"long_side": 256})
    one = settings.pools.generator.model_copy(update={"workers": 1})
    pools = settings.pools.model_copy(update={"generator": one, "judge": one})
    brisk = {"ledger": ledger, "generator": small, "judge": BriskJudgeSettings(), "pools": pools}
    settings = settings.model_copy(update=brisk)
    address = serve_local(settings)
    yield address, settings
    serve.shutdown()


def caller(served: tuple[str, Settings]) -> httpx.AsyncClient:
    address, settings = served
    _, token = KeyStore(settings.serve.keys_file).create(["imagine", "score"])
    return httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60)


@pytest.mark.ray
@pytest.mark.timeout(300)  # the first pays for the start of Ray and Serve
def test_a_query_becomes_a_picture_over_http(served: tuple[str, Settings]) -> None:
    async def check() -> None:
        async with caller(served) as http:
            ready = await http.get("/healthz?ready=1")
            assert ready.status_code == 200, ready.text
            body: dict[str, Any] = {"query": "a moon over a lake", "n": 3, "aspect": "16:9"}
            started = await http.post("/v1/imagine", json=body)
            assert started.status_code == 202, started.text
            assert len(started.headers.get_list("x-request-id")) == 1
            told = sse((await http.get(started.json()["events"])).text)
            assert told[0][1] == "queued" and told[-1][1] == "done"
            # Any replica answers, whoever drew.
            views = [(await http.get(started.json()["url"])).json() for _ in range(6)]
            assert all(view == views[0] for view in views) and views[0]["status"] == "done"
            picture = views[0]["draws"][views[0]["best"]]["picture"]
            data = (await http.get(picture["url"])).content
            assert data.startswith(b"\x89PNG")
            items = [{"picture": {"sha256": picture["sha256"]}, "query": "a moon over a lake"}]
            scores = await http.post("/v1/scores", json={"items": items})
            assert scores.status_code == 200 and scores.json()["ranking"] == [0]
            assert (await http.get("/v1/imagine/x", headers={"Authorization": ""})).status_code == 401

    asyncio.run(check())


@pytest.mark.ray
@pytest.mark.timeout(300)  # the first pays for the start of Ray and Serve
def test_a_killed_role_replica_costs_no_job(served: tuple[str, Settings]) -> None:
    import ray
    from ray.util import list_named_actors

    async def check() -> None:
        async with caller(served) as http:
            started = await http.post("/v1/imagine", json={"query": "a lighthouse at night", "n": 8})
            names = [actor["name"] for actor in list_named_actors(all_namespaces=True)]
            victim = next(name for name in names if "generator" in name)
            ray.kill(ray.get_actor(victim, namespace="serve"))
            told = sse((await http.get(started.json()["events"])).text)
            assert told[-1][1] == "done"
            judged = [data for _, name, data in told if name == "judged"]
            assert len(judged) == 8

    asyncio.run(check())
