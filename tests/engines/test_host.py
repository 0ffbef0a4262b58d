"""What becomes of requests and weights when engines die."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.engines.errors import EngineDied, EngineRefused
from actors.engines.host import EngineHost
from actors.engines.nouns import Ask
from actors.errors import StageFailed, TimedOut
from configs.engine import VllmSettings
from tests.engines.fake_engine import POISON, FakeCluster, died, late

ASK = Ask(token_ids=(1, 2, 3))
SETTINGS = VllmSettings(model=Path("/models/tiny"), restarts=2)


def with_host(cluster: FakeCluster, work: Callable[[EngineHost], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await work(EngineHost(SETTINGS, cluster.launch))

    return asyncio.run(run())


def test_an_engine_is_started_once_for_all_who_ask():
    cluster = FakeCluster()

    async def work(host: EngineHost) -> None:
        await asyncio.gather(*(host.generate(ASK) for _ in range(8)))
        await host.close()

    with_host(cluster, work)
    (engine,) = cluster.launched
    assert engine.calls == ["generate"] * 8 and engine.closed


def test_all_requests_of_a_dead_engine_are_asked_again_of_one_new_engine():
    cluster = FakeCluster([{"generate": died(1)}])

    async def work(host: EngineHost) -> int:
        await asyncio.gather(*(host.generate(ASK) for _ in range(4)))
        return host.restarts

    assert with_host(cluster, work) == 1
    first, second = cluster.launched
    assert first.dead and second.calls == ["generate"] * 4


def test_a_second_death_is_the_callers():
    cluster = FakeCluster([{"generate": died()}, {"generate": died()}])
    with pytest.raises(EngineDied, match="it was killed"):
        with_host(cluster, lambda host: host.generate(ASK))


def test_a_new_engine_has_the_last_weights_before_it_is_asked():
    cluster = FakeCluster([{}, {}])

    async def work(host: EngineHost) -> str:
        await host.update("v1", [b"one"])
        await host.update("v2", [b"two", Path("/w/three")])
        cluster.launched[0].kill()
        return (await host.generate(ASK)).samples[0].weight_version

    assert with_host(cluster, work) == "v2"
    assert cluster.launched[1].calls == ["update", "generate"]
    assert cluster.launched[1].chunks == ["/w/three", b"two"]


def test_a_new_engine_has_the_weights_that_another_host_gave():
    cluster = FakeCluster([{"generate": died()}, {}])

    async def work(host: EngineHost) -> str:
        host.know("v1", [Path("/w/one")])
        return (await host.generate(ASK)).samples[0].weight_version

    assert with_host(cluster, work) == "v1"
    assert cluster.launched[-1].chunks == ["/w/one"]


def test_an_update_that_dies_half_way_is_tried_on_an_engine_with_the_weights_before():
    cluster = FakeCluster([{"update": []}])

    async def work(host: EngineHost) -> str:
        await host.update("v1", [b"one"])
        cluster.launched[0].script["update"] = died()
        await host.update("v2", [b"two"])
        return (await host.generate(ASK)).samples[0].weight_version

    assert with_host(cluster, work) == "v2"
    assert cluster.launched[1].chunks == [b"one", b"two"]


def test_weights_that_kill_twice_are_not_kept():
    cluster = FakeCluster()

    async def work(host: EngineHost) -> str:
        await host.update("v1", [b"one"])
        with pytest.raises(EngineDied):
            await host.update("v2", [POISON])
        return (await host.generate(ASK)).samples[0].weight_version

    assert with_host(cluster, work) == "v1"
    assert len(cluster.launched) == 3


def test_an_update_that_is_late_is_an_engine_in_doubt():
    cluster = FakeCluster([{"update": [late()]}])

    async def work(host: EngineHost) -> str:
        await host.update("v1", [b"one"])
        return (await host.generate(ASK)).samples[0].weight_version

    assert with_host(cluster, work) == "v1"
    assert len(cluster.launched) == 2 and cluster.launched[0].dead


def test_weights_of_another_model_change_nothing():
    cluster = FakeCluster([{"update": [EngineRefused("not the model's")]}])

    async def work(host: EngineHost) -> str:
        with pytest.raises(EngineRefused):
            await host.update("v1", [b"one"])
        return (await host.generate(ASK)).samples[0].weight_version

    assert with_host(cluster, work) == "base" and len(cluster.launched) == 1


def test_a_slow_request_is_told_from_an_engine_that_hangs():
    slow = FakeCluster([{"generate": [late()]}])
    with pytest.raises(TimedOut, match="no answer within"):
        with_host(slow, lambda host: host.generate(ASK))
    assert slow.launched[0].calls == ["generate", "health"] and not slow.launched[0].dead

    hung = FakeCluster([{"generate": [late()], "health": [late()]}])
    assert with_host(hung, lambda host: host.generate(ASK)).samples
    assert hung.launched[0].dead and len(hung.launched) == 2


def test_an_engine_that_never_lives_is_given_up():
    cluster = FakeCluster(failures=died(9))
    with pytest.raises(StageFailed, match=r"lost 3 times in a row, more than restarts=2.*it was killed"):
        with_host(cluster, lambda host: host.generate(ASK))
    assert len(cluster.failures) == 6


def test_a_model_that_cannot_be_used_is_said_at_once():
    cluster = FakeCluster(failures=[EngineRefused("no config.json")])
    with pytest.raises(EngineRefused, match=r"config\.json"):
        with_host(cluster, lambda host: host.start())


def test_health_replaces_nothing():
    cluster = FakeCluster([{"health": died()}])

    async def work(host: EngineHost) -> None:
        with pytest.raises(StageFailed, match="no engine is up"):
            await host.health()
        await host.start()
        with pytest.raises(EngineDied):
            await host.health()

    with_host(cluster, work)
    assert len(cluster.launched) == 1
