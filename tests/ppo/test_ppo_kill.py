"""Processes that are killed in the middle of a step: the training goes on, to the same end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.contracts import Draw, Failure
from actors.policy import grammar
from actors.studio import Job
from configs.load import load
from configs.pool import PoolSettings
from configs.ppo import PpoSettings, WarmStartSettings
from configs.schema import Settings
from tests.ppo.test_ppo_job import record
from train_jobs.ppo import rating
from train_jobs.ppo.job import begin, train_here
from train_jobs.training.publishing import CURVE

RECORDS = [record(grammar.query(5, index, ["1:1", "3:4", "16:9"], ("en", "zh"))) for index in range(40)]
KEPT = ("admission", "reward", "kl", "entropy", "policy_loss")


def settings(raters: PoolSettings, steps: int = 6) -> Settings:
    room = PpoSettings(
        steps=steps,
        batch=8,
        minibatches=1,
        epochs=1,
        checkpoint_steps=1,
        warm_start=WarmStartSettings(steps=4, batch=16),
        workers=0,
        raters=raters,
        loggers=(),
    )
    return load("embedded", ["generator.long_side=96"], environ={}).model_copy(update={"ppo": room})


def curve(folder: Path) -> list[list[float]]:
    return [[row[name] for name in KEPT] for row in json.loads((folder / CURVE).read_text("utf-8"))]


def run(folder: Path) -> None:
    """In a process of its own."""
    found = settings(PoolSettings(workers=0))
    train_here(found, begin(found.ppo, RECORDS, folder, lambda stage, done, total: None), folder)


@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_trainer_that_is_killed_goes_on_to_the_same_curve(tmp_path: Path) -> None:
    whole, struck = tmp_path / "whole", tmp_path / "struck"
    whole.mkdir()
    struck.mkdir()
    run(whole)
    code = "import sys, pathlib; from tests.ppo.test_ppo_kill import run; run(pathlib.Path(sys.argv[1]))"
    moment = random.randint(1, 4)
    process = subprocess.Popen([sys.executable, "-c", code, str(struck)])
    try:
        while not (struck / CURVE).exists() or len(curve(struck)) < moment:
            assert process.poll() is None, f"the run was over before step {moment}"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    run(struck)
    for found, expected in zip(curve(struck), curve(whole), strict=True):
        assert found == pytest.approx(expected, abs=1e-6), f"killed at step {moment}"


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.timeout(240)
def test_a_rater_that_is_killed_is_replaced_and_nothing_is_lost(
    tmp_path: Path, ray_session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    struck = tmp_path / "struck"

    class Mortal(rating.StudioRater):
        """Dies of its second batch, once."""

        async def rate(self, jobs: Sequence[Job]) -> list[Draw | Failure]:
            drawn = await super().rate(jobs)
            if struck.exists() and not (tmp_path / "dead").exists():
                (tmp_path / "dead").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            struck.touch()
            return drawn

    monkeypatch.setattr(rating, "StudioRater", Mortal)
    found = settings(PoolSettings(workers=1, batch=4, num_cpus=0.1), steps=2)
    start = begin(found.ppo, RECORDS, tmp_path, lambda stage, done, total: None)
    state = train_here(found, start, tmp_path)
    assert (tmp_path / "dead").exists()
    assert [row["judged"] for row in state.progress.curve] == [1.0, 1.0]
