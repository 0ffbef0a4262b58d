"""Chat completions, text and vision."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx

from actors.clients.accounting import Usage
from actors.clients.answers import Answer, read_answer
from actors.clients.errors import BadAnswer, Refused
from actors.clients.transport import Json, Request, Service
from configs.http import ChatSettings, HttpSettings

TEMPLATE_TOKENS = 64
"""What a chat template may add to each message, for the money reserved before a call."""


@dataclass(frozen=True)
class Message:
    """One turn: a text, and pictures as (media type, bytes), which stand before it."""

    role: Literal["system", "user", "assistant"]
    text: str
    pictures: tuple[tuple[str, bytes], ...] = ()

    def json(self) -> Json:
        """The turn as the interface wants it; pictures become data URIs."""
        if not self.pictures:
            return {"role": self.role, "content": self.text}
        parts: list[Json] = [
            {"type": "image_url", "image_url": {"url": data_uri(media_type, data)}}
            for media_type, data in self.pictures
        ]
        return {"role": self.role, "content": [*parts, {"type": "text", "text": self.text}]}


class ChatMessage(Answer):
    """What the model said."""

    content: str | None = None
    refusal: str | None = None


class ChatChoice(Answer):
    """One completion."""

    message: ChatMessage
    finish_reason: str | None = None


class ChatUsage(Answer):
    """The service's own count."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatAnswer(Answer):
    """A chat completion."""

    choices: list[ChatChoice]
    usage: ChatUsage | None = None
    model: str = ""
    weight_version: str = ""
    """Of the weights that made it, where these change; empty behind a service."""

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].message.content or ""


class Asker(Protocol):
    """Whoever asks one chat model: `ChatClient` over HTTP, `actors.engines.chat.EngineChat` an engine."""

    chat: ChatSettings

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        seed: int | None = None,
        response_format: Json | None = None,
        check: Callable[[ChatAnswer], None] = lambda answer: None,
    ) -> ChatAnswer:
        """One completion; what `check` raises makes it useless."""

    async def close(self) -> None:
        """Close the connections."""


class ChatClient:
    """Asks one chat model."""

    def __init__(
        self, http: HttpSettings, chat: ChatSettings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.service = Service(http, transport=transport)
        self.chat = chat

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        seed: int | None = None,
        response_format: Json | None = None,
        check: Callable[[ChatAnswer], None] = lambda answer: None,
    ) -> ChatAnswer:
        """One completion. What `check` refuses by raising `BadAnswer` is not cached.

        Raises:
            ClientError: one of `actors.clients.errors`, or `actors.errors.TimedOut`.
        """
        name = self.service.name

        def read(answer: Json) -> ChatAnswer:
            typed = read_answer(ChatAnswer, answer, name)
            require_text(typed, name, self.chat.max_tokens)
            check(typed)
            return typed

        body = self._body(messages, seed, response_format)
        return await self.service.call(
            Request("chat/completions", body, most=self._most(messages), usage=_usage), read
        )

    async def close(self) -> None:
        """Close the connections."""
        await self.service.close()

    def _body(self, messages: Sequence[Message], seed: int | None, response_format: Json | None) -> Json:
        body: Json = {
            "model": self.service.http.model,
            "messages": [message.json() for message in messages],
            self.chat.token_limit_field: self.chat.max_tokens,
        }
        optional = {"temperature": self.chat.temperature, "seed": seed, "response_format": response_format}
        return body | {name: value for name, value in optional.items() if value is not None}

    def _most(self, messages: Sequence[Message]) -> Usage:
        """A token has at least one byte, so bytes bound the tokens of a text."""
        tokens = sum(
            TEMPLATE_TOKENS
            + len(message.text.encode("utf-8"))
            + len(message.pictures) * self.chat.max_tokens_per_picture
            for message in messages
        )
        return Usage(input_tokens=tokens, output_tokens=self.chat.max_tokens)


def data_uri(media_type: str, data: bytes) -> str:
    """Bytes as a `data:` URI."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _usage(answer: Json) -> Usage | None:
    counted: Any = answer.get("usage")
    try:
        return Usage(int(counted["prompt_tokens"]), int(counted.get("completion_tokens", 0)))
    except (TypeError, KeyError, ValueError, AttributeError):
        return None


def require_text(answer: ChatAnswer, name: str, max_tokens: int) -> None:
    """Whether a model said something, and to its end.

    Raises:
        BadAnswer: it did not.
        Refused: it declines to.
    """
    if not answer.choices:
        raise BadAnswer(f"{name} answers with a wrong field: choices: is empty; accepted: one choice")
    choice = answer.choices[0]
    if choice.finish_reason == "content_filter" or choice.message.refusal:
        raise Refused(f"{name}: the model declines: {(choice.message.refusal or 'content filter')[:200]}")
    if choice.finish_reason == "length":
        raise BadAnswer(f"{name}: the answer was cut off at max_tokens {max_tokens}; raise it")
    if not answer.text.strip():
        raise BadAnswer(f"{name} answers with a wrong field: choices.0.message.content: is empty")
