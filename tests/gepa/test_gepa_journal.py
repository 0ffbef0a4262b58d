"""What a run keeps on disk comes back as it was, whatever a kill, a full disk or a second process did."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import threading
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.errors import StageFailed
from tests.gepa.gepa_processes import child
from train_jobs.gepa.journal import OWN, RESULTS, Journal, Kept, read_lines, read_results, record_of
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Proposed, Result


class Colour(StrEnum):
    RED = "red"


class Attributes(dict[str, Any]):
    """A dictionary whose users rely on its type."""


@dataclasses.dataclass
class Trace:
    text: str = "a"


def kept(folder: Path, result: Result, file: str = "worker") -> Result:
    journal = Journal(folder / RESULTS / f"{file}.jsonl")
    journal.append(record_of("call", result))
    journal.close()
    return read_results(folder)["call"]


@pytest.mark.parametrize("cut", [1, 5, 14, 15])
def test_the_part_of_a_line_that_a_kill_left_is_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.jsonl"
    first, second = b'{"take":"one"}\n', b'{"take":"two"}\n'
    path.write_bytes(first + second[:cut])
    rest = [{"take": "two"}] if cut == len(second) else []
    assert list(read_lines(path)) == [{"take": "one"}, *rest]
    journal = Journal(path)
    journal.append({"take": "three"})
    journal.close()
    assert list(read_lines(path)) == [{"take": "one"}, *rest, {"take": "three"}]


def test_a_file_of_nothing_but_a_torn_line_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"take":')
    Journal(path).close()
    assert path.read_bytes() == b"" and list(read_lines(path)) == []
    assert list(read_lines(tmp_path / "none.jsonl")) == []


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"take":"one"}\n\0\0\0\0\n{"take":"two"}\n')
    with pytest.raises(StageFailed, match=r"line 2 of .*log\.jsonl is damaged"):
        list(read_lines(path))


def test_a_second_writer_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    journal = Journal(path)
    journal.append({"take": "one"})
    os.write(journal._descriptor, b'{"take":"tw')
    with pytest.raises(StageFailed, match="written by another process; wait until that run ends"):
        Journal(path)
    assert path.read_bytes().endswith(b'"tw'), "a line that the first writer is in the middle of was cut"
    journal.close()
    Journal(path).close()


def test_a_writer_in_another_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    journal = Journal(path)
    code = (
        "import sys; from pathlib import Path; from train_jobs.gepa.journal import Journal\n"
        "try: Journal(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)"
    )
    assert "is written by another process" in child(code, str(path))
    journal.close()
    assert child(code, str(path)) == ""


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")

    def write(thread: int) -> None:
        for number in range(50):
            journal.append({"thread": thread, "number": number, "text": "x" * 5000})

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    found = [(line["thread"], line["number"]) for line in read_lines(tmp_path / "log.jsonl")]
    assert sorted(found) == [(thread, number) for thread in range(4) for number in range(50)]


def test_a_closed_journal_writes_into_no_other_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    number = journal._descriptor
    journal.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    assert other == number, "the system gave another number, and this test shows nothing"
    with pytest.raises(StageFailed, match="cannot write"):
        journal.append({"take": "late"})
    os.close(other)
    assert (tmp_path / "other").read_bytes() == b""


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    journal.append({"take": "one"})
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:4]))
        with pytest.raises(StageFailed, match=r"cannot write .*the disk is full"):
            journal.append({"take": "two"})

        def refused(descriptor: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(os, "write", refused)
        with pytest.raises(StageFailed, match="No space left on device"):
            journal.append({"take": "two"})
    journal.append({"take": "three"})
    journal.close()
    assert list(read_lines(tmp_path / "log.jsonl")) == [{"take": "one"}, {"take": "three"}]


@pytest.mark.parametrize(
    "result",
    [
        Outcome(0.1 + 0.2),
        Outcome(1.0, {"short": 0.25, "true": 1.0}, "answer", {"steps": [1, 2.5, None, True, "ü 中 \ud800"]}),
        Outcome(-3.0, failure="ValueError: \u2028 no"),
        Outcome(1.0, output="", trace=[]),
        Outcome(1.0, output=False, trace=0),
        Proposed({"rules": "one\ntwo \ud83d 中"}, 0.125),
        Proposed({}, failure="the model is down"),
    ],
)
def test_a_result_comes_back_as_it_was(tmp_path: Path, result: Result) -> None:
    assert kept(tmp_path, result) == result


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {"pair": (1, 2)},
        {1: "a key that JSON makes a text"},
        Trace(),
        {1, 2},
        b"bytes",
        float("nan"),
        [float("inf")],
        np.float64(0.5),
        Colour.RED,
        Attributes(a=1),
        [Attributes(a=1)],
        LOOP,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_would_change_is_left_out_and_said_to_be(tmp_path: Path, value: Any) -> None:
    found = kept(tmp_path, Outcome(0.5, output=value, trace="whole"))
    assert found == Outcome(0.5, output=Kept.LEFT_OUT, trace="whole")
    other = kept(tmp_path / "other", Outcome(0.5, trace=value))
    assert other == Outcome(0.5, trace=Kept.LEFT_OUT)


def test_the_first_of_a_name_counts_and_the_engines_file_comes_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / RESULTS / "process.jsonl")
    journal.append(record_of("twice", Outcome(0.25)))
    journal.append(record_of("twice", Outcome(0.75)))
    journal.append(record_of("late", Outcome(1.0)))
    journal.close()
    given_up = Outcome(0.0, failure="no answer within 1 s")
    own = Journal(tmp_path / RESULTS / f"{OWN}.jsonl")
    own.append(record_of("late", given_up))
    own.close()
    assert read_results(tmp_path) == {"twice": Outcome(0.25), "late": given_up}


def test_a_folder_without_results_has_none(tmp_path: Path) -> None:
    assert read_results(tmp_path) == {}


def test_a_line_is_written_before_append_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    journal.append({"take": "one"})
    assert json.loads((tmp_path / "log.jsonl").read_bytes()) == {"take": "one"}
    journal.close()
