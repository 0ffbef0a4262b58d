"""Is a pair dataset what it says it is?"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from actors.contracts import PairRecord
from actors.datasets import Dataset, DatasetCorrupt
from actors.errors import BadInput
from actors.pairs.dataset import check_side, record_of
from actors.pairs.folder import Folder
from actors.pairs.forms import Progress

MAX_PROBLEMS = 20
"""Problems that are told in full; the rest are counted."""


@dataclass
class Verified:
    """What a check found."""

    shards: int = 0
    pairs: int = 0
    pictures: int = 0
    """Distinct ones."""
    bytes: int = 0
    """Of pictures."""
    kinds: Counter[str] = field(default_factory=Counter)
    labelled_by: Counter[str] = field(default_factory=Counter)
    dimensions: Counter[str] = field(default_factory=Counter)
    """How many pairs have a label in each dimension."""
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether there is nothing wrong."""
        return self.problem_count == 0

    def blame(self, problem: str) -> None:
        """Note something that is wrong."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def verify_pairs(uri: str, progress: Progress) -> Verified:
    """Check the hash of every shard and picture, every record, and that no pair is there twice.

    It goes on after a problem, so that one run tells all. Memory grows by about 100 bytes a pair and picture.

    Raises:
        BadInput: there is no dataset at the URI.
        DatasetCorrupt: its manifest is damaged.
    """
    dataset, folder, found = Dataset(uri), Folder(uri), Verified()
    seen_pairs: set[bytes] = set()
    seen_pictures: set[bytes] = set()
    done = 0
    for shard in dataset.manifest.shards:
        found.shards += 1
        rows = 0
        try:
            for row in dataset.rows([shard.name]):
                rows += 1
                progress("checking pairs", done + rows, len(dataset))
                try:
                    _check(record_of(row), folder, seen_pairs, seen_pictures, found)
                except BadInput as error:
                    found.blame(f"{shard.path}: {error}")
        except DatasetCorrupt as error:
            found.blame(str(error))
        else:
            if rows != shard.rows:
                found.blame(f"{shard.path} has {rows} rows, the manifest says {shard.rows}")
        done += shard.rows
    return found


def _check(
    record: PairRecord, folder: Folder, pairs: set[bytes], pictures: set[bytes], found: Verified
) -> None:
    found.pairs += 1
    found.kinds[record.kind] += 1
    found.labelled_by[record.labelled_by] += 1
    found.dimensions.update(dimension.value for dimension in record.labels)
    digest = hashlib.sha256(record.id.encode()).digest()[:12]
    if digest in pairs:
        raise BadInput(f"pair {record.id[:80]!r} is there twice; write the dataset again")
    pairs.add(digest)
    for name, side in (("a", record.a), ("b", record.b)):
        # Known pictures are known with all that the record says of them.
        known = hashlib.sha256(f"{side.sha256} {side.path} {side.width} {side.height}".encode()).digest()[:12]
        if known in pictures:
            continue
        try:
            data = folder.read(side.path)
            check_side(side, data)
        except BadInput as error:
            found.blame(f"pair {record.id[:80]!r}, picture {name}: {error}")
            continue
        pictures.add(known)
        found.pictures += 1
        found.bytes += len(data)
