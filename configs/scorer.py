"""Backends of the scorer role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from configs.base import BackendSettings, RoomSettings


class NoScorerSettings(RoomSettings):
    """No learned scores: the reward rests on the judge alone."""

    type: Literal["none"] = "none"


class AestheticSettings(BackendSettings):
    """The AestheticModel, trained by `atelier train ranking`."""

    type: Literal["aesthetic"] = "aesthetic"
    worker: ClassVar[str] = "actors.scorer.worker:AestheticScorer"
    folder: Path | None = None
    """A trained scorer, as `atelier train ranking` leaves it; none = the shipped small one."""
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?|mps|xpu)$")
    batch: int = Field(default=32, ge=1, le=1024)
    """Pictures of like grid that are scored at once on an accelerator; on the CPU it is always one."""


ScorerSettings = NoScorerSettings | AestheticSettings
