"""Two processes are one: the same answers, the same sums, the same steps; and both go on after a stop."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from tests.ppo import bandit
from tests.ppo.test_ppo_trainer import numbers, train
from train_jobs.ppo.state import PolicyState
from train_jobs.ppo.trainer import Trainer
from train_jobs.training.ranks import Ranks

SETTINGS = bandit.SETTINGS.model_copy(
    update={"steps": 6, "batch": 16, "group": 2, "checkpoint_steps": 3, "loggers": ()}
)


def test_two_processes_are_one(tmp_path: Path) -> None:
    expected = numbers(train(SETTINGS))
    spawn(_rank, (str(tmp_path),), nprocs=2)
    for name in ("whole", "resumed"):
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert found == pytest.approx(expected, abs=1e-5), name
    assert (tmp_path / "3" / "waiting.safetensors").stat().st_size > 200


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    kept = Path(folder) / "3"

    def keep(fresh: PolicyState) -> None:
        if rank == 0 and fresh.progress.step == 3:
            fresh.save(kept)

    for name in ("whole", "resumed"):
        distributed.barrier()
        trainer = Trainer(
            SETTINGS,
            bandit.actor(),
            bandit.tokens(),
            bandit.queries,
            bandit.rate,
            Ranks(rank, 2),
            keep=keep,
            state=PolicyState.load(kept) if name == "resumed" else None,
        )
        curve = numbers(asyncio.run(trainer.run()))
        if rank == 0:
            (Path(folder) / f"{name}.json").write_text(json.dumps(curve))
    distributed.destroy_process_group()
