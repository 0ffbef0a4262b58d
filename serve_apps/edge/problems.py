"""Every error of every app as one JSON shape: `{"error": {code, message, field?, request_id}}`.

Paths under `/v1/images/` answer in the shape that clients of the OpenAI API expect.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from actors.artifacts import ArtifactCorrupt, ArtifactMissing
from actors.errors import AtelierError, BadInput, StageFailed, TimedOut
from actors.ledger import EventConflict

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    422: "invalid",
    429: "rate_limited",
    500: "internal",
    503: "unavailable",
    504: "timeout",
}


class ErrorDetail(BaseModel):
    """What went wrong. `field` names the part of the request that is at fault."""

    code: str
    message: str
    field: str | None = None
    request_id: str


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorDetail


OPENAI_PREFIX = "/v1/images/"
SHOWN_CHARS = 80
"""How much of a refused value an error repeats."""


class Problem(Exception):
    """An error with an HTTP status, ready to be shown to the caller."""

    def __init__(
        self, status: int, message: str, field: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(status, message, field, retry_after_s)
        self.status = status
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s


class Overloaded(StageFailed):
    """A queue is full. Example: more imagine jobs than `serve.imagine.max_queued` are waiting."""

    retryable = True


_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (BadInput, 422),
    (EventConflict, 409),
    (TimedOut, 504),
    (StageFailed, 503),
)


def problem_of(error: Exception) -> Problem:
    """What the caller is told about an error; nothing of the inside is shown for an unforeseen one."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _validation(error)
        case HTTPException():
            return Problem(error.status_code, str(error.detail))
        case TimeoutError():
            return Problem(504, "the request took too long; try again, or ask for less", retry_after_s=5)
        case ArtifactMissing():
            return Problem(404, "no picture has this hash; accepted: the sha256 of a stored picture")
        case ArtifactCorrupt():
            return Problem(500, "the stored picture is damaged; draw it again")
        case Overloaded():
            return Problem(503, str(error), retry_after_s=2)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return Problem(status, str(error), retry_after_s=5 if status in (503, 504) else None)
    return Problem(500, "something failed inside; the request id finds it in the log")


def response_of(problem: Problem, path: str, request_id: str) -> JSONResponse:
    """The problem as a response, in the shape that the path's callers expect."""
    code = CODES.get(problem.status, "error")
    body: dict[str, Any]
    if path.startswith(OPENAI_PREFIX):
        kind = "invalid_request_error" if problem.status < 500 else "server_error"
        body = {"message": problem.message, "type": kind, "param": problem.field, "code": code}
    else:
        body = {"code": code, "message": problem.message}
        if problem.field:
            body["field"] = problem.field
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
    return JSONResponse({"error": body | {"request_id": request_id}}, problem.status, headers)


def install(app: FastAPI) -> None:
    """Answer all foreseen errors of an app in the one shape."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        return response_of(problem_of(error), request.url.path, request.state.request_id)

    for kind in (Problem, RequestValidationError, HTTPException, AtelierError, TimeoutError):
        app.add_exception_handler(kind, handle)


def _validation(error: RequestValidationError) -> Problem:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or None
    if first["type"] == "json_invalid":
        return Problem(400, f"the body is not JSON: {first.get('ctx', {}).get('error', first['msg'])}")
    if first["type"] == "missing" and field is None:
        return Problem(400, "the body is empty; accepted: a JSON object")
    if field is None and isinstance(first.get("input"), bytes):
        return Problem(400, "the body is not read as JSON; accepted: header `Content-Type: application/json`")
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return Problem(422, f"{field} is missing; accepted: {reason}", field)
    if first["type"] == "extra_forbidden":
        return Problem(422, f"{field} is not a field of this request; see /openapi.json", field)
    value = shown(first.get("input"))
    return Problem(422, f"{field or 'the body'}: {value} is not accepted: {reason}", field)


def shown(value: object) -> str:
    """A refused value, short and printable."""
    text = ascii(value) if not str(value).isprintable() else repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
