"""A dataset of pairs on disk: its shards, its pictures, and what a stopped run leaves for the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem

from actors.contracts import Failure, PairRecord, content_id
from actors.datasets import MANIFEST, Dataset, DatasetWriter
from actors.errors import BadInput, StageFailed
from actors.ledger import EventLog, FileLog
from train_jobs.synthesis.outcome import Failed, Made, Outcome, Refused
from train_jobs.synthesis.selection import stored_hashes

CALIBRATION, UNFINISHED = "calibration.json", "unfinished.json"
_PICTURE = re.compile(r"/([0-9a-f]{64})\.png$")


class PairStore:
    """Where the pairs of one spec are written.

    Raises:
        BadInput: the dataset there is another spec's.
        DatasetCorrupt: its manifest is damaged.
        StageFailed: the place cannot be read.
    """

    def __init__(self, uri: str, spec_id: str, seed: int) -> None:
        self.uri = uri
        self._fs, root = fsspec.core.url_to_fs(uri)
        self._root = root.rstrip("/")
        try:
            self._writer = DatasetWriter(uri, seeds={"synthesis": seed}, versions={"spec": spec_id})
        except OSError as error:
            raise StageFailed(
                f"{uri} cannot be used ({error.strerror or error}); choose another place"
            ) from None

    @staticmethod
    def check_place(uri: str, resume: bool) -> None:
        """Refuse to go on with what is there unless that is wanted, and to go on with nothing.

        Raises:
            BadInput: a dataset is there and `resume` is not set, or the other way round.
            StageFailed: the place cannot be read.
        """
        there = bool(read_text(uri, MANIFEST) or read_text(uri, CALIBRATION))
        if there and not resume:
            raise BadInput(f"{uri} holds a dataset; go on with it by --resume, or choose another place")
        if resume and not there:
            raise BadInput(f"--resume: there is no dataset at {uri}; leave --resume away to begin one")

    @staticmethod
    def name_of(uri: str) -> str:
        """The last part of a URI, as people call the dataset."""
        return uri.rstrip("/").rsplit("/", 1)[-1]

    def open_log(self, runs: Path) -> EventLog:
        """The ledger: beside the shards where they are on a disk, else in the folder of runs.

        Raises:
            LedgerLocked: another run is making this dataset.
            StageFailed: the place cannot be written.
        """
        local = isinstance(self._fs, LocalFileSystem)
        folder = Path(self._root) if local else runs / f"synthesis-{content_id(self.uri)}"
        try:
            return FileLog(folder / "ledger.jsonl")
        except OSError as error:
            raise StageFailed(
                f"{folder} cannot be written ({error.strerror}); choose another place"
            ) from None

    @property
    def rows(self) -> int:
        """Pairs in the dataset."""
        return self._writer.manifest.rows

    def write(self, first: int, records: list[PairRecord]) -> None:
        """Add the accepted pairs of the samples from `first` on; again = nothing happens."""
        if records:
            self._writer.write_shard(f"pairs-{first:09d}", records)

    def begin(self, next: int) -> None:
        """Forget shards that the ledger does not know as done: the samples from `next` on are made again."""
        self._writer.drop([s.name for s in self._writer.manifest.shards if _first(s.name) >= next])

    def hashes(self) -> Iterator[str]:
        """Perceptual hashes of the pairs in the dataset."""
        if self._writer.manifest.shards:
            for row in Dataset(self.uri).rows(columns=("a", "b")):
                yield from stored_hashes(row)

    def manifest_hash(self) -> str:
        """sha256 of the manifest's bytes: equal for equal datasets. Empty when there is none yet."""
        try:
            return hashlib.sha256(self._fs.cat_file(f"{self._root}/{MANIFEST}")).hexdigest()
        except FileNotFoundError:
            return ""

    def keep_unfinished(self, outcomes: list[Outcome]) -> None:
        """Keep what became of samples whose shard is not finished, for the next run; if it cannot, it is
        made again."""
        if outcomes:
            data = json.dumps([_plain(outcome) for outcome in outcomes], ensure_ascii=False)
            with contextlib.suppress(StageFailed):
                write_text(self.uri, UNFINISHED, data)

    def take_unfinished(self) -> dict[int, Outcome]:
        """What the last run kept, by index. A file that is damaged is as good as none."""
        try:
            data = json.loads(self._fs.cat_file(f"{self._root}/{UNFINISHED}"))
            self._fs.rm_file(f"{self._root}/{UNFINISHED}")
            outcomes = [_outcome(item) for item in data]
        except (FileNotFoundError, ValueError, KeyError):
            return {}
        return {outcome.index: outcome for outcome in outcomes}

    def sweep(self) -> int:
        """Remove pictures that no pair refers to; the answer is how many that pairs refer to are missing."""
        wanted = np.sort(np.frombuffer(self._referenced(), np.uint64))
        found = array("Q")
        for path in self._fs.find(f"{self._root}/pictures"):
            name = _PICTURE.search(path)
            key = np.uint64(int(name[1][:16], 16)) if name else None
            if key is not None and _holds(wanted, key):
                found.append(int(key))
            elif key is not None or path.endswith(".tmp"):
                self._fs.rm_file(path)
        return int(len(np.unique(wanted)) - len(np.unique(np.frombuffer(found, np.uint64))))

    def _referenced(self) -> array[int]:
        keys = array("Q")
        if self._writer.manifest.shards:
            for row in Dataset(self.uri).rows(columns=("a", "b")):
                keys.extend(int(row[side]["sha256"][:16], 16) for side in ("a", "b"))
        return keys


