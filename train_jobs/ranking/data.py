"""Pairs of a dataset as the trainer takes them: bad rows set aside, pictures read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.contracts import Contract, Dimension, PairRecord, PairSide
from actors.datasets import Dataset
from actors.errors import BadInput
from actors.pairs.dataset import check_side, record_of
from actors.pairs.folder import Folder
from actors.pixels import decode
from actors.scorer.architecture import ImageShape
from actors.scorer.patches import Patches, choose_grid, patchify

READERS = 2
Tell = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much of it is done."""


class BadRow(Contract):
    """A pair that is set aside, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Examined:
    """The pairs that can be used, in the dataset's order, and those that cannot."""

    records: list[PairRecord]
    bad: list[BadRow]


def examine(
    uri: str,
    dimensions: Sequence[Dimension],
    tell: Tell = lambda stage, done, total: None,
) -> Examined:
    """Read every row and decode every picture once.

    A row is set aside when it is no pair, has no label of any dimension, or a picture is missing, damaged,
    not what the record says, or of a shape that no model takes.

    Raises:
        BadInput: there is no dataset at the URI, or no row can be used.
        DatasetCorrupt: a shard is damaged.
    """
    folder, records, bad = Folder(uri), [], []
    rows = list(Dataset(uri).rows())

    def look(row: dict[str, object]) -> PairRecord | BadRow:
        try:
            record = record_of(row)
            if not set(record.labels) & set(dimensions):
                raise BadInput(f"no label; accepted: at least one of {', '.join(dimensions)}")
            for side in (record.a, record.b):
                _check(side, folder)
        except BadInput as error:
            return BadRow(id=str(row.get("id"))[:80], reason=str(error))
        return record

    with ThreadPoolExecutor(READERS) as pool:
        for done, found in enumerate(pool.map(look, rows), 1):
            if isinstance(found, BadRow):
                bad.append(found)
            else:
                records.append(found)
            tell("examining rows", done, len(rows))
    if not records:
        first = f"; the first: {bad[0].reason}" if bad else ""
        raise BadInput(f"{uri}: none of {len(rows)} rows can be used{first}")
    return Examined(records, bad)


def usable(uri: str, bad: frozenset[str]) -> list[PairRecord]:
    """The pairs of a dataset but those that were set aside, in its order."""
    return [record_of(row) for row in Dataset(uri).rows() if str(row.get("id"))[:80] not in bad]


def lengths(records: Sequence[PairRecord], shape: ImageShape) -> NDArray[np.int64]:
    """Patches of each pair's two pictures, [pairs, 2], from their recorded sizes."""
    return np.array(
        [
            [len(choose_grid(side.width, side.height, shape.budget)) for side in (record.a, record.b)]
            for record in records
        ]
    )


class Pictures:
    """Prepared pictures of a dataset, kept as far as memory allows.

    Args:
        uri: the dataset.
        shape: of the image tower.
        cache_mb: MiB of pictures that are kept.
    """

    def __init__(self, uri: str, shape: ImageShape, cache_mb: int) -> None:
        self._folder, self._shape = Folder(uri), shape
        self._room = cache_mb * 2**20
        self._kept: dict[str, Patches] = {}

    def pairs(self, records: Sequence[PairRecord]) -> list[Patches]:
        """The pictures a, b, a, b, ... of some pairs."""
        return self.several([side for record in records for side in (record.a, record.b)])

    def several(self, sides: Sequence[PairSide]) -> list[Patches]:
        """These pictures."""
        return [self._one(side) for side in sides]

    def ahead(self, batches: Sequence[Sequence[PairRecord]]) -> Iterator[list[Patches]]:
        """`pairs` of each batch in turn, the next ones prepared while one is used."""
        with ThreadPoolExecutor(1) as pool:
            following = None
            for batch in batches:
                current, following = following, pool.submit(self.pairs, batch)
                if current is not None:
                    yield current.result()
            if following is not None:
                yield following.result()

    def _one(self, side: PairSide) -> Patches:
        kept = self._kept.get(side.sha256)
        if kept is not None:
            return kept
        fresh = patchify(decode(self._folder.read(side.path)), self._shape)
        if self._room >= fresh.pixels.nbytes:
            self._room -= fresh.pixels.nbytes
            self._kept[side.sha256] = fresh
        return fresh


def _check(side: PairSide, folder: Folder) -> None:
    data = folder.read(side.path)
    check_side(side, data)
    height, width = decode(data).shape[:2]
    choose_grid(width, height, 1024)
    if (width, height) != (side.width, side.height):
        raise BadInput(f"{side.path}: {width} x {height} px once upright, the record says otherwise")
