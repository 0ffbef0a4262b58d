"""How draws become rewards. The bar is frozen with the profile."""

from __future__ import annotations

from pydantic import Field

from configs.base import RoomSettings


class RewardSettings(RoomSettings):
    """Weights, gate and bar of the reward."""

    bar: float = Field(default=0.7, ge=0, le=1)
    """Least picture value that is admitted."""
    intent_gate: float = Field(default=0.5, ge=0, le=1)
    prompt_weight: float = Field(default=0.2, ge=0, le=1)
    """Share of the prompt evaluation in the reward; the picture has the rest."""
    scorer_weight: float = Field(default=0.5, ge=0, le=1)
    """Share of the learned scorer in the picture value, where one is installed."""
    weights: dict[str, float] = Field(
        default_factory=lambda: {
            "composition": 1.0,
            "color": 1.0,
            "lighting": 1.0,
            "style_fit": 1.0,
            "legibility": 1.0,
            "technical": 0.5,
        }
    )
    """Weight of each judge dimension in the picture value; a dimension without a weight is left out."""