def read_text(uri: str, name: str) -> str:
    """A file of a dataset; empty when there is none.

    Raises:
        StageFailed: it cannot be read.
    """
    fs, root = fsspec.core.url_to_fs(uri)
    try:
        return bytes(fs.cat_file(f"{root.rstrip('/')}/{name}")).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise StageFailed(f"{uri}/{name} cannot be read ({error.strerror or error})") from None


def write_bytes(uri: str, name: str, data: bytes) -> None:
    """Write a file of a dataset under a temporary name, then rename it.

    Raises:
        StageFailed: the storage refused it, e.g. a full disk.
    """
    fs, root = fsspec.core.url_to_fs(uri)
    path = f"{root.rstrip('/')}/{name}"
    try:
        fs.makedirs(root, exist_ok=True)
        fs.pipe_file(f"{path}.tmp", data)
        fs.mv(f"{path}.tmp", path)
    except OSError as error:
        raise StageFailed(
            f"cannot write {uri}/{name} ({error.strerror or error}); free space or choose another place"
        ) from None


def write_text(uri: str, name: str, text: str) -> None:
    """`write_bytes` of a text and a last line break."""
    write_bytes(uri, name, text.encode("utf-8") + b"\n")


def _first(shard: str) -> int:
    return int(shard.removeprefix("pairs-"))


def _holds(ordered: Any, key: np.uint64) -> bool:
    place = int(np.searchsorted(ordered, key))
    return place < len(ordered) and bool(ordered[place] == key)


def _plain(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Made):
        return {"index": outcome.index, "gap": outcome.gap, "record": outcome.record.model_dump(mode="json")}
    if isinstance(outcome, Refused):
        return {"index": outcome.index, "reason": outcome.reason}
    return {"index": outcome.index, "id": outcome.id, "failure": outcome.failure.model_dump(mode="json")}


def _outcome(data: dict[str, Any]) -> Outcome:
    if "record" in data:
        return Made(data["index"], PairRecord.model_validate(data["record"]), data["gap"])
    if "reason" in data:
        return Refused(data["index"], data["reason"])
    return Failed(data["index"], data["id"], Failure.model_validate(data["failure"]))
