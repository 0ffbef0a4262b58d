"""The evaluation of the imagine loop, and the double loop around it."""

from __future__ import annotations

from pydantic import Field

from configs.base import RoomSettings


class LoopSettings(RoomSettings):
    """How much `evaluate imagine` and `loop` draw."""

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
    unseen: int = Field(default=512, ge=8)
    """Queries in sentences that no training has seen, on which `loop` measures."""
    best_of: int = Field(default=4, ge=2)
    """Draws a query of the arm that takes the best of several."""
    lessons: int = Field(default=1500, ge=1)
    """Made queries that the search's best strategy is tried on, for the policy to learn from."""
    attempts: int = Field(default=4, ge=1)
    """Prompts for each of them: the strategy's own, and variants."""
    seed: int = Field(default=7, ge=0)
