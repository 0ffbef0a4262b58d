"""Stages without roles: every outcome follows from the sample. Run as a program, it is a driver to kill."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from actors.contracts import Dimension, Failure, PairRecord, PairSide, Prompt, content_id, derive_seed
from actors.ledger import FileLog
from actors.pairs.dataset import picture_path
from configs.synthesis import SynthesisSettings
from train_jobs.synthesis.job import Synthesis
from train_jobs.synthesis.outcome import Failed, Made, Outcome, Refused
from train_jobs.synthesis.samples import Sample, SidePlan, Spec
from train_jobs.synthesis.store import PairStore

SETTINGS = SynthesisSettings(shard=16, chunk=2, in_flight=16, window=4, give_up=1.0)


def spec(**changes: Any) -> Spec:
    return Spec(SETTINGS.model_copy(update=changes), "{}")


def outcome(sample: Sample) -> Outcome:
    """3% refused, 3% failed, the rest made; one perceptual hash in eight is a low number that repeats."""
    fate = derive_seed(sample.id, "fate") % 100
    if fate < 3:
        return Refused(sample.index, "audit_text")
    if fate < 6:
        return Failed(sample.index, sample.id, Failure(stage="judge", kind="BadAnswer", message="no JSON"))
    gap = derive_seed(sample.id, "gap") % 1000 / 1500
    a, b = (_side(sample, plan, name) for plan, name in ((sample.a, "a"), (sample.b, "b")))
    record = PairRecord(
        id=sample.id,
        kind=sample.kind,
        query=sample.query,
        a=a,
        b=b,
        scores={Dimension.TOTAL: {"winner": gap, "loser": 0.0}},
        labels={Dimension.TOTAL: 0.5 + gap / 2},
    )
    return Made(sample.index, record, gap)


def _side(sample: Sample, plan: SidePlan, name: str) -> PairSide:
    sha256 = content_id(sample.id, name).ljust(64, "0")
    low = derive_seed(sample.id, name, "low") % 8 == 0
    phash = f"{derive_seed(sample.id, name) % 40:016x}" if low else content_id(sample.id, name, "hash")
    prompt = Prompt.of(plan.query.text, query=plan.query, strategy_id="s", policy_version="p")
    return PairSide(
        prompt=prompt,
        sha256=sha256,
        path=picture_path(sha256, "png"),
        width=8,
        height=8,
        seed=plan.seed,
        phash=phash,
    )


def stages(
    out: str, delay_s: float = 0.0, seed: int = 0
) -> Callable[[Sequence[Sample]], Awaitable[list[Outcome]]]:
    """Outcomes after a random wait, so that samples finish out of order; pictures are files."""
    dice = random.Random(seed)

    async def run(samples: Sequence[Sample]) -> list[Outcome]:
        await asyncio.sleep(dice.uniform(0, delay_s))
        outcomes = [outcome(sample) for sample in samples]
        for made in outcomes:
            if isinstance(made, Made):
                for side in (made.record.a, made.record.b):
                    path = Path(out) / side.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()
        return outcomes

    return run


async def synthesize(
    out: str, pairs: int, *, delay_s: float = 0.0, seed: int = 0, of: Spec | None = None, **more: Any
) -> dict[str, Any]:
    """One run of the job over simulated stages."""
    of = of or spec()
    store = PairStore(out, of.id, of.settings.seed)
    async with FileLog(Path(out) / "ledger.jsonl") as log:
        run = more.pop("run_stages", None) or stages(out, delay_s, seed)
        return await Synthesis(of, run, store, log, pairs, **more).run()


def ids(out: str) -> list[str]:
    """The ids of a dataset's pairs, in order."""
    from actors.datasets import Dataset

    return [row["id"] for row in Dataset(out).rows(columns=("id",))]


if __name__ == "__main__":
    print("ready", flush=True)
    print(json.dumps(asyncio.run(synthesize(sys.argv[1], int(sys.argv[2]), delay_s=float(sys.argv[3])))))
