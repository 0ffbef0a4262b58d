"""Two processes that divide a model's weights, or have one each, learn what one does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model  # noqa: F401  (imported before the fork)
from safetensors.torch import load_file
from torch import distributed
from torch.multiprocessing.spawn import start_processes

from configs.ppo import KlSettings, PpoSettings
from tests.ppo import llm_kit as kit
from tests.ppo.test_ppo_llm_trainer import queries, rate, speech
from tests.ppo.test_ppo_trainer import numbers
from train_jobs.ppo.llm.checkpoint import save_model
from train_jobs.ppo.state import PolicyState
from train_jobs.ppo.trainer import Trainer
from train_jobs.training.ranks import ALONE, Ranks

SETTINGS = PpoSettings(
    steps=2,
    batch=8,
    group=2,
    epochs=1,
    minibatches=3,
    micro_tokens=300,
    lr=1e-3,
    critic_lr=1e-2,
    warm_up=0,
    advantages="gae",
    decay=1.0,
    kl=KlSettings(coefficient=0.05),
    checkpoint_steps=1,
    loggers=(),
)
CASES = {"divided-lora": (True, kit.LORA), "divided-full": (True, None)}


def train(folder: Path, lora: Any, ranks: Ranks, sharded: bool, **more: Any) -> tuple[Any, list[float]]:
    policy = kit.policy(folder / "llama", lora=lora, longest_answer=3)
    found = kit.networks(policy, ranks, sharded=sharded)
    trainer = Trainer(SETTINGS, found, speech(policy, found), queries, rate, ranks, **more)
    return found, numbers(asyncio.run(trainer.run()))


def test_two_processes_are_one(tmp_path: Path) -> None:
    kit.write_model(tmp_path / "llama", num_hidden_layers=1)
    # Forked: to import everything again takes longer than to train.
    start_processes(_rank, (str(tmp_path),), nprocs=2, start_method="fork")
    expected = {}
    for name, (_, lora) in CASES.items():
        found, expected[name] = train(tmp_path, lora, ALONE, False)
        save_model(tmp_path / f"{name}-alone", found.whole(), tmp_path / "llama", {})
    for name, curve in expected.items():
        told = json.loads((tmp_path / f"{name}.json").read_text())
        assert told["whole"] == pytest.approx(curve, abs=1e-5), name
        assert told["resumed"] == pytest.approx(curve, abs=1e-5), name
        alone, together = (
            load_file(tmp_path / f"{name}{end}" / "model.safetensors") for end in ("-alone", "")
        )
        for key, value in alone.items():
            torch.testing.assert_close(together[key], value, atol=1e-5, rtol=0)


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    ranks, place = Ranks(rank, 2), Path(folder)
    for name, (sharded, lora) in CASES.items():

        def keep(fresh: PolicyState, name: str = name) -> None:
            if rank == 0 and fresh.progress.step == 1:
                fresh.save(place / f"{name}-1")

        found, whole = train(place, lora, ranks, sharded, keep=keep)
        tensors = found.whole()
        if rank == 0:
            save_model(place / name, tensors, place / "llama", {})
        distributed.barrier()
        resumed = whole
        if lora is not None:
            _, resumed = train(place, lora, ranks, sharded, state=PolicyState.load(place / f"{name}-1"))
        if rank == 0:
            (place / f"{name}.json").write_text(json.dumps({"whole": whole, "resumed": resumed}))
    distributed.destroy_process_group()
