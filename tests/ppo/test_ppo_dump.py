"""What the tiny policy's training leaves behind when its numbers break."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from actors.errors import StageFailed
from tests.ppo import bandit
from tests.ppo.test_ppo_trainer import train
from train_jobs.ppo.dump import dump
from train_jobs.ppo.trainer import Trainer


def test_a_loss_that_is_not_finite_leaves_its_batch(tmp_path: Path) -> None:
    settings = bandit.SETTINGS.model_copy(update={"warm_up": 0, "lr": 1e30})
    with pytest.raises(StageFailed, match="not finite") as caught:
        train(settings, folder=tmp_path)
    (place,) = tmp_path.iterdir()
    assert f"the batch is in {place}" in str(caught.value)
    tensors, about = load_file(place / "batch.safetensors"), json.loads((place / "batch.json").read_text())
    assert tensors["answers"].shape == tensors["mask"].shape == tensors["log_probs"].shape
    assert about["rank"] == 0 and about["settings"]["lr"] == 1e30 and str(about["step"]) in place.name


def test_a_spoilt_weight_is_found_before_the_policy_moves(tmp_path: Path) -> None:
    import asyncio

    actor = bandit.actor()
    settings = bandit.SETTINGS.model_copy(update={"ahead": 0})
    trainer = Trainer(settings, actor, bandit.tokens(), bandit.queries, bandit.rate, folder=tmp_path / "run")
    with torch.no_grad():
        trainer._learner.critic.head.bias.fill_(torch.nan)  # type: ignore[union-attr,operator]
    before = actor.model.norm.weight.clone()
    with pytest.raises(StageFailed, match=r"not finite before the policy moves: values; the batch is in"):
        asyncio.run(trainer.run())
    assert torch.equal(actor.model.norm.weight, before)
    assert (tmp_path / "run" / "broken-step-0-rank-0" / "batch.json").exists()


def test_a_folder_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "could not be written" in dump(tmp_path / "file" / "x", {}, {})
    assert "not kept" in dump(None, {}, {})
