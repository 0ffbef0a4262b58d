"""Fetched pictures -> rows of the dataset, decided in the order of discovery: timing changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from actors.datasets import DatasetWriter
from train_jobs.crawl.frontier import FETCHED, Entry, Item


class CrawlRecord(BaseModel):
    """One picture. A text that the gallery does not give is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    url: str
    page_url: str
    sha256: str
    path: str
    """Relative to the dataset's root."""
    width: int
    height: int
    media_type: str
    phash: str
    text: str
    author: str
    licence: str
    source: str


class Hashes:
    """Perceptual hashes in the order in which they came, searched exactly."""

    def __init__(self) -> None:
        self._values = np.zeros(1024, np.uint64)
        self._count = 0

    def nearest(self, phash: str, bits: int) -> tuple[int, int] | None:
        """(position, distance) of the first hash at most so many bits away; None when there is none."""
        value = np.uint64(int(phash, 16))
        distances = np.bitwise_count(self._values[: self._count] ^ value)
        close = np.flatnonzero(distances <= bits)
        return (int(close[0]), int(distances[close[0]])) if len(close) else None

    def add(self, phash: str) -> None:
        """Remember a hash."""
        if self._count == len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[self._count] = int(phash, 16)
        self._count += 1


class Catalogue:
    """Walks the entries as far as all before are settled; drops duplicates, writes shards.

    The shards of a round are `<round>-<number>`; the last of a round may be short.
    """

    def __init__(self, writer: DatasetWriter, out: Path, source: str, bits: int, shard_rows: int) -> None:
        self._writer = writer
        self._out = out
        self._source = source
        self._bits = bits
        self._shard_rows = shard_rows
        self._hashes = Hashes()
        self._kept: list[tuple[str, str]] = []
        """(id, sha256) of the pictures kept."""
        self._rows: list[CrawlRecord] = []
        self._round, self._shard = 1, 0
        self.decided = 0
        """Entries behind the walk."""
        self.duplicates = 0

    @property
    def kept(self) -> int:
        """Pictures that are, or will be with the next shard, in the dataset."""
        return len(self._kept)

    async def advance(self, entries: Sequence[Entry]) -> list[tuple[Item, str, int]]:
        """Decide what can be decided; the duplicates found: (picture, id of the one kept, bits apart).

        Raises:
            StageFailed: the dataset cannot be written.
        """
        duplicates = []
        while self.decided < len(entries) and (entry := entries[self.decided]).outcome is not None:
            if entry.round != self._round:
                await self.close_round()
                self._round = entry.round
            if entry.outcome == FETCHED:
                found = self._hashes.nearest(entry.facts["phash"], self._bits)
                if found:
                    duplicates.append(self._drop(entry, *found))
                else:
                    self._keep(entry)
            self.decided += 1
            if len(self._rows) == self._shard_rows:
                await self._write()
        return duplicates

    async def close_round(self) -> None:
        """Write what the round's last shard holds.

        Raises:
            StageFailed: the dataset cannot be written.
        """
        if self._rows:
            await self._write()
        self._shard = 0

    def _keep(self, entry: Entry) -> None:
        item, facts = entry.item, entry.facts
        self._hashes.add(facts["phash"])
        self._kept.append((item.id, facts["sha256"]))
        said: dict[str, Any] = {
            name: facts[name] for name in ("sha256", "path", "width", "height", "media_type", "phash")
        }
        self._rows.append(CrawlRecord(**vars(item), **said, source=self._source))

    def _drop(self, entry: Entry, position: int, bits: int) -> tuple[Item, str, int]:
        other, sha256 = self._kept[position]
        if sha256 != entry.facts["sha256"]:
            (self._out / entry.facts["path"]).unlink(missing_ok=True)
        self.duplicates += 1
        return entry.item, other, bits

    async def _write(self) -> None:
        name = f"{self._round:04d}-{self._shard:05d}"
        await asyncio.to_thread(self._writer.write_shard, name, self._rows)
        self._rows, self._shard = [], self._shard + 1
