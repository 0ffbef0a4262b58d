"""The job over pools: workers that are killed, hang or answer nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.hosts import HostedGenerator, HostedJudge
from actors.policy.expander import default_strategy
from actors.pool import WorkerPool
from actors.roles import Roles
from configs.pool import PoolSettings
from configs.synthesis import SynthesisSettings
from tests.fake_roles import FakeAudit, FakePolicy
from tests.synthesis.flaky import Generator, Judge
from tests.synthesis.simulated import synthesize
from train_jobs.synthesis.samples import Spec
from train_jobs.synthesis.stages import Stages

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(180)]
SPEC = Spec(SynthesisSettings(shard=16, chunk=2, in_flight=16, give_up=1.0), "{}")
POOL = PoolSettings(workers=2, batch=2, num_cpus=0, restarts=50, retries=8)


@asynccontextmanager
async def roles(pids: Path, hangs: int = 0, **pool: Any) -> AsyncIterator[Roles]:
    pids.mkdir(exist_ok=True)
    generator = WorkerPool(
        "generator", functools.partial(Generator, str(pids), hangs), POOL.model_copy(update=pool)
    )
    judge = WorkerPool("judge", functools.partial(Judge, str(pids)), POOL)
    await asyncio.gather(generator.start(), judge.start())
    try:
        yield Roles(FakePolicy(), HostedGenerator(generator.call), HostedJudge(judge.call), FakeAudit())
    finally:
        await asyncio.gather(generator.close(), judge.close())


async def make(out: Path, pairs: int, bundle: Roles) -> dict[str, Any]:
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    stages = Stages(bundle, default_strategy(), SPEC.settings, comparative=False)
    return await synthesize(str(out), pairs, of=SPEC, run_stages=stages.run)


def test_killed_workers_change_nothing(tmp_path: Path, ray_session: str) -> None:
    async def go() -> tuple[dict[str, Any], dict[str, Any], int]:
        dice, killed = random.Random(3), 0
        async with roles(tmp_path / "pids") as bundle:
            calm = await make(tmp_path / "calm", 100, bundle)
            rough = asyncio.create_task(make(tmp_path / "rough", 100, bundle))
            while not rough.done():
                await asyncio.sleep(dice.uniform(0.1, 0.5))
                pid = int(dice.choice(sorted((tmp_path / "pids").glob("*.pid"))).stem)
                with contextlib.suppress(ProcessLookupError):
                    if killed < 8:
                        os.kill(pid, signal.SIGKILL)
                        killed += 1
            return calm, await rough, killed

    calm, rough, killed = asyncio.run(go())
    assert killed >= 2
    assert rough["manifest_sha256"] == calm["manifest_sha256"]
    assert rough["examined"] == calm["examined"] and rough["quarantined"] == calm["quarantined"]


def test_what_hangs_or_answers_nonsense_is_quarantined_and_the_job_ends(
    tmp_path: Path, ray_session: str
) -> None:
    async def go() -> dict[str, Any]:
        async with roles(tmp_path / "pids", hangs=3, timeout_s=0.7, retries=1) as bundle:
            return await make(tmp_path / "out", 40, bundle)

    summary = asyncio.run(go())
    assert summary["accepted"] == 40
    assert set(summary["quarantined"]) == {"draw: TimedOut", "judge: BadAnswer"}
    assert summary["quarantined_share"] > SPEC.settings.most_quarantined
