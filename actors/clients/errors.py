"""What can go wrong with a service. The messages name the host, never the key."""

from __future__ import annotations

from actors.errors import StageFailed, TimedOut


class ClientError(StageFailed):
    """Base of a service's errors."""


class Unreachable(ClientError):
    """No connection, or it was lost. Example: connection refused."""

    retryable = True


class RateLimited(ClientError):
    """The service kept answering 429 until the deadline, or asks to wait beyond it."""

    retryable = True


class ServiceFailed(ClientError):
    """The service answered 5xx. Example: 503 after all retries."""

    retryable = True


class Refused(ClientError):
    """The service will not do this call. Example: 401, an unknown model, a content filter."""


class BadAnswer(ClientError):
    """The answer is not what the interface promises. Example: HTML, truncated JSON, a missing field."""


class SpendCapReached(ClientError):
    """The call could cost more than is left under the spend cap; it was not made."""


__all__ = [
    "BadAnswer",
    "ClientError",
    "RateLimited",
    "Refused",
    "ServiceFailed",
    "SpendCapReached",
    "TimedOut",
    "Unreachable",
]
