"""A run's folder belongs to one search, and to one process at a time; a run in it is gone on with."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actors.errors import StageFailed
from configs.gepa import GepaSettings, RacingSettings, StopSettings
from tests.gepa.gepa_kit import TRAINSET, VALSET, Counted, Example, pool, records, search
from tests.gepa.gepa_processes import child
from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.errors import RunDiffers
from train_jobs.gepa.folder import HEADER
from train_jobs.gepa.journal import LOG, RESULTS, read_lines

pytestmark = pytest.mark.usefixtures("looks_often")


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reached(limit: int, view: Any) -> bool:
    return bool(view.total_num_evals >= limit)


def settings(**changes: Any) -> GepaSettings:
    return GepaSettings(evaluators=16, proposers=4, **changes)


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "seed": ({"seed": 1}, "seed 0 in place of 1"),
    "width": ({"in_flight": 5}, "in_flight 4 in place of 5"),
    "budget": ({"calls": 151}, "max_metric_calls 150 in place of 151"),
    "minibatch": ({"settings": settings(minibatch=4)}, "minibatch 3 in place of 4"),
    "stop": ({"settings": settings(stop=StopSettings(score=0.5))}, "score None in place of 0.5"),
    "racing": ({"settings": settings(racing=RacingSettings(blocks=3))}, "blocks 2 in place of 3"),
    "train": ({"trainset": [*TRAINSET[:-1], (1, 2)]}, "other train;"),
    "fewer": ({"trainset": TRAINSET[:-1]}, "other train;"),
    "order": ({"valset": VALSET[::-1]}, "other validation;"),
    "candidates": ({"seed_candidates": [{"rules": "1"}]}, "other seed candidates;"),
}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a run that has ended."""
    search(Counted(), run_dir=tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_search_is_refused_and_harms_nothing(finished: Path, name: str) -> None:
    changes, words = DIFFERENT[name]
    before, adapter = files(finished), Counted()
    with pytest.raises(RunDiffers) as caught:
        search(adapter, run_dir=finished, **changes)
    assert f"{finished} holds a run with {words}" in str(caught.value).replace("; ", ";")
    assert "accepted: the same search, or another folder" in str(caught.value)
    assert files(finished) == before and adapter.total == 0


def test_what_decides_nothing_may_change(finished: Path) -> None:
    room = GepaSettings(evaluators=1, proposers=1, evaluation_timeout_s=9, reflection_timeout_s=9)
    adapter = Counted()
    search(adapter, run_dir=finished, settings=room)
    assert adapter.total == 0


def header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / HEADER
        path.write_text(json.dumps(change(json.loads(path.read_text("utf-8")))), "utf-8")

    return spoil


def written(text: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / HEADER).write_bytes(text) and None


def log_of(*names: str) -> Callable[[Path], None]:
    lines = "".join(json.dumps({"take": name}) + "\n" for name in names)
    return lambda folder: (folder / LOG).write_text(lines, "utf-8") and None


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "version": (header(lambda there: {**there, "version": 0}), "a run with version 0 in place of 1"),
    "no version": (
        header(lambda there: {k: v for k, v in there.items() if k != "version"}),
        "version None in place of 1",
    ),
    "torn": (written(b'{"version": 1, "set'), "search.json cannot be read"),
    "empty": (written(b""), "search.json cannot be read"),
    "no text": (written(b"\xff\xfe"), "search.json cannot be read"),
    "no header": (written(b"[]"), "search.json cannot be read (it is no header)"),
    "missing": (lambda folder: (folder / HEADER).unlink(), "holds a log without its search.json"),
    "a log of another": (log_of("0.77"), "tells of the call 0.77, which this search does not ask for"),
    "no results": (
        lambda folder: [path.unlink() for path in (folder / RESULTS).iterdir()] and None,
        "whose result is gone; accepted: a folder with all its files",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_folder_is_refused_until_it_is_mended(finished: Path, name: str) -> None:
    whole = files(finished)
    spoil, words = SPOILT[name]
    spoil(finished)
    adapter = Counted()
    with pytest.raises(RunDiffers) as caught:
        search(adapter, run_dir=finished)
    assert words in str(caught.value) and "accepted:" in str(caught.value) and adapter.total == 0
    for path, content in whole.items():
        path.write_bytes(content)
    search(adapter, run_dir=finished)
    assert adapter.total == 0, "the files are still held by the search that was refused"


def test_a_damaged_log_is_named(finished: Path) -> None:
    content = (finished / LOG).read_bytes()
    (finished / LOG).write_bytes(content.replace(b"{", b"\0", 1))
    with pytest.raises(StageFailed, match=r"line 1 of .*search\.jsonl is damaged"):
        search(Counted(), run_dir=finished)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.gepa.gepa_kit import *\n"
        "adapter = Counted()\n"
        "try: search(adapter, run_dir=sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error, adapter.total)\n"
        "else: print('ended', adapter.total)"
    )
    told: list[str] = []

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if not told:
            told.append("")
            told[0] = child(code, str(tmp_path))

    found = search(Counted(hook), run_dir=tmp_path)
    assert told[0].startswith("StageFailed") and told[0].endswith(" 0")
    assert "is written by another process; wait until that run ends, or use another folder" in told[0]
    assert child(code, str(tmp_path)) == "ended 0", found.stopped


@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_finished_run_is_not_run_again(tmp_path: Path, in_flight: int) -> None:
    found = search(Counted(), run_dir=tmp_path, in_flight=in_flight)
    before, adapter = files(tmp_path), Counted()

    def propose(*arguments: Any) -> Any:
        raise AssertionError("a reflection was asked for again")

    again = search(adapter, run_dir=tmp_path, in_flight=in_flight, propose=propose)
    assert pool(again) == pool(found) and adapter.total == 0 and files(tmp_path) == before
    assert (again.stopped, again.metric_calls) == (found.stopped, found.metric_calls)
    assert again.log == tmp_path / LOG and again.best_candidate == found.best_candidate


@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_run_that_is_cut_off_again_and_again_pays_for_nothing_twice(tmp_path: Path, in_flight: int) -> None:
    adapter, told = Counted(), 0
    for limit in range(20, 150, 20):
        stop = functools.partial(reached, limit)
        search(adapter, run_dir=tmp_path, in_flight=in_flight, stop_callbacks=[stop])
        there = len(list(read_lines(tmp_path / LOG)))
        assert there >= told
        told = there
    found = search(adapter, run_dir=tmp_path, in_flight=in_flight)
    names = [line["name"] for line in records(tmp_path)]
    assert len(set(names)) == len(names)
    assert sum("/" in name for name in names) == found.metric_calls <= 150
    if in_flight == 1:
        assert pool(found) == pool(search(Counted(), in_flight=1))


def test_the_search_is_told_only_of_what_is_logged(tmp_path: Path) -> None:
    """A result that was told and is not in the log would be told in another order after a kill."""
    ahead: list[int] = []

    class Reads:
        told = 0

        def on_budget_updated(self, event: Any) -> None:
            self.told += 1
            logged = sum("/" in line["take"] for line in read_lines(tmp_path / LOG))
            ahead.append(self.told - logged)

    search(Counted(), run_dir=tmp_path, callbacks=[Reads()])
    assert ahead and set(ahead) == {0}


@dataclass
class Seen:
    """A trace that JSON cannot hold."""

    example: Example


class Objects(Counted):
    """Its traces are objects."""

    def evaluate(self, batch: Any, candidate: Any, capture_traces: bool = False) -> EvaluationBatch:
        found = super().evaluate(batch, candidate, capture_traces)
        if capture_traces:
            found.trajectories = [Seen(example) for example in batch]
        return found

    def make_reflective_dataset(self, candidate: Any, eval_batch: Any, components_to_update: Any) -> Any:
        return {"rules": [{"example": trace.example} for trace in eval_batch.trajectories]}


def test_traces_that_json_cannot_hold_are_made_anew_after_a_restart(
    tmp_path: Path, never: threading.Event
) -> None:
    whole = Objects()
    expected = search(whole, in_flight=1)
    assert whole.total == expected.metric_calls, "a trace was made anew in a run that nobody cut off"
    first, asked = Objects(), 0

    def propose(candidate: Any, dataset: Any, names: list[str]) -> Any:
        nonlocal asked
        asked += 1
        if asked == 4:
            never.wait()
        return first.propose(candidate, dataset, names)

    stop: Any = lambda view: asked == 4  # noqa: E731
    cut = search(first, run_dir=tmp_path, in_flight=1, stop_callbacks=[stop], propose=propose)
    assert cut.metric_calls < expected.metric_calls
    second = Objects()
    found = search(second, run_dir=tmp_path, in_flight=1)
    assert [each[:4] for each in pool(found)] == [each[:4] for each in pool(expected)]
    twice = set(first.paid) & set(second.paid)
    assert len(twice) == 3 and all(traced for _, _, traced in twice), "more than a minibatch was made anew"
    assert first.total + second.total == expected.metric_calls + 3


def test_examples_are_compared_as_far_as_their_text_goes(tmp_path: Path) -> None:
    class Thing:
        """Neither JSON nor a model."""

    def things(count: int) -> list[Any]:
        return [Thing() for _ in range(count)]

    class Blind(Counted):
        def evaluate(self, batch: Any, candidate: Any, capture_traces: bool = False) -> EvaluationBatch:
            return super().evaluate([(1, 2)], candidate, capture_traces)

    arguments = {"run_dir": tmp_path, "trainset": things(4), "valset": VALSET}
    found = search(Blind(), 60, **arguments)
    again = search(Blind(), 60, **{**arguments, "trainset": things(4)})
    assert pool(again) == pool(found)
    with pytest.raises(RunDiffers, match="other train"):
        search(Blind(), 60, **{**arguments, "trainset": things(5)})
    odd = {"run_dir": tmp_path / "odd", "trainset": ["\ud83d", "\u4e2d"]}
    search(Blind(), 30, **odd)
