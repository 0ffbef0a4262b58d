"""Who starts the engines that roles name."""

import asyncio
from pathlib import Path

import pytest

from actors import hosts
from actors.engines.host import EngineHost
from actors.errors import BadInput
from configs.engine import VllmSettings
from configs.load import load
from configs.schema import Settings


def settings(folder: Path, *more: str) -> Settings:
    model = folder / "model"
    roles = [f"{room}.engine.model={model}" for room in ("policy", "judge")]
    serial = [f"pools.{room}.workers=0" for room in ("generator", "judge", "scorer")]
    return load("embedded", ["policy.type=llm", "judge.type=vlm", *roles, *serial, *more], {})


def test_roles_with_equal_settings_share_an_engine_that_lives_as_long_as_the_pools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[str] = []

    class Watched:
        def __init__(self, engine: VllmSettings) -> None:
            self.name = engine.model.name

        async def start(self) -> None:
            told.append(f"start {self.name}")

        async def close(self) -> None:
            told.append(f"close {self.name}")

    monkeypatch.setattr(hosts, "EngineHost", Watched)

    async def work() -> None:
        async with hosts.pooled(settings(tmp_path), scorer=False):
            told.append("work")

    asyncio.run(work())
    assert told == ["start model", "work", "close model"]
    assert len(hosts.engines(settings(tmp_path, "judge.engine.seed=1"))) == 2


def test_without_a_cluster_an_engine_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(BadInput, match="an engine needs a Ray cluster"):
        asyncio.run(EngineHost(VllmSettings(model=tmp_path)).start())


@pytest.mark.ray
def test_without_its_environment_an_engine_says_so(tmp_path: Path, ray_session: str):
    missing = VllmSettings(model=tmp_path, python=tmp_path / "python", device="cpu")
    with pytest.raises(BadInput, match=r"no interpreter at .*; run `make setup-vllm`"):
        asyncio.run(EngineHost(missing).start())


@pytest.mark.ray
def test_without_its_gpus_an_engine_says_so(tmp_path: Path, ray_session: str):
    (tmp_path / "python").touch()
    with pytest.raises(BadInput, match=r"asks for 1 .* of 0 CPU and 2 GPU"):
        asyncio.run(
            EngineHost(VllmSettings(model=tmp_path, python=tmp_path / "python", tensor_parallel=2)).start()
        )
