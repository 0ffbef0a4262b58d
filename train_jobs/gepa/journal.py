"""What a run keeps on disk: results as they come, and the order in which the search was told of them.

Results are written by whoever made the call, before anybody is told: a kill of any process at any moment
loses no paid call but those that had not returned yet.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from actors.errors import StageFailed
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Proposed, Result

LOG = "search.jsonl"
RESULTS = "results"
OWN = "00-engine"
"""File of the results that the engine gives itself; read first, since a call that was given up may end."""


class Kept(Enum):
    """What stands in a result that was read back where JSON could not hold the value."""

    LEFT_OUT = "left out"


class Journal:
    """A JSON Lines file with one writing process; any of its threads may append.

    Raises:
        StageFailed: another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise StageFailed(
                f"{path} is written by another process; wait until that run ends, or use another folder"
            ) from None
        # A kill in mid-append leaves a part of a line that nobody was told of.
        os.ftruncate(self._descriptor, _whole_lines(path))

    def append(self, record: dict[str, Any]) -> None:
        """Add a line; it survives a kill of the process once this returns.

        Raises:
            StageFailed: the disk refused it.
        """
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        line = text.encode("utf-8", "surrogatepass") + b"\n"
        with self._lock:
            try:
                written = os.write(self._descriptor, line)
            except OSError as error:
                raise StageFailed(f"cannot write {self.path}: {error.strerror}") from None
            if written < len(line):
                # Another thread's line must not be joined to this part of one.
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
                raise StageFailed(f"cannot write {self.path}: the disk is full")

    def close(self) -> None:
        """Close the file; what is appended is safe without it."""
        with self._lock:
            os.close(self._descriptor)
            # A call that hangs may end after the run, when the number may stand for another file.
            self._descriptor = -1


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal; none where there is no file.

    Raises:
        StageFailed: a line is damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError as error:
                raise StageFailed(
                    f"line {number} of {path} is damaged ({error}); accepted: the file as it was written, or "
                    "another folder"
                ) from None
            yield record


def read_results(folder: Path) -> dict[str, Result]:
    """Every result in a run's folder, by the name of its call; the first of a name counts."""
    found: dict[str, Result] = {}
    for path in sorted((folder / RESULTS).glob("*.jsonl")):
        for record in read_lines(path):
            found.setdefault(record["name"], _result(record))
    return found


def record_of(name: str, result: Result) -> dict[str, Any]:
    """A result as a line. Outputs and traces that JSON would change are left out."""
    if isinstance(result, Proposed):
        return {
            "name": name,
            "texts": dict(result.texts),
            "cost": result.cost,
            "failure": result.failure,
        }
    record: dict[str, Any] = {"name": name, "score": result.score}
    if result.objectives is not None:
        record["objectives"] = dict(result.objectives)
    for field in ("output", "trace"):
        value = getattr(result, field)
        if value is not None and _survives(value):
            record[field] = value
        elif value is not None:
            record.setdefault("left_out", []).append(field)
    if result.failure:
        record["failure"] = result.failure
    return record


def _result(record: dict[str, Any]) -> Result:
    if "texts" in record:
        return Proposed(record["texts"], record["cost"], record["failure"])
    there = record | dict.fromkeys(record.get("left_out", ()), Kept.LEFT_OUT)
    return Outcome(
        there["score"],
        there.get("objectives"),
        there.get("output"),
        there.get("trace"),
        there.get("failure", ""),
    )


def _survives(value: Any) -> bool:
    """Whether a value comes back from JSON as it was, of the same types."""
    try:
        return _plain(value)
    except RecursionError:
        return False


def _plain(value: Any) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is list:
        return all(_plain(each) for each in value)
    if type(value) is dict:
        return all(type(key) is str and _plain(each) for key, each in value.items())
    return value is None or type(value) in (str, int, bool)


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    data = path.read_bytes()
    return data.rfind(b"\n") + 1
