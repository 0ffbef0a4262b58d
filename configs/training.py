"""What every training's settings have."""

from __future__ import annotations

from typing import Literal

from configs.base import RoomSettings


class LoggedSettings(RoomSettings):
    """Where a training's curve is sent."""

    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)
    wandb_project: str = "atelier"
