"""What fails in a search fails alone; where nothing works, the search ends and says why."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from actors.errors import StageFailed
from benchmarks.landscape import COMPONENT
from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import LAND, TRAINSET, VALSET, Counted, Example, pool, records, search
from train_jobs.gepa.candidate import key_of
from train_jobs.gepa.journal import LOG, OWN, RESULTS, Journal, read_lines

pytestmark = pytest.mark.usefixtures("looks_often")
QUICK = GepaSettings(evaluators=16, proposers=4, evaluation_timeout_s=0.3, reflection_timeout_s=0.3)


class Reasons:
    """A callback that keeps why proposals came to nothing."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def on_evaluation_skipped(self, event: Mapping[str, Any]) -> None:
        self.found.append(event["reason"])


@pytest.mark.parametrize("in_flight", [1, 8])
def test_an_example_that_raises_fails_and_the_run_goes_on(in_flight: int) -> None:
    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if example in (bad_train, bad_validation):
            raise ValueError("this example is broken")

    bad_train, bad_validation = TRAINSET[2], VALSET[5]
    adapter = Counted(hook)
    found = search(adapter, 200, in_flight=in_flight)
    assert found.best_score > 0.3 and len(found.lineage) > 2 and adapter.total == found.metric_calls
    for each in found.lineage:
        for place, score in each.scores.items():
            example = VALSET[place]
            assert score == (0.0 if example == bad_validation else LAND.score(each.candidate, example))


def test_a_minibatch_with_a_failed_example_still_teaches() -> None:
    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if example == TRAINSET[0]:
            raise ValueError("this example is broken")

    reasons = Reasons()
    found = search(Counted(hook), 100, trainset=TRAINSET[:3], callbacks=[reasons])
    assert len(found.lineage) > 1 and not [reason for reason in reasons.found if "Error" in reason]


def test_where_every_example_raises_the_run_fails_and_says_why() -> None:
    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        raise ConnectionError("no route to the model")

    adapter = Counted(hook)
    with pytest.raises(StageFailed, match="first 8 examples failed; the first: ConnectionError: no"):
        search(adapter)
    assert adapter.total == len(VALSET)


def test_failures_after_a_success_end_nothing(tmp_path: Path) -> None:
    broken = False

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if broken:
            raise ConnectionError("no route to the model")

    adapter = Counted(hook)
    stop: Any = lambda view: view.total_num_evals >= 50  # noqa: E731
    cut = search(adapter, run_dir=tmp_path, stop_callbacks=[stop])
    assert cut.stopped == "a stop callback said so"
    # Results that the search was not told of would be successes of the new process.
    told = {line["take"] for line in read_lines(tmp_path / LOG)}
    kept = [json.dumps(line) + "\n" for line in records(tmp_path) if line["name"] in told]
    (tmp_path / RESULTS / "process.jsonl").write_text("".join(kept))
    broken = True
    found = search(adapter, run_dir=tmp_path)
    assert found.best_score >= cut.best_score and found.metric_calls > cut.metric_calls + len(VALSET)


@pytest.mark.parametrize("where", ["train", "validation"])
def test_an_example_that_hangs_fails_once_and_for_all(
    tmp_path: Path, never: threading.Event, where: str
) -> None:
    hanging = TRAINSET[1] if where == "train" else VALSET[1]
    hung: list[str] = []

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if example == hanging and traced == (where == "train"):
            hung.append(f"{key_of(dict(candidate))}/{where}/1")
            never.wait()

    arguments: dict[str, Any] = {"settings": QUICK, "run_dir": tmp_path}
    stop: Any = lambda view: view.total_num_evals >= 60  # noqa: E731
    cut = search(Counted(hook), 110, **arguments, stop_callbacks=[stop])
    assert cut.metric_calls < 110
    given_up = {line["name"] for line in read_lines(tmp_path / RESULTS / f"{OWN}.jsonl")}
    reasons = {line["failure"] for line in read_lines(tmp_path / RESULTS / f"{OWN}.jsonl")}
    assert given_up and reasons == {"no answer within 0.3 s"} and given_up <= set(hung)
    hung.clear()
    found = search(Counted(hook), 110, **arguments)
    assert not given_up & set(hung), "a call that was given up was made again"
    assert found.metric_calls <= 110 and len(found.lineage) >= len(cut.lineage)
    if where == "validation":
        assert {each.scores[1] for each in found.lineage if 1 in each.scores} == {0.0}
    again = search(Counted(hook), 110, **arguments)
    assert pool(again) == pool(found) and not given_up & set(hung)


def test_an_answer_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    late = threading.Event()
    name = f"{key_of({COMPONENT: ''})}/validation/1"

    def answers() -> int:
        return sum(line["name"] == name for line in records(tmp_path))

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if example == VALSET[1] and not traced and candidate[COMPONENT] == "":
            late.wait()

    class Waits:
        def on_candidate_accepted(self, event: Any) -> None:
            late.set()
            while answers() < 2:
                time.sleep(0.001)

    found = search(Counted(hook), 60, settings=QUICK, run_dir=tmp_path, callbacks=[Waits()])
    assert found.lineage[0].scores[1] == 0.0 and len(found.lineage) > 1
    adapter = Counted()
    assert pool(search(adapter, 60, settings=QUICK, run_dir=tmp_path)) == pool(found) and not adapter.total


