"""Reading what a service sent: bounded bytes, JSON, typed models, and what an error says."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from actors.clients.errors import BadAnswer

EXCERPT = 200


class Answer(BaseModel):
    """Base of typed answers: fields that Atelier does not use are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


A = TypeVar("A", bound=Answer)


async def read_body(response: httpx.Response, most: int, name: str) -> bytes:
    """The body, at most `most` bytes of it after decompression.

    Raises:
        BadAnswer: it is larger.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > most:
            raise BadAnswer(
                f"{name} answers with more than max_answer_bytes {most} bytes; raise it if that is right"
            )
        chunks.append(chunk)
    return b"".join(chunks)


def read_json(body: bytes, name: str) -> dict[str, Any]:
    """The JSON object in a body.

    Raises:
        BadAnswer: it is a web page, damaged, or another kind of JSON.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        if body.lstrip()[:1] == b"<":
            raise BadAnswer(
                f"{name} answers with a web page where JSON is due; is base_url right? It begins: "
                f"{excerpt(body)}"
            ) from None
        raise BadAnswer(
            f"{name} answers with damaged JSON ({error}); it ends: {excerpt(body[-EXCERPT:])}"
        ) from None
    if not isinstance(answer, dict):
        raise BadAnswer(f"{name} answers with a JSON {type(answer).__name__}; accepted: an object")
    return answer


def read_answer(model: type[A], answer: dict[str, Any], name: str) -> A:
    """An answer as its type.

    Raises:
        BadAnswer: a field is missing or wrong; the message names the first.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the answer"
        raise BadAnswer(
            f"{name} answers with a wrong field: {where}: {problem['msg']}, found "
            f"{str(problem['input'])[:80]!r}"
        ) from None


def explain(status: int, content_type: str, body: bytes, secret: str | None) -> str:
    """What an error answer says of itself, on one line, without the secret; empty when it says nothing."""
    if 300 <= status < 400:
        return ", a redirect; set base_url to where it leads"
    text = ""
    try:
        error = json.loads(body)["error"]
        text = (
            f"{error.get('code') or ''} {error.get('message') or ''}"
            if isinstance(error, dict)
            else str(error)
        )
    except (ValueError, RecursionError, LookupError, TypeError):
        text = body.decode("utf-8", "replace")
        if "html" in content_type or text.lstrip().startswith("<"):
            text = "a web page: " + re.sub(r"<[^>]*>", " ", text)
    if secret:
        text = text.replace(secret, "(hidden)")
    text = " ".join(text.split())[:EXCERPT]
    return f": {text}" if text else ""


def excerpt(text: bytes | str) -> str:
    """The first characters, quoted, on one line."""
    if isinstance(text, bytes):
        text = text[: 4 * EXCERPT].decode("utf-8", "replace")
    return repr(" ".join(text.split())[:EXCERPT])
