"""Settings of the policy's training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from configs.base import RoomSettings
from configs.pool import PoolSettings
from configs.training import LoggedSettings


class WarmStartSettings(RoomSettings):
    """Supervised fine-tuning on the search's winners."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=64, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    """Norm to which gradients are cut."""


class ClipSettings(RoomSettings):
    """How far one step may move the policy, the critic and the gradients."""

    low: float = Field(default=0.2, ge=0, le=1)
    """Tokens worse than expected stop at a ratio of 1 - low."""
    high: float = Field(default=0.2, ge=0)
    """Tokens better than expected stop at a ratio of 1 + high."""
    dual: float | None = Field(default=3.0, gt=1)
    """Tokens worse than expected stop at this ratio; none = no such bound."""
    value: float | None = Field(default=0.2, ge=0)
    """Values move no further than this; none = no such bound."""
    norm: float = Field(default=1.0, gt=0)
    """Norm to which gradients are cut."""


class KlSettings(RoomSettings):
    """What distance from the warm start costs."""

    coefficient: float = Field(default=0.005, ge=0)
    estimator: Literal["k1", "k2", "k3"] = "k1"
    target: float | None = Field(default=None, gt=0)
    """Wanted divergence of an answer, nats; the coefficient is then adapted (Ziegler et al. 2019)."""
    horizon: int = Field(default=10_000, ge=1)
    """Answers in which an error of 20% changes the coefficient by 20%."""


class PpoSettings(LoggedSettings):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347)."""

    wandb_project: str = "atelier-policy"
    steps: int = Field(default=150, ge=1)
    """Batches of answers that are sampled, drawn, judged and learnt from."""
    batch: int = Field(default=256, ge=1)
    """Answers a step, of all workers."""
    group: int = Field(default=1, ge=1)
    """Answers to one query."""
    advantages: Literal["gae", "grpo", "rloo"] = "gae"
    """With a critic (gae), or against the other answers of the group."""
    epochs: int = Field(default=2, ge=1)
    minibatches: int = Field(default=2, ge=1)
    """Optimiser steps an epoch."""
    micro_tokens: int = Field(default=4096, ge=1)
    """Tokens, padding included, that a worker holds at once; a larger share of a step is accumulated."""
    lr: float = Field(default=5e-4, gt=0)
    critic_lr: float = Field(default=1e-3, gt=0)
    warm_up: int = Field(default=5, ge=0)
    """Steps in which the critic alone learns and the policy's rate rises."""
    clip: ClipSettings = ClipSettings()
    kl: KlSettings = KlSettings()
    entropy: float = Field(default=0.01, ge=0)
    """Weight of the entropy bonus."""
    discount: float = Field(default=1.0, ge=0, le=1)
    decay: float = Field(default=1.0, ge=0, le=1)
    """GAE's lambda."""
    admitted: float = Field(default=1.0, ge=0)
    """What an admission is worth beside the reward's value, 0..1."""
    correction: float = Field(default=2.0, gt=0)
    """Cap of the importance weights of answers that an older policy, or another engine, has sampled."""
    ahead: int = Field(default=1, ge=0, le=1)
    """Batches that are sampled and judged while the one before is learnt from."""
    warm_start: WarmStartSettings = WarmStartSettings()
    workers: int = Field(default=1, ge=0)
    """Processes of Ray Train; 0 = train in this one."""
    threads: int = Field(default=1, ge=1)
    """Of torch, a worker; more than one helps large models on cores that nothing else uses."""
    raters: PoolSettings = PoolSettings(workers=2, batch=8)
    """What draws and judges the answers, divided among the workers; 0 = the workers themselves."""
    strangers: int = Field(default=9, ge=0)
    """Subjects that training never names, on which the policy is measured apart."""
    checkpoint_steps: int = Field(default=25, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch % self.group:
            raise ValueError(f"batch {self.batch} is not a multiple of group {self.group}")
        if self.advantages != "gae" and self.group == 1:
            raise ValueError(f"advantages {self.advantages} with group 1; accepted: group 2 or more, or gae")
        return self
