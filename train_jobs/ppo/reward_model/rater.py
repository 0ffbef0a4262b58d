"""Imagined draws: what a reward model expects of a prompt, in place of a picture and a judge."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import torch

from actors.contracts import Dimension, Draw, Failure, Judgement, Reward
from actors.studio import Job
from actors.vocabulary import read, read_query
from train_jobs.ppo.reward_model.features import GATES, Features
from train_jobs.ppo.reward_model.model import TOLD, RewardModel

VERSION = "reward-model"
"""What judged an imagined draw."""


class ModelRater:
    """Rates prompts by a reward model.

    Args:
        path: of the model's file.

    Raises:
        BadInput: see `RewardModel.opened`.
    """

    def __init__(self, path: Path) -> None:
        self._features = Features()
        self._model = RewardModel.opened(path, self._features)

    async def rate(self, jobs: Sequence[Job]) -> list[Draw | Failure]:
        """An imagined draw a job, without a picture: its value is the chance to be admitted, it counts as
        admitted where that is above a half, and its parts are what is expected of each dimension that a
        judge would score."""
        return await asyncio.to_thread(self._rate, jobs)

    def _rate(self, jobs: Sequence[Job]) -> list[Draw | Failure]:
        features = self._features
        rows = [features.row(job.query, features.answer(job.query, read(job.prompt.text))) for job in jobs]
        expected = self._model.expected(torch.tensor(rows)).tolist()
        return [_draw(job, *told) for job, told in zip(jobs, expected, strict=True)]


def _draw(job: Job, chance: float, *told: float) -> Draw:
    unscored = {*GATES, *(() if read_query(job.query).title else (Dimension.LEGIBILITY,))}
    parts = {name: each for name, each in zip(TOLD, told, strict=True) if name not in unscored}
    reward = Reward(
        value=chance,
        admitted=chance > 0.5,
        gates={"intent": parts[Dimension.INTENT_MATCH] > 0.5},
        picture=chance,
        prompt=1.0,
        parts=parts,
        versions={"judge": VERSION},
    )
    judged = Judgement(scores={}, judge_version=VERSION)
    return Draw(
        query_id=job.query.id,
        index=job.index,
        prompt=job.prompt,
        picture=None,
        judgement=judged,
        reward=reward,
    )
