"""Backends of the audit role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from configs.base import BackendSettings
from configs.http import HttpSettings


class RulesSettings(BackendSettings):
    """Local term lists in Chinese and English, and picture checks. No service."""

    type: Literal["rules"] = "rules"
    worker: ClassVar[str] = "actors.audit.rules:Rules"
    terms_file: Path | None = None
    """YAML of terms to use in place of the shipped ones."""
    min_side_px: int = Field(default=64, ge=1)
    max_side_px: int = Field(default=4096, ge=1)
    blank_spread: float = Field(default=1.0, ge=0)
    """A picture whose grey levels (0..255) have a smaller standard deviation is blank."""


class HttpAuditSettings(BackendSettings):
    """A moderation service behind the local rules: what the rules refuse is never sent."""

    type: Literal["http"] = "http"
    worker: ClassVar[str] = "actors.audit.http:HttpAudit"
    http: HttpSettings = HttpSettings(model="omni-moderation-latest")
    rules: RulesSettings = RulesSettings()
    send_pictures: bool = True
    """Whether the service takes pictures; if not, pictures have the local checks alone."""


AuditSettings = RulesSettings | HttpAuditSettings