def test_a_run_in_which_all_hangs_fails(never: threading.Event) -> None:
    with pytest.raises(StageFailed, match=r"the first: no answer within 0\.3 s"):
        search(Counted(lambda example, candidate, traced: never.wait() and None), settings=QUICK)


def test_a_call_that_ends_after_its_run_writes_nowhere(tmp_path: Path, never: threading.Event) -> None:
    before = set(threading.enumerate())

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        if traced and candidate[COMPONENT] == "" and example == TRAINSET[1]:
            never.wait()

    found = search(Counted(hook), 60, settings=QUICK, run_dir=tmp_path / "a")
    journals = [Journal(tmp_path / "b" / f"{number}.jsonl") for number in range(6)]
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    never.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")} == kept
    for journal in journals:
        journal.close()
    assert pool(search(Counted(), 60, settings=QUICK, run_dir=tmp_path / "a")) == pool(found)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({}, "the reflection gave no text"),
        (None, "the reflection gave no text"),
        ({COMPONENT: "7" * 500_000}, "wrote 500000 characters for 'rules'; accepted: at most 20000"),
        ({"tone": "friendly"}, "wrote component 'tone'; accepted: rules"),
        ({COMPONENT: None}, "wrote None for 'rules'; accepted: a text"),
        ({COMPONENT: "\ud83d"}, "surrogates not allowed"),
        (RuntimeError("the model is down"), "RuntimeError: the model is down"),
    ],
    ids=["none", "None", "long", "unknown", "no text", "surrogate", "raises"],
)
@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_reflection_that_cannot_be_used_now_and_then(
    tmp_path: Path, texts: Any, reason: str, in_flight: int
) -> None:
    adapter, reasons, turns = Counted(), Reasons(), iter(range(10**6))

    def propose(candidate: Any, dataset: Any, names: list[str]) -> Any:
        if next(turns) % 2:
            return adapter.propose(candidate, dataset, names)
        if isinstance(texts, Exception):
            raise texts
        return texts

    arguments = {"in_flight": in_flight, "run_dir": tmp_path, "propose": propose}
    found = search(adapter, 150, **arguments, callbacks=[reasons])
    assert len(found.lineage) > 2 and [each for each in reasons.found if reason in each]
    assert adapter.total == found.metric_calls
    assert pool(search(Counted(), 150, **arguments)) == pool(found)


@pytest.mark.parametrize("in_flight", [1, 16])
def test_a_reflection_that_only_repeats_ends_the_run(in_flight: int) -> None:
    same: Any = lambda candidate, dataset, names: dict(candidate)  # noqa: E731
    adapter = Counted()
    found = search(adapter, 500, propose=same, in_flight=in_flight)
    assert found.stopped == "200 proposals in a row found nothing new to try" and len(found.lineage) == 1
    assert adapter.total == found.metric_calls == len(VALSET) + len(TRAINSET)


def test_a_reflection_that_hangs_fails_and_is_not_asked_again(tmp_path: Path, never: threading.Event) -> None:
    adapter, reasons, turns = Counted(), Reasons(), iter(range(10**6))

    def propose(candidate: Any, dataset: Any, names: list[str]) -> Any:
        if next(turns) % 4 == 0:
            never.wait()
        return adapter.propose(candidate, dataset, names)

    arguments: dict[str, Any] = {"settings": QUICK, "run_dir": tmp_path, "propose": propose}
    found = search(adapter, 100, **arguments, callbacks=[reasons])
    assert "no answer within 0.3 s" in reasons.found and len(found.lineage) > 2
    made = next(turns)
    assert pool(search(adapter, 100, **arguments)) == pool(found)
    assert next(turns) == made + 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", [LOG, "process.jsonl"])
def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    append, lines = Journal.append, iter(range(10**6))

    def full(self: Journal, record: dict[str, Any]) -> None:
        if self.path.name == file and next(lines) >= 20:
            raise StageFailed(f"cannot write {self.path}: the disk is full")
        append(self, record)

    arguments: dict[str, Any] = {"run_dir": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        with pytest.raises(StageFailed, match="the disk is full"):
            search(Counted(), **arguments)
    written = {line["name"] for line in records(tmp_path)}
    adapter = Counted()
    found = search(adapter, **arguments)
    assert adapter.total == found.metric_calls - sum("/" in name for name in written)
    assert [line["take"] for line in read_lines(tmp_path / LOG)]


def test_a_callback_that_raises_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Bad:
        def on_iteration_end(self, event: Any) -> None:
            raise KeyError("mine")

    with caplog.at_level(logging.WARNING):
        found = search(Counted(), callbacks=[Bad()], in_flight=1)
    assert pool(found) == pool(search(Counted(), in_flight=1))
    assert "callback Bad.on_iteration_end failed" in caplog.text
