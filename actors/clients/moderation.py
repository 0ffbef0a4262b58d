"""Moderation of texts and pictures."""

from __future__ import annotations

import httpx
from pydantic import Field

from actors.clients.answers import Answer, read_answer
from actors.clients.chat import data_uri
from actors.clients.errors import BadAnswer
from actors.clients.transport import Json, Request, Service
from configs.http import HttpSettings


class Moderation(Answer):
    """The service's verdict on one item."""

    flagged: bool
    categories: dict[str, bool | None] = Field(default_factory=dict)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The categories that it flags."""
        return tuple(sorted(name for name, flagged in self.categories.items() if flagged))


class ModerationAnswer(Answer):
    """The verdicts."""

    results: list[Moderation]


class ModerationClient:
    """Asks one moderation service."""

    def __init__(self, http: HttpSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.service = Service(http, transport=transport)

    async def text(self, text: str) -> Moderation:
        """The verdict on a text.

        Raises:
            ClientError: one of `actors.clients.errors`, or `actors.errors.TimedOut`.
        """
        return await self._ask(text)

    async def picture(self, media_type: str, data: bytes) -> Moderation:
        """The verdict on a picture file.

        Raises:
            ClientError: one of `actors.clients.errors`, or `actors.errors.TimedOut`.
        """
        return await self._ask([{"type": "image_url", "image_url": {"url": data_uri(media_type, data)}}])

    async def close(self) -> None:
        """Close the connections."""
        await self.service.close()

    async def _ask(self, content: str | list[Json]) -> Moderation:
        name = self.service.name

        def read(answer: Json) -> Moderation:
            typed = read_answer(ModerationAnswer, answer, name)
            if not typed.results:
                raise BadAnswer(
                    f"{name} answers with a wrong field: results: is empty; accepted: one verdict"
                )
            return typed.results[0]

        body = {"model": self.service.http.model, "input": content}
        return await self.service.call(Request("moderations", body), read)
