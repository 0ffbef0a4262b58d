"""The imagine app over roles that answer by rule, with real pictures, a real ledger file and real keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
from fastapi import FastAPI

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt, derive_seed
from actors.ledger import EventLog, FileLog
from actors.pixels import encode_png
from actors.roles import Roles
from configs.base import BackendSettings
from configs.load import load
from configs.schema import Settings
from serve_apps.edge.keys import KeyStore
from serve_apps.imagine.app import create_fastapi
from tests.fake_roles import FakeGenerator, FakeJudge, fake_roles


@dataclass
class PaintingGenerator:
    """Stores a real PNG a draw. Waits while `gate` is closed; raises `errors` one after another first."""

    artifacts: Artifacts
    drawn: list[tuple[str, int]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    errors: list[Exception] = field(default_factory=list)

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        self.drawn += [(prompt.id, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        if self.gate:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        pictures = await FakeGenerator().draw(prompts, seeds)
        return [self._paint(p) if isinstance(p, Picture) else p for p in pictures]

    def _paint(self, picture: Picture) -> Picture:
        rng = np.random.default_rng(derive_seed(picture.prompt_id, picture.seed))
        data = encode_png(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        return picture.model_copy(update={"sha256": self.artifacts.put(data)})


@dataclass
class Kit:
    """One replica and a caller with a key of scopes imagine and score."""

    app: FastAPI
    http: httpx.AsyncClient
    log: EventLog
    artifacts: Artifacts
    generator: PaintingGenerator
    keys: KeyStore

    async def done(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended, awaited through its event stream."""
        await asyncio.wait_for(self.http.get(f"/v1/imagine/{job_id}/events"), 10)
        return dict((await self.http.get(f"/v1/imagine/{job_id}")).json())


def settings_of(folder: Path, **changes: Any) -> Settings:
    """Settings of the embedded profile on a folder, with changes of `serve.imagine`, or `serve__<field>`."""
    settings = load("embedded", environ={})
    own = {key: value for key, value in changes.items() if not key.startswith("serve__")}
    edge = {key.removeprefix("serve__"): value for key, value in changes.items() if key not in own}
    imagine = settings.serve.imagine.model_copy(update={"poll_s": 0.05, **own})
    serve = settings.serve.model_copy(update={"keys_file": folder / "keys.json", "imagine": imagine, **edge})
    paths = settings.paths.model_copy(update={"runs": folder, "artifacts": str(folder / "artifacts")})
    return settings.model_copy(update={"serve": serve, "paths": paths})


@asynccontextmanager
async def replica(
    folder: Path,
    *,
    log: EventLog | None = None,
    roles: Roles | None = None,
    gate: asyncio.Event | None = None,
    scopes: Sequence[str] = ("imagine", "score"),
    **changes: Any,
) -> AsyncIterator[Kit]:
    """A running replica. Replicas given one `log` share all state."""
    settings = settings_of(folder, **changes)
    artifacts = Artifacts(settings.paths.artifacts)
    generator = PaintingGenerator(artifacts, gate=gate)
    log = log or FileLog(folder / "events.jsonl")
    app = create_fastapi(roles or replace(fake_roles(), generator=generator), log, artifacts, settings)
    keys = KeyStore(settings.serve.keys_file)
    _, token = keys.create(scopes)
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as http,
    ):
        yield Kit(app, http, log, artifacts, generator, keys)


def sse(text: str) -> list[tuple[int, str, str]]:
    """(id, event, data) of each message of an event stream."""
    messages = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            messages.append((int(fields["id"]), fields["event"], fields["data"]))
    return messages


class BriskJudgeSettings(BackendSettings):
    """A judge of its own for Serve tests, where a worker is built in another process."""

    worker: ClassVar[str] = "tests.serve_apps.app_kit:BriskJudge"


class BriskJudge(FakeJudge):
    """Judges by hash, at once."""

    def __init__(self, settings: BriskJudgeSettings, artifacts: Artifacts) -> None:
        pass
