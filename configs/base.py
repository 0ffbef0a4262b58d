"""Base of every room's settings."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class RoomSettings(BaseModel):
    """Immutable settings of one room; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackendSettings(RoomSettings):
    """Settings of one backend of a role. A subclass adds `type: Literal[...]` and names its worker.

    Adding a backend = one worker file + one subclass in the role's union.
    """

    worker: ClassVar[str]
    """`module:Class` of the worker built from these settings."""
