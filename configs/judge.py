"""Backends of the judge role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from configs.base import BackendSettings
from configs.engine import VllmSettings, one_source
from configs.http import ChatSettings, HttpSettings


class MeasuredSettings(BackendSettings):
    """Measures of the pixels against the query and the house brief; one small network, no service."""

    type: Literal["measured"] = "measured"
    worker: ClassVar[str] = "actors.judge.measured.worker:MeasuredJudge"
    brief_file: Path | None = None
    """YAML of a house brief to use in place of the shipped one."""
    weights: dict[str, float] = Field(
        default_factory=lambda: {
            "composition": 1.0,
            "color": 1.0,
            "lighting": 1.0,
            "style_fit": 1.0,
            "intent_match": 1.0,
            "legibility": 1.0,
            "technical": 0.5,
        }
    )
    """Weight of each dimension in the total, a weighted geometric mean of those present."""


class VlmSettings(BackendSettings):
    """A vision chat model as judge: behind an OpenAI-compatible service, or in our own engine."""

    type: Literal["vlm"] = "vlm"
    worker: ClassVar[str] = "actors.judge.vlm.worker:Vlm"
    http: HttpSettings = HttpSettings()
    engine: VllmSettings | None = None
    """vLLM in this cluster, in place of the service."""
    chat: ChatSettings = ChatSettings(temperature=0.0, max_tokens=1024)
    picture_side_px: int = Field(default=1024, ge=64, le=4096)
    """Longer side of the picture as it is sent; larger ones are reduced."""

    @model_validator(mode="after")
    def _one_source(self) -> VlmSettings:
        one_source(self.model_fields_set)
        return self


JudgeSettings = MeasuredSettings | VlmSettings
