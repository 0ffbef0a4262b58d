"""PPO through a real engine: it samples with the weights of the step before, and agrees with the trainer."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.ppo import KlSettings, PpoSettings
from tests.ppo import llm_kit
from tests.ppo.test_ppo_llm_trainer import queries, rate
from tests.vllm.conftest import Kit, kit
from train_jobs.ppo.llm.engine import EngineSampler
from train_jobs.ppo.llm.model import load_words
from train_jobs.ppo.llm.networks import LlmNetworks
from train_jobs.ppo.llm.sampling import Said
from train_jobs.ppo.llm.speech import LlmSpeech
from train_jobs.ppo.llm.texts import Chat
from train_jobs.ppo.trainer import Trainer

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
SETTINGS = PpoSettings(
    steps=3,
    batch=8,
    group=2,
    ahead=0,
    epochs=2,
    minibatches=1,
    lr=1e-2,
    warm_up=0,
    advantages="gae",
    decay=1.0,
    entropy=1.0,  # a random policy earns nothing; something must move it
    kl=KlSettings(coefficient=0),
    checkpoint_steps=3,
    loggers=(),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, ray_session: str) -> Iterator[Kit]:
    sizes = {"hidden_size": 128, "intermediate_size": 128, "head_dim": 64}
    folder = llm_kit.write_model(tmp_path_factory.mktemp("models") / "qwen", kind="qwen3", **sizes)
    yield from kit(folder, max_model_len=512)


class Shared(EngineSampler):
    """A sampler of the module's engine, which it leaves running."""

    async def close(self) -> None:
        """Nothing."""


@dataclass
class Training:
    """PPO of a model through the engine."""

    sampler: Shared
    networks: LlmNetworks
    speech: LlmSpeech


def training(engine: Kit, folder: Path, lora: Any = llm_kit.LORA, kind: type[Shared] = Shared) -> Training:
    policy = llm_kit.policy(engine.folder, lora=lora, engine=engine.settings)
    found = llm_kit.networks(policy)
    sampler = kind(
        engine.settings,
        found,
        engine.folder,
        folder / "engine",
        longest=policy.longest_answer,
        host=engine.host,
    )
    asyncio.set_event_loop(engine.loop)
    return Training(sampler, found, LlmSpeech(Chat(load_words(engine.folder), policy), policy, sampler))


@pytest.mark.parametrize("lora", [llm_kit.LORA, None], ids=["lora", "full"])
def test_every_step_samples_from_the_newest_weights(engine: Kit, tmp_path: Path, lora: Any) -> None:
    settings = SETTINGS.model_copy(update={"lr": 1e-2 if lora else 1e-3})
    made = training(engine, tmp_path, lora)
    trainer = Trainer(settings, made.networks, made.speech, queries, rate)
    curve = engine.run(trainer.run()).progress.curve
    assert [row["staleness"] for row in curve] == [0.0, 0.0, 0.0]
    assert all(row["mismatch_kl"] < 1e-3 for row in curve), curve
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-4) and curve[2]["kl"] > 1e-3, "the weights have moved"
    assert engine.run(engine.host.health()).weight_version == "step-3"
    (sample,) = engine.run(made.sampler.sample([list(range(40, 60))], [[1]]))
    assert sample.version == 3
    assert [place.name for place in (tmp_path / "engine").iterdir()] == ["step-3"]


def test_an_engine_that_is_killed_before_a_batch_comes_back_with_the_weights_so_far(
    engine: Kit, tmp_path: Path
) -> None:
    """The batch is of the policy as it is, not of the model that the engine began with."""
    killed: list[int] = []

    class Killing(Shared):
        async def sample(
            self, queries: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]
        ) -> list[Said]:
            health = await engine.host.health()
            if not killed and health.weight_version == "step-1":
                killed.append(next(p for p in health.children if "EngineCore" in psutil.Process(p).name()))
                os.kill(killed[0], signal.SIGKILL)
            return await super().sample(queries, seeds)

    made = training(engine, tmp_path, kind=Killing)
    before = engine.host.restarts
    trainer = Trainer(SETTINGS, made.networks, made.speech, queries, rate)
    curve = engine.run(trainer.run()).progress.curve
    assert killed and engine.host.restarts == before + 1
    assert [row["staleness"] for row in curve] == [0.0, 0.0, 0.0]
    assert all(row["mismatch_kl"] < 1e-3 for row in curve), curve
    assert curve[1]["kl"] > 0, "there was something to lose"
    assert engine.run(engine.host.health()).weight_version == "step-3"
