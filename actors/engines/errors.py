"""What can go wrong with an engine."""

from __future__ import annotations

from actors.errors import AtelierError, BadInput, StageFailed, TimedOut


class EngineDied(StageFailed):
    """The engine's process is gone or its weights are half written. Example: it was killed."""

    retryable = True


class EngineRefused(BadInput):
    """The request or the model cannot be used. Example: a prompt longer than max_model_len."""


ERRORS: dict[str, type[AtelierError]] = {
    kind.__name__: kind for kind in (EngineDied, EngineRefused, BadInput, StageFailed, TimedOut)
}
"""Errors that the actor answers, by name."""
