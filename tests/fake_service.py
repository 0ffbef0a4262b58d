"""An OpenAI-compatible service in the test's own process, with faults by script."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from actors.clients.limiter import Clock
from actors.pixels import encode_png

Reply = httpx.Response | Exception | Callable[[dict[str, Any]], httpx.Response]


def png(width: int = 64, height: int = 64, seed: int = 0) -> bytes:
    """A small picture that is not blank."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return encode_png(pixels)


def chat_json(content: str | None, *, tokens: tuple[int, int] = (10, 5), **choice: Any) -> httpx.Response:
    """A chat completion."""
    message = {"role": "assistant", "content": content, **choice.pop("message", {})}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", **choice}]
    return httpx.Response(200, json={"model": "fake", "choices": choices, "usage": usage})


def images_json(*pictures: bytes) -> httpx.Response:
    """Generated pictures."""
    data = [{"b64_json": base64.b64encode(picture).decode()} for picture in pictures]
    return httpx.Response(200, json={"created": 0, "data": data})


def moderation_json(**flagged: bool) -> httpx.Response:
    """A moderation verdict."""
    return httpx.Response(200, json={"results": [{"flagged": any(flagged.values()), "categories": flagged}]})


HTML = httpx.Response(200, html="<html><title>Sign in</title></html>")


@dataclass
class FakeService:
    """Answers by script, then by `usual`. `hold` delays every answer until it is set."""

    usual: Callable[[dict[str, Any]], httpx.Response] = lambda body: chat_json("hello")
    script: list[Reply] = field(default_factory=list)
    hold: asyncio.Event | None = None
    requests: list[httpx.Request] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    @property
    def transport(self) -> httpx.MockTransport:
        """To be given to a client or a worker."""
        return httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        with contextlib.suppress(ValueError):
            self.bodies.append(json.loads(request.content))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            reply = self.script.pop(0) if self.script else self.usual
            await (self.hold.wait() if self.hold else asyncio.sleep(0))
            if isinstance(reply, Exception):
                raise reply
            return reused(reply) if isinstance(reply, httpx.Response) else reply(self.bodies[-1])
        finally:
            self.busy -= 1


def reused(reply: httpx.Response) -> httpx.Response:
    """A response can be read once; a script may name it many times."""
    return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)


class FakeTime:
    """A clock that a sleep moves at once; `slept` holds every wait."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.clock = Clock(now=lambda: self.time, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def raw_server(answer: bytes | None) -> AsyncIterator[str]:
    """A socket that sends `answer` to every connection and closes; None = it never answers. Gives its URL."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await ended.wait()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        ended.set()
        server.close()
