"""The chat model that reflects, as a plain function: prompt in, answer out."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import Any

import httpx

from actors.clients.chat import ChatClient, Message
from configs.gepa import LlmReflectionSettings


class ChatModel:
    """A `LanguageModel` over a chat service. It crosses Ray as its settings."""

    def __init__(
        self, settings: LlmReflectionSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.total_cost = 0.0
        """Money spent so far, in the currency of the service's prices."""
        self._settings, self._transport = settings, transport
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ChatModel], tuple[LlmReflectionSettings]]:
        return ChatModel, (self._settings,)

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        """Ask once; threads may.

        Raises:
            ClientError: one of `actors.clients.errors`.
        """
        return asyncio.run(self._ask(_messages(prompt)))

    async def _ask(self, messages: list[Message]) -> str:
        client = ChatClient(self._settings.http, self._settings.chat, transport=self._transport)
        try:
            answer = await client.ask(messages)
        finally:
            with self._lock:
                self.total_cost += client.service.account.spent
            await client.close()
        return answer.text


def _messages(prompt: str | list[dict[str, Any]]) -> list[Message]:
    """A text, or chat messages in OpenAI's form with pictures as data URIs."""
    if isinstance(prompt, str):
        return [Message("user", prompt)]
    return [
        Message(
            turn["role"],
            "\n".join(part["text"] for part in turn["content"] if part["type"] == "text"),
            tuple(
                _picture(part["image_url"]["url"]) for part in turn["content"] if part["type"] == "image_url"
            ),
        )
        for turn in prompt
    ]


def _picture(uri: str) -> tuple[str, bytes]:
    head, _, data = uri.partition(",")
    return head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(data)
