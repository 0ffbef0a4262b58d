"""The training of the scorer on judged pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.base import RoomSettings
from configs.training import LoggedSettings

Precision = Literal["auto", "float32", "bfloat16"]
Preset = Literal["small", "vit-l-14", "vit-l-14-336"]


class StartSettings(RoomSettings):
    """What the towers know before the first pair."""

    folder: Path | None = None
    """A scorer's or the towers' folder, of the same preset; none = the shipped towers of `small`."""
    image: Path | None = None
    """OpenCLIP weights of the image tower, a safetensors file."""
    text: Path | None = None
    """Hugging Face folder of an XLM-RoBERTa with its `tokenizer.json`."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.folder and (self.image or self.text):
            raise ValueError("folder together with image or text; accepted: a folder, or weights of towers")
        return self


class FreezingSettings(RoomSettings):
    """Which blocks of the towers train, and from when on."""

    head_epochs: float = Field(default=0.25, ge=0)
    """Epochs in which projections and heads train alone."""
    image_blocks: int = Field(default=0, ge=0)
    """Last blocks of the image tower that train after that; as many as it has = all of it."""
    text_blocks: int = Field(default=0, ge=0)
    """Last blocks of the text tower that train after that."""


class RateSettings(RoomSettings):
    """AdamW (Loshchilov & Hutter 2019), cosine schedule with a linear warm-up."""

    heads: float = Field(default=3e-3, gt=0)
    """Highest learning rate of projections and heads."""
    towers: float = Field(default=3e-4, gt=0)
    """Highest learning rate of the towers' blocks."""
    decay: float = Field(default=0.1, ge=0)
    wish_decay: float = Field(default=2.0, ge=0)
    """Of the layer from what a request says to what it wants: few of its weights have a reason to be."""
    warm_up: float = Field(default=0.05, ge=0, lt=1)
    """Share of all steps in which the rates rise."""
    last: float = Field(default=0.02, ge=0, le=1)
    """Share of the highest rates that is left at the end."""


class SplitSettings(RoomSettings):
    """How pairs are kept apart: by combination of subject and style, see `train_jobs.ranking.split`."""

    validation: float = Field(default=0.04, gt=0, lt=0.5)
    """Share of the combinations."""
    test: float = Field(default=0.08, gt=0, lt=0.5)
    """Share of the combinations."""
    mix_generators: bool = False
    """Train on all generators; else the one with the fewest pairs is kept for the test."""


class RankingSettings(LoggedSettings):
    """Model, data, optimisation and bookkeeping of `atelier train ranking`."""

    preset: Preset = "small"
    start: StartSettings = StartSettings()
    dimensions: dict[str, float] = Field(
        default_factory=lambda: {
            "total": 2.0,
            "composition": 1.0,
            "color": 1.0,
            "lighting": 1.0,
            "style_fit": 1.0,
            "intent_match": 1.0,
            "legibility": 1.0,
            "technical": 0.5,
        },
        min_length=1,
    )
    """Heads, and the weight of each in the loss."""
    epochs: int = Field(default=24, ge=1)
    batch: int = Field(default=64, ge=1)
    """Pairs a step, over all workers."""
    micro_tokens: int = Field(default=16384, ge=64)
    """Patches, padding included, that a worker holds at once; a larger share of a step is accumulated."""
    margin: float = Field(default=3.0, ge=0)
    """By how much the scores of a surely decided pair shall differ beyond what its label says."""
    rates: RateSettings = RateSettings()
    freezing: FreezingSettings = FreezingSettings()
    split: SplitSettings = SplitSettings()
    clip: float = Field(default=1.0, gt=0)
    """Norm to which gradients are cut."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay a step of an average of the weights, which is then what is kept."""
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation accuracy before training stops."""
    precision: Precision = "auto"
    """auto = bfloat16 on a GPU, float32 on a CPU: one without bfloat16 units takes ten times as long."""
    workers: int = Field(default=2, ge=0)
    """Processes of Ray Train; 0 = train in this one."""
    gpus: bool = False
    """One GPU a worker."""
    wandb_project: str = "atelier-ranking"
    checkpoint_steps: int = Field(default=200, ge=1)
    """Steps between checkpoints; there is one after each epoch too."""
    cache_mb: int = Field(default=2048, ge=0)
    """Memory a worker may fill with prepared pictures."""
    seed: int = Field(default=3, ge=0)

    @field_validator("dimensions")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        wrong = {name: weight for name, weight in weights.items() if not weight > 0}
        if wrong:
            raise ValueError(
                f"weights {wrong}; accepted: numbers above 0; leave a dimension out to drop its head"
            )
        return weights

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.workers and self.batch % self.workers:
            raise ValueError(
                f"batch {self.batch} over {self.workers} workers; accepted: a multiple of workers"
            )
        return self
