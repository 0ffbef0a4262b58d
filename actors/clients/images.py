"""Image generations and edits."""

from __future__ import annotations

import base64

import httpx
from pydantic import model_validator

from actors.clients.accounting import Usage
from actors.clients.answers import Answer, read_answer
from actors.clients.errors import BadAnswer
from actors.clients.transport import Json, Request, Service
from configs.http import HttpSettings

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


class ImageData(Answer):
    """One picture: its bytes in base64, or where they are."""

    b64_json: str | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _one(self) -> ImageData:
        if not (self.b64_json or self.url):
            raise ValueError("neither b64_json nor url is given")
        return self


class ImagesAnswer(Answer):
    """Pictures that a service made."""

    data: list[ImageData]


class ImagesClient:
    """Asks one image model. Returned bytes are as the service sent them: decode before use."""

    def __init__(self, http: HttpSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.service = Service(http, transport=transport)

    async def generate(
        self, prompt: str, *, size: tuple[int, int], extra: Json | None = None, n: int = 1
    ) -> list[bytes]:
        """`n` pictures of `size` (width, height) px. `extra` are further fields of the request, e.g. `seed`.

        Raises:
            ClientError: one of `actors.clients.errors`, or `actors.errors.TimedOut`.
        """
        body = self._body(prompt, size, n) | (extra or {})
        return await self._pictures(Request("images/generations", body, most=Usage(pictures=n)), n)

    async def edit(
        self,
        prompt: str,
        picture: bytes,
        *,
        size: tuple[int, int],
        mask: bytes | None = None,
        extra: Json | None = None,
        n: int = 1,
    ) -> list[bytes]:
        """`n` edits of a PNG `picture`; a PNG `mask` is transparent where the picture may change.

        Raises:
            ClientError: one of `actors.clients.errors`, or `actors.errors.TimedOut`.
        """
        files = {"image": picture} | ({"mask": mask} if mask is not None else {})
        body = self._body(prompt, size, n) | (extra or {})
        return await self._pictures(Request("images/edits", body, most=Usage(pictures=n), files=files), n)

    async def close(self) -> None:
        """Close the connections."""
        await self.service.close()

    def _body(self, prompt: str, size: tuple[int, int], n: int) -> Json:
        return {
            "model": self.service.http.model,
            "prompt": prompt,
            "n": n,
            "size": f"{size[0]}x{size[1]}",
        }

    async def _pictures(self, request: Request, n: int) -> list[bytes]:
        name = self.service.name

        def read(answer: Json) -> list[bytes | str]:
            data = read_answer(ImagesAnswer, answer, name).data
            if len(data) < n:
                raise BadAnswer(f"{name} answers with a wrong field: data: {len(data)} of {n} pictures")
            wrong = f"{name} answers with a wrong field: data"
            return [_bytes_or_url(item, f"{wrong}.{i}") for i, item in enumerate(data)]

        found = await self.service.call(request, read, keep=_complete)
        return [item if isinstance(item, bytes) else await self.service.fetch(item) for item in found[:n]]


def _bytes_or_url(item: ImageData, where: str) -> bytes | str:
    if not item.b64_json:
        return item.url or ""
    try:
        data = base64.b64decode(item.b64_json, validate=True)
    except ValueError as error:
        raise BadAnswer(f"{where}.b64_json: no base64 ({error})") from None
    if not data.startswith(_PICTURES):
        raise BadAnswer(f"{where}.b64_json: no picture; accepted: PNG, JPEG, WebP")
    return data


def _complete(answer: Json) -> bool:
    """Whether the answer holds the pictures themselves: a URL may have ended by the next run."""
    return all(data.get("b64_json") for data in answer["data"])
