"""The evaluation of the imagine loop."""

from __future__ import annotations

from pydantic import Field

from configs.base import RoomSettings


class LoopSettings(RoomSettings):
    """How much `demo` and `evaluate imagine` draw."""

    covers: int = Field(default=64, ge=1)
    """Cover queries evaluated."""
    real: int = Field(default=16, ge=0)
    """Real-wording queries evaluated apart."""
    draws: int = Field(default=2, ge=1)
    """Fresh seeds a query and arm."""
    warm_queries: int = Field(default=96, ge=0)
    """Other queries that fill the PromptBank before it is measured."""
    warm_draws: int = Field(default=6, ge=1)
    """Draws for each of them."""
    suffix_trials: int = Field(default=1200, ge=0)
    """Draws that the search of the best constant suffix may spend."""
    seed: int = Field(default=7, ge=0)
