"""Backends of the policy role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from configs.base import BackendSettings
from configs.http import ChatSettings, HttpSettings


class ExpanderSettings(BackendSettings):
    """Rules that read the query's facets and pin down what it leaves open."""

    type: Literal["expander"] = "expander"
    worker: ClassVar[str] = "actors.policy.expander:Expander"
    strategy_file: Path | None = None
    """YAML of strategy components to use in place of the shipped ones."""


class LlmSettings(BackendSettings):
    """A chat model that writes the prompts, behind an OpenAI-compatible service."""

    type: Literal["llm"] = "llm"
    worker: ClassVar[str] = "actors.policy.llm:Llm"
    http: HttpSettings = HttpSettings()
    chat: ChatSettings = ChatSettings(temperature=0.8)


PolicySettings = ExpanderSettings | LlmSettings
