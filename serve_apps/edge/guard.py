"""The one dependency that stands before every router: who calls, with which scope, how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.types import Scope as AsgiScope

from configs.serve import ServeSettings
from serve_apps.edge.keys import KeyStore, Scope
from serve_apps.edge.problems import ErrorBody, Problem

_bearer = HTTPBearer(auto_error=False, description="An API key `id.secret`, made by `atelier keys`.")


@dataclass(frozen=True)
class Caller:
    """Who makes a request."""

    id: str
    admin: bool = False

    def may_see(self, owner: str) -> bool:
        """Whether what belongs to an owner may be shown to this caller."""
        return self.admin or self.id == owner


LOCAL = Caller("local", admin=True)
"""The caller where no key is required."""


@dataclass
class RateLimit:
    """A token bucket a caller: `per_minute` at once at most, refilled evenly."""

    per_minute: float
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, caller: str) -> float:
        """Take one token. Returns 0, or the seconds until there is one."""
        now = self.clock()
        rate, capacity = self.per_minute / 60, max(1.0, self.per_minute)
        tokens, then = self._buckets.get(caller, (capacity, now))
        tokens = min(capacity, tokens + (now - then) * rate)
        if tokens < 1:
            return (1 - tokens) / rate
        self._buckets[caller] = (tokens - 1, now)
        return 0.0


class Gatekeeper:
    """Keys and rates of one replica; kept in `app.state.gatekeeper`."""

    def __init__(self, settings: ServeSettings, keys: KeyStore | None = None) -> None:
        self._required = settings.require_key
        self._keys = keys or KeyStore(settings.keys_file)
        # Each replica counts for itself, so each gets its part of what a key may do in all.
        self._rate = RateLimit(settings.rate_per_minute / settings.replicas)

    def knows(self, scope: AsgiScope) -> bool:
        """Whether a request carries a valid key, read from its raw headers."""
        if not self._required:
            return True
        header = next((v for k, v in scope["headers"] if k == b"authorization"), b"").decode("latin-1")
        kind, _, token = header.partition(" ")
        return kind.lower() == "bearer" and self._keys.verify(token.strip()) is not None

    def admit(self, token: str | None, scopes: list[str]) -> Caller:
        """The caller that a token proves, counted against its rate.

        Raises:
            Problem: 401 no valid key, 403 a scope is missing, 429 too many requests.
        """
        caller = LOCAL if not self._required else self._identify(token, scopes)
        if wait := self._rate.take(caller.id):
            raise Problem(429, f"too many requests; accepted again in {wait:.1f} s", retry_after_s=wait)
        return caller

    def _identify(self, token: str | None, scopes: list[str]) -> Caller:
        if token is None:
            raise Problem(401, "no API key; accepted: header `Authorization: Bearer id.secret`")
        key = self._keys.verify(token)
        if key is None:
            raise Problem(
                401, "the API key is unknown, revoked or expired; make one with `atelier keys create`"
            )
        for scope in scopes:
            if not key.allows(scope):
                raise Problem(
                    403, f"the API key has not the scope {scope!r}; it has: {', '.join(key.scopes)}"
                )
        return Caller(key.id, admin="admin" in key.scopes)


async def guard(
    request: Request,
    scopes: SecurityScopes,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """The caller of a guarded route."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    request.state.caller = gatekeeper.admit(credentials.credentials if credentials else None, scopes.scopes)
    return caller_of(request)


def caller_of(request: Request) -> Caller:
    """The caller that the guard let in."""
    caller: Caller = request.state.caller
    return caller


def guarded_router(scope: Scope) -> APIRouter:
    """A router whose every route needs a key with the scope."""
    errors: dict[int | str, dict[str, Any]] = {status: {"model": ErrorBody} for status in ("4XX", "5XX")}
    return APIRouter(dependencies=[Security(guard, scopes=[scope])], responses=errors)
