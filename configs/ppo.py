"""Settings of the policy's training."""

from __future__ import annotations

from pydantic import Field

from configs.base import RoomSettings


class WarmStartSettings(RoomSettings):
    """Supervised fine-tuning on the search's winners."""

    steps: int = Field(default=300, ge=1)
    batch: int = Field(default=64, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""


class PpoSettings(RoomSettings):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347)."""

    steps: int = Field(default=150, ge=1)
    """Batches of answers that are sampled, drawn, judged and learnt from."""
    batch: int = Field(default=256, ge=1)
    """Answers a step."""
    group: int = Field(default=1, ge=1)
    """Answers to each query of a step."""
    epochs: int = Field(default=2, ge=1)
    minibatches: int = Field(default=2, ge=1)
    """Optimiser steps an epoch."""
    lr: float = Field(default=5e-4, gt=0)
    critic_lr: float = Field(default=1e-3, gt=0)
    clip: float = Field(default=1.0, gt=0)
    entropy: float = Field(default=0.01, ge=0)
    kl: float = Field(default=0.005, ge=0)
    discount: float = Field(default=1.0, ge=0, le=1)
    decay: float = Field(default=1.0, ge=0, le=1)
    admitted: float = Field(default=1.0, ge=0)
    """What an admission adds to the reward's value."""
