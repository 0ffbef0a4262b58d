"""A studio whose best answer is known: retro in soft light, or another style for each frame."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from actors.context import shape_of
from actors.contracts import Draw, Failure, Picture, Query, Reward
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.tokens import Tokens
from actors.studio import Job
from actors.vocabulary import read
from configs.ppo import KlSettings, PpoSettings
from train_jobs.ppo.start import new

WANTED = {"tall": "retro", "square": "flat", "wide": "watercolour"}
SETTINGS = PpoSettings(
    steps=25,
    batch=64,
    epochs=2,
    minibatches=2,
    lr=5e-3,
    critic_lr=3e-3,
    warm_up=2,
    last_rate=1.0,
    advantages="gae",
    group=1,
    decay=1.0,
    entropy=0.01,
    smoothing=0.0,
    kl=KlSettings(coefficient=0),
    checkpoint_steps=7,
)


@cache
def tokens() -> Tokens:
    return Tokens(())


def actor(seed: int = 0) -> CausalLm:
    return new(tokens(), seed, width=32, hidden=64, layers=1, heads=2)


def queries(index: int) -> Query:
    dice = random.Random(index)
    return Query.of(f"something {index}", aspect=dice.choice(("3:4", "1:1", "16:9")), lang="en")


def worth(job: Job, style: str = "retro") -> float:
    """0..1, with noise of the draw's seed."""
    said = read(job.prompt.text.removeprefix(job.query.text))
    right, soft = said.keys("style") == (style,), said.keys("light") == ("soft",)
    return min(1.0, max(0.0, 0.6 * right + 0.3 * soft + random.Random(job.seed).uniform(-0.1, 0.1)))


def draw_of(job: Job, value: float) -> Draw:
    """The draw that earned so much."""
    picture = Picture(
        sha256="0" * 64, width=1, height=1, prompt_id=job.prompt.id, seed=job.seed, generator_version="bandit"
    )
    reward = Reward(
        value=value, admitted=value > 0.75, gates={"intent": True}, picture=value, prompt=value, parts={}
    )
    return Draw(query_id=job.query.id, index=0, prompt=job.prompt, picture=picture, reward=reward)


async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
    """Retro, whatever the frame."""
    return [draw_of(job, worth(job)) for job in jobs]


async def rate_by_frame(jobs: Sequence[Job]) -> list[Draw | Failure]:
    """Another style for each frame."""
    return [draw_of(job, worth(job, WANTED[shape_of(job.query.aspect)])) for job in jobs]
