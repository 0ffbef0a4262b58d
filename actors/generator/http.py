"""The generator that asks an image service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
from pydantic import ValidationError

from actors.artifacts import Artifacts
from actors.clients.images import ImagesClient
from actors.clients.transport import Json
from actors.contracts import Failure, Picture, Prompt
from actors.errors import AtelierError, BadInput, failure_of
from actors.pixels import decode, encode_png, frame_size, perceptual_hash
from configs.generator import HttpGeneratorSettings

_PNG = b"\x89PNG\r\n\x1a\n"


class HttpGenerator:
    """Generator worker over an OpenAI-compatible `images/generations`."""

    def __init__(
        self,
        settings: HttpGeneratorSettings,
        artifacts: Artifacts,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._artifacts = artifacts
        self._client = ImagesClient(settings.http, transport=transport)
        self.version = f"http-1:{settings.http.model}"

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        """One picture for each (prompt, seed). What the service could not do is in its notes."""
        asked = (self._one(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True))
        return list(await asyncio.gather(*asked))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _one(self, prompt: Prompt, seed: int) -> Picture | Failure:
        try:
            size = self._size(prompt.aspect)
            found = await self._client.generate(prompt.text, size=size, extra=self._extra(prompt, seed))
            return await asyncio.to_thread(self._store, found[0], prompt, seed, size)
        except (AtelierError, ValidationError) as error:
            return failure_of(error, stage="generator", item_id=prompt.id)

    def _size(self, aspect: str) -> tuple[int, int]:
        return self._settings.sizes.get(aspect) or frame_size(aspect, self._settings.long_side)

    def _extra(self, prompt: Prompt, seed: int) -> Json:
        extra: Json = dict(self._settings.extra)
        if self._settings.seed_field:
            extra[self._settings.seed_field] = seed
        if self._settings.negative_field and prompt.negative:
            extra[self._settings.negative_field] = prompt.negative
        return extra

    def _store(self, data: bytes, prompt: Prompt, seed: int, asked: tuple[int, int]) -> Picture:
        """Keep a PNG as it came, any other format as PNG; bytes that are no picture never get in."""
        try:
            pixels = decode(data)
        except BadInput as error:
            raise BadInput(
                f"{self._client.service.name} sent a picture that cannot be used: {error}"
            ) from None
        height, width = pixels.shape[:2]
        notes: list[str] = []
        if (width, height) != asked:
            notes.append(f"size: asked {asked[0]}x{asked[1]}, got {width}x{height}")
        if prompt.negative and not self._settings.negative_field:
            notes.append("negative prompt: not sent")
        return Picture(
            sha256=self._artifacts.put(data if data.startswith(_PNG) else encode_png(pixels)),
            width=width,
            height=height,
            prompt_id=prompt.id,
            seed=seed,
            generator_version=self.version,
            notes=tuple(notes),
            phash=perceptual_hash(pixels),
        )
