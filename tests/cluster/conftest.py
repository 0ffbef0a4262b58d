"""A terminal, and roles that draw at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt
from actors.pixels import encode_png
from actors.roles import Roles
from cluster.main import app
from configs.schema import Settings
from tests.fake_roles import FakeGenerator, fake_roles


class PaintingGenerator(FakeGenerator):
    """A plain colour a seed, really stored."""

    def __init__(self, artifacts: Artifacts) -> None:
        super().__init__()
        self._artifacts = artifacts

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        drawn = await super().draw(prompts, seeds)
        return [
            self._stored(p, s) if isinstance(p, Picture) else p for p, s in zip(drawn, seeds, strict=True)
        ]

    def _stored(self, picture: Picture, seed: int) -> Picture:
        pixels = np.full((48, 36, 3), seed % 251, np.uint8)
        return picture.model_copy(
            update={"sha256": self._artifacts.put(encode_png(pixels)), "width": 36, "height": 48}
        )


@pytest.fixture
def atelier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `atelier ...` in an empty folder, with fake roles in place of Ray's and the process's own."""

    @asynccontextmanager
    async def fake_host(settings: Settings, *, scorer: bool = True) -> AsyncIterator[Roles]:
        yield replace(fake_roles(), generator=PaintingGenerator(Artifacts(settings.paths.artifacts)))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("actors.hosts.in_process", fake_host)
    monkeypatch.setattr("actors.hosts.pooled", fake_host)
    monkeypatch.setattr("cluster.session.session", lambda *_, **__: nullcontext("nowhere"))
    monkeypatch.setattr("cluster.needs.refuse_incomplete", lambda settings: None)
    return lambda *words: CliRunner().invoke(app, list(words))
