import asyncio
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.artifacts import Artifacts
from actors.contracts import Failure, Picture, Prompt, Query, Strategy
from actors.errors import BadInput, StageFailed
from actors.studio import Studio
from configs.reward import RewardSettings
from tests.fake_roles import FakeGenerator, fake_roles
from train_jobs.covers.job import produce

STRATEGY = Strategy.of({"clauses": ""})
QUERIES = [Query.of(f"query {i}", aspect="3:4") for i in range(12)]


class PaintingGenerator(FakeGenerator):
    """Stores some bytes a picture, and stops the run after `fuse` pictures."""

    def __init__(self, artifacts: Artifacts, fuse: int = 10**9) -> None:
        super().__init__()
        self.artifacts, self.fuse = artifacts, fuse

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        drawn = await super().draw(prompts, seeds)
        self.fuse -= len(drawn)
        if self.fuse < 0:
            raise KeyboardInterrupt
        return [
            p
            if isinstance(p, Failure)
            else p.model_copy(update={"sha256": self.artifacts.put(f"{p}".encode())})
            for p in drawn
        ]


def make(
    out: Path, queries: Sequence[Query] = QUERIES, fuse: int = 10**9, **kwargs: int
) -> tuple[dict[str, object], FakeGenerator]:
    artifacts = Artifacts(str(out.parent / "artifacts"))
    generator = PaintingGenerator(artifacts, fuse)
    studio = Studio(fake_roles(generator), RewardSettings(bar=0.8))
    return asyncio.run(produce(studio, artifacts, queries, STRATEGY, out, in_flight=3, **kwargs)), generator


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text("utf-8").splitlines()]


def test_one_row_a_query_in_order(tmp_path: Path) -> None:
    counts, generator = make(tmp_path / "out", limit=3)
    table = rows(tmp_path / "out")
    assert [row["id"] for row in table] == [query.id for query in QUERIES]
    assert counts["queries"] == counts["admitted"] + counts["not_admitted"] + counts["failed"] == 12  # type: ignore[operator]
    assert counts["draws"] == len(generator.drawn) == sum(row["draws"] for row in table)  # type: ignore[misc]
    for row in table:
        assert (tmp_path / "out" / str(row["picture"])).exists()
        assert row["draws"] == 3 or row["admitted"]


def test_going_on_makes_nothing_twice(tmp_path: Path) -> None:
    whole, _ = make(tmp_path / "whole", limit=3)
    with pytest.raises(BaseException):  # noqa: B017 - the group wraps the interrupt
        make(tmp_path / "out", limit=3, fuse=9)
    events = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    finished = [event for event in events if event.get("kind") == "cover.finished"]
    assert 0 < len(finished) < 12
    counts, generator = make(tmp_path / "out", limit=3)
    assert counts == {**whole, "resumed": len(finished)}
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")
    assert len(generator.drawn) < whole["draws"]  # type: ignore[operator]
    again, idle = make(tmp_path / "out", limit=3)
    assert again["resumed"] == 12
    assert idle.drawn == []


def test_refused_and_failed_queries_are_rows(tmp_path: Path) -> None:
    queries = [Query.of("unsafe"), Query.of("undrawable"), Query.of("fine")]
    counts, _ = make(tmp_path / "out", queries)
    assert counts["failed"] == 2
    stages = [row["failure"] and row["failure"]["stage"] for row in rows(tmp_path / "out")]  # type: ignore[index]
    assert stages == ["audit", "generator", None]


def test_another_spec_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "out", limit=2)
    with pytest.raises(BadInput, match="another folder"):
        make(tmp_path / "out", limit=3)


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StageFailed, match=r"cannot write .* \(No space left on device\); free"):
            make(tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.tmp"))
    counts, _ = make(tmp_path / "out")
    assert counts["queries"] == 12 and counts["resumed"] == 4
