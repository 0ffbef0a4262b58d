"""The outermost layer of every app: request ids, body size, time, and no error without an answer."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configs.serve import ServeSettings
from serve_apps.edge.guard import Gatekeeper
from serve_apps.edge.problems import problem_of, response_of

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
STRANGER_BYTES = 16 * 1024
"""Body that is read from a caller who has shown no valid key."""
_log = logging.getLogger(__name__)


class EdgeLimits:
    """ASGI middleware. The body is counted as it streams; `Content-Length` is not believed."""

    def __init__(
        self, app: ASGIApp, settings: ServeSettings, gatekeeper: Gatekeeper, proxied: bool = False
    ) -> None:
        self._app = app
        self._settings = settings
        self._gatekeeper = gatekeeper
        self._proxied = proxied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False
        deadline = asyncio.timeout(self._settings.request_timeout_s)

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if not self._proxied:
                    headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        async def answer(message: Message) -> None:
            nonlocal started
            if not started and not deadline.expired():
                deadline.reschedule(None)
            started = True
            await stamped(message)

        try:
            async with deadline:
                await self._app(scope, self._counted(scope, receive), answer)
        # Absorbs bugs of any route: the caller gets a 500 with the request id, the log gets the traceback.
        except Exception as error:
            problem = problem_of(error)
            if problem.status == 500:
                _log.exception("request %s failed: %s %s", request_id, scope["method"], scope["path"])
            if started:
                raise
            await response_of(problem, scope["path"], request_id)(scope, receive, stamped)

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        read = 0
        limit: int | None = None

        async def counted() -> Message:
            nonlocal read, limit
            message: dict[str, Any] = dict(await receive())
            read += len(message.get("body", b""))
            if read > STRANGER_BYTES:
                if limit is None:
                    known = self._gatekeeper.knows(scope)
                    limit = self._settings.max_body_bytes if known else STRANGER_BYTES
                if read > limit:
                    raise _too_large(limit)
            return message

        return counted


def _too_large(limit: int) -> HTTPException:
    # FastAPI turns whatever interrupts the reading of a body into a 400, except an HTTPException.
    if limit == STRANGER_BYTES:
        return HTTPException(401, "no valid API key came with this large body; accepted: `Bearer id.secret`")
    return HTTPException(413, f"the body is larger than {limit} bytes, which is the most that is accepted")
