"""How long the trainer waits for rewards that take a while: `python -m benchmarks.overlap`. Prints JSON.

The latency of rewards is simulated (a sleep for each batch of answers); sampling and learning are real, with
the shipped settings of a step. `ahead` 0 judges a batch and then learns from it, 1 judges the next meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from actors.contracts import Draw, Failure, Judgement, Reward
from actors.policy.tiny.tokens import Tokens
from actors.studio import Job
from actors.vocabulary import keys
from configs.load import load
from train_jobs.ppo.job import made_queries
from train_jobs.ppo.start import new
from train_jobs.ppo.trainer import Trainer

WARM = 2
"""First steps that are not counted."""


def idle(ahead: int, steps: int, latency_s: float) -> dict[str, float]:
    """Share of the time in which the trainer waited, and seconds a step."""
    settings = load("embedded", [f"ppo.ahead={ahead}", f"ppo.steps={steps + WARM}"], environ={}).ppo
    tokens = Tokens(keys("subject"))

    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        await asyncio.sleep(latency_s)
        return [_draw(job) for job in jobs]

    rows: list[dict[str, float]] = []
    trainer = Trainer(
        settings,
        new(tokens, 0),
        tokens,
        made_queries(settings),
        rate,
        watch=lambda step, total, metrics: rows.append(metrics),
    )
    began = time.monotonic()
    asyncio.run(trainer.run())
    counted = rows[WARM:]
    return {
        "idle": statistics.mean(row["idle"] for row in counted),
        "seconds_a_step": (time.monotonic() - began) / len(rows),
    }


def _draw(job: Job) -> Draw:
    value = (job.seed % 100) / 100
    outcome = Reward(value=value, admitted=value > 0.7, gates={}, picture=value, prompt=value, parts={})
    return Draw(
        query_id=job.query.id,
        index=job.index,
        prompt=job.prompt,
        judgement=Judgement(scores={}, judge_version="simulated"),
        reward=outcome,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--latency-ms", type=float, default=300.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"latency_ms": options.latency_ms, "load": os.getloadavg()[0]}
    for ahead in (0, 1):
        report[f"ahead_{ahead}"] = idle(ahead, options.steps, options.latency_ms / 1000)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
