"""What the PromptBank keeps and recalls."""

from __future__ import annotations

from pydantic import Field

from configs.base import RoomSettings


class BankSettings(RoomSettings):
    """Recall sizes and forgetting."""

    good: int = Field(default=24, ge=0, le=200)
    """Priors recalled for a query."""
    bad: int = Field(default=48, ge=0, le=200)
    """Failures recalled for a query."""
    half_life_days: float = Field(default=30.0, gt=0)
    """Age at which a memory counts half."""
    capacity: int = Field(default=20_000, ge=1)
    """Memories kept; the least worth are forgotten first."""
