"""Backends of the policy role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from configs.base import BackendSettings
from configs.engine import VllmSettings, one_source
from configs.http import ChatSettings, HttpSettings


class ExpanderSettings(BackendSettings):
    """Rules that read the query's facets and pin down what it leaves open."""

    type: Literal["expander"] = "expander"
    worker: ClassVar[str] = "actors.policy.expander:Expander"
    strategy_file: Path | None = None
    """YAML of strategy components to use in place of the shipped ones."""


class LlmSettings(BackendSettings):
    """A chat model that writes the prompts: behind an OpenAI-compatible service, or in our own engine."""

    type: Literal["llm"] = "llm"
    worker: ClassVar[str] = "actors.policy.llm:Llm"
    http: HttpSettings = HttpSettings()
    engine: VllmSettings | None = None
    """vLLM in this cluster, in place of the service."""
    chat: ChatSettings = ChatSettings(temperature=0.8)

    @model_validator(mode="after")
    def _one_source(self) -> LlmSettings:
        one_source(self.model_fields_set)
        return self


class TinySettings(BackendSettings):
    """A small transformer of our own, trained by search and reinforcement; greedy in use."""

    type: Literal["tiny"] = "tiny"
    worker: ClassVar[str] = "actors.policy.tiny.worker:Tiny"
    weights: Path | None = None
    """A trained policy's folder to use in place of the shipped one."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the second and further proposals for a query; the first is the likeliest."""


PolicySettings = ExpanderSettings | TinySettings | LlmSettings
