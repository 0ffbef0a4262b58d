"""The reward model: what is expected of an answer before it is drawn."""

from __future__ import annotations

from pydantic import Field

from configs.base import RoomSettings


class RewardModelSettings(RoomSettings):
    """What predicts from a query and an answer whether the draw is admitted."""

    crosses: tuple[int, ...] = Field(default=(0, 0, 2, 2), min_length=1)
    """Cross layers (DCN-V2, Wang et al. 2021, arXiv 2008.13535) of each network; the mean of all is taken.
    Networks with them learn from fewer draws, those without err less where nothing was drawn."""
    width: int = Field(default=24, ge=1)
    """Of an embedding."""
    hidden: int = Field(default=512, ge=1)
    layers: int = Field(default=3, ge=1)
    dropout: float = Field(default=0.15, ge=0, lt=1)
    cross_dropout: float = Field(default=0.4, ge=0, lt=1)
    """Of networks with cross layers."""
    batch: int = Field(default=512, ge=1)
    """At most; no more than a fiftieth of what there is to learn from, or 64."""
    lr: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.02, ge=0)
    threads: int = Field(default=2, ge=1)
    """Networks that are fitted at once."""
