"""Errors that cross Ray: each says what failed, the value, what is accepted and how to fix it."""

from __future__ import annotations

from actors.contracts import Failure


class AtelierError(Exception):
    """Base of all errors that Atelier raises. Picklable: the message is the only argument."""

    retryable = False


class BadInput(AtelierError):
    """What the caller gave cannot be used. Example: a 400-megapixel PNG given to `score`."""


class StageFailed(AtelierError):
    """A stage failed for a reason outside the input. Example: the generator's service is down."""


class TimedOut(StageFailed):
    """A wait ended without an answer; the message names the actor that was waited for."""

    retryable = True


def failure_of(error: BaseException, *, stage: str, item_id: str = "", attempts: int = 1) -> Failure:
    """The record that stands in for a result which an error prevented."""
    return Failure(
        stage=stage,
        kind=type(error).__name__,
        message=(str(error) or repr(error))[:1000],
        item_id=item_id,
        attempts=attempts,
        retryable=bool(getattr(error, "retryable", False)),
    )
