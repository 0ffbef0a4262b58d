"""The judge's calibration, and the gate that it must pass before it judges in mass."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.base import RoomSettings

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class GateSettings(RoomSettings):
    """What a judge must reach. Accuracy and ECE are measured on requests that were not fitted on."""

    max_parse_failure_rate: Share = 0.02
    """Questions without a readable answer."""
    max_tie_rate: Share = 0.3
    min_swap_consistency: Share = 0.8
    """Pairs on which both presentation orders agree; asked of comparative judging only."""
    min_pairs: int = Field(default=24, ge=1)
    """Pairs with a winner: with fewer, the numbers below say nothing."""
    min_accuracy: Share = 0.6
    """Lower end of the 95% interval of the pair accuracy."""
    max_ece: Share = 0.15
    """Expected calibration error of the calibrated probabilities."""


class CalibrationSettings(RoomSettings):
    """How a judge is measured against anchors."""

    mode: Literal["auto", "pointwise", "comparative"] = "auto"
    """`auto` compares two pictures at once with a `vlm` judge, and scores each alone with any other."""
    raw_slope: float = Field(default=10.0, gt=0.0)
    """Log-odds a unit of score difference (0..1) that an uncalibrated pointwise judge is read with: one for
    each point of ten."""
    folds: int = Field(default=2, ge=2, le=20)
    """Parts that the requests are split into; each is measured with what was fitted on the others."""
    l2: float = Field(default=0.25, gt=0.0)
    """Penalty on the weights, for differences scaled to unit size."""
    resamples: int = Field(default=400, ge=100, le=10_000)
    """Resamples of whole requests behind each interval and each test."""
    seed: int = Field(default=7, ge=0)
    batch: int = Field(default=64, ge=1, le=4096)
    """Questions handed to the judge at once."""
    queries: int = Field(default=96, ge=2)
    """Queries that constructed anchors are drawn for, where no human anchors are given."""
    gate: GateSettings = GateSettings()
