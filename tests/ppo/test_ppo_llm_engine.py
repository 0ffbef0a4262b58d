"""How a training speaks to an engine, with an engine that only remembers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from actors.engines.nouns import Ask, Sample, Samples
from actors.errors import StageFailed
from tests.ppo import llm_kit as kit
from train_jobs.ppo.llm.engine import EngineSampler
from train_jobs.ppo.llm.networks import LlmNetworks


class Host:
    """Answers with its weights' version."""

    def __init__(self) -> None:
        self.version, self.weights, self.asked = "base", [], list[Ask]()  # type: ignore[var-annotated]
        self.closed = False

    async def update(self, version: str, weights: Any) -> None:
        self.version, self.weights = version, [load_file(path) for path in weights]

    async def generate(self, ask: Ask) -> Samples:
        self.asked.append(ask)
        sample = Sample(
            text="", token_ids=(1, 2), logprobs=(-0.5, -1), finish_reason="stop", weight_version=self.version
        )
        return Samples(samples=(sample,) * ask.n, prompt_token_ids=ask.token_ids)

    async def close(self) -> None:
        self.closed = True


def made(tmp_path: Path) -> tuple[Host, EngineSampler, LlmNetworks]:
    folder = kit.write_model(tmp_path / "llama")
    policy = kit.policy(folder)
    found, host = kit.networks(policy), Host()
    engine: Any = None
    sampler = EngineSampler(engine, found, folder, tmp_path / "engine", longest=7, host=host)  # type: ignore[arg-type]
    return host, sampler, found


def test_weights_are_given_before_the_next_sample(tmp_path: Path) -> None:
    host, sampler, found = made(tmp_path)

    async def steps() -> None:
        await sampler.publish(0)
        first = host.weights
        with torch.no_grad():
            for parameter in found.trained["actor"].values():
                parameter.add_(0.1)
        await sampler.publish(1)
        assert (
            first[0].keys()
            == host.weights[0].keys()
            == load_file(tmp_path / "llama/model.safetensors").keys()
        )
        name = "model.layers.0.self_attn.q_proj.weight"
        assert not torch.equal(first[0][name], host.weights[0][name])

    asyncio.run(steps())
    assert [place.name for place in (tmp_path / "engine").iterdir()] == ["step-1"]
    said = asyncio.run(sampler.sample([[3, 4], [5]], [[10, 11], [12, 13]]))
    assert [(ask.token_ids, ask.n, ask.seed, ask.max_tokens) for ask in host.asked] == [
        ((3, 4), 2, 10, 7),
        ((5,), 2, 12, 7),
    ]
    assert [each.version for each in said] == [1] * 4 and said[0].logprobs == (-0.5, -1.0)
    asyncio.run(sampler.close())
    assert host.closed and not (tmp_path / "engine").exists()


def test_weights_of_somebody_else_are_noticed(tmp_path: Path) -> None:
    _, sampler, _ = made(tmp_path)
    with pytest.raises(StageFailed, match="sampled from weights 'base', which this training did not give it"):
        asyncio.run(sampler.sample([[3]], [[1]]))
