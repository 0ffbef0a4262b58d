"""A worker around an adapter: one call, its result, and what goes wrong in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train_jobs.gepa.adapter import EvaluationBatch
from train_jobs.gepa.journal import RESULTS, Kept, read_results
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.reflection import Reflection
from train_jobs.gepa.tasks import Evaluate, Propose, Proposed, Task
from train_jobs.gepa.worker import Kit, SearchWorker, failure_score, outcome_of

CANDIDATE = {"a": "old"}


class Adapter:
    """Answers what it is made of, and keeps what it was asked."""

    def __init__(self, answer: Callable[[Any, bool], Any], **attributes: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[list[Any], dict[str, str], bool]] = []
        self.shown: list[Any] = []
        for name, value in attributes.items():
            setattr(self, name, value)

    def evaluate(self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        self.asked.append((batch, candidate, capture_traces))
        return self.answer(batch[0], capture_traces)

    def make_reflective_dataset(self, candidate: Any, eval_batch: Any, components: list[str]) -> Any:
        self.shown.append(eval_batch)
        return {name: [{"trace": trace} for trace in eval_batch.trajectories] for name in components}


def batch(score: Any = 0.5, **changes: Any) -> EvaluationBatch:
    return EvaluationBatch(**{"outputs": ["out"], "scores": [score], "trajectories": ["seen"], **changes})


def worker(
    adapter: Adapter,
    folder: Path | None = None,
    propose: Any = lambda *asked: {"a": "new"},
) -> SearchWorker:
    train, validation = ["t0", "t1", "t2"], ["v0", "v1"]
    kit = Kit(lambda: adapter, lambda made: Reflection(made, propose), train, validation, folder)
    return SearchWorker(kit, "process")


def one(answer: Callable[[Any, bool], Any], task: Task | None = None, **attributes: Any) -> Any:
    return worker(Adapter(answer, **attributes)).run_one(task or Evaluate("call", CANDIDATE, "train", 1))


def mutation(*outcomes: Outcome) -> Propose:
    return Propose("0.1", "mutation", CANDIDATE, ("a",), tuple(range(len(outcomes))), outcomes)


def test_the_adapter_is_asked_for_one_example_and_for_traces_only_of_training() -> None:
    adapter = Adapter(lambda example, traced: batch())
    here = worker(adapter)
    tasks = [Evaluate("x", CANDIDATE, "train", 2), Evaluate("y", CANDIDATE, "validation", 1)]
    found = here.run(tasks)
    assert adapter.asked == [(["t2"], CANDIDATE, True), (["v1"], CANDIDATE, False)]
    assert adapter.asked[0][1] is not CANDIDATE, "the adapter could change the candidate"
    assert found == [Outcome(0.5, None, "out", "seen")] * 2


def test_an_example_that_raises_fails_alone() -> None:
    def answer(example: Any, traced: bool) -> EvaluationBatch:
        if example == "t1":
            raise ValueError("line one\n  line two")
        return batch()

    here = worker(Adapter(answer))
    found = here.run([Evaluate(str(n), CANDIDATE, "train", n) for n in range(3)])
    assert [each.failure for each in found] == ["", "ValueError: line one line two", ""]
    assert [each.score for each in found if isinstance(each, Outcome)] == [0.5, 0.0, 0.5]


def test_a_candidate_that_calls_exit_fails() -> None:
    def answer(example: Any, traced: bool) -> EvaluationBatch:
        raise SystemExit("bye")

    assert one(answer) == Outcome(0.0, failure="SystemExit: bye")


def test_a_failure_has_the_adapters_score_and_a_reason_of_bounded_length() -> None:
    found = one(lambda example, traced: 1 / 0, failure_score=-2)
    assert found == Outcome(-2.0, failure="ZeroDivisionError: division by zero")
    assert failure_score(object()) == 0.0

    def answer(example: Any, traced: bool) -> EvaluationBatch:
        raise ValueError("x" * 100_000)

    assert len(one(answer).failure) == 500


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (batch(math.nan), "score nan; accepted: a finite number"),
        (batch(math.inf), "score inf"),
        (batch("good"), "could not convert"),
        (batch(None), "TypeError"),
        (batch([0.5]), "TypeError"),
        (batch(scores=[0.5, 0.5]), "2 scores for 1 example; accepted: one an example"),
        (batch(scores=[]), "0 scores for 1 example"),
        (batch(outputs=[]), "0 outputs for 1 example"),
        (batch(outputs=None), "TypeError"),
        (batch(trajectories=["a", "b"]), "2 trajectories for 1 example"),
        (batch(objective_scores=[{}, {}]), "2 objective_scores for 1 example"),
        (batch(objective_scores=[{"short": math.nan}]), "the objective 'short' nan; accepted: a finite"),
        (batch(objective_scores=[{"short": "long"}]), "could not convert"),
        (None, "AttributeError"),
        ([0.5], "AttributeError"),
    ],
)
def test_an_answer_that_cannot_be_used_fails_the_example(answer: Any, words: str) -> None:
    found = one(lambda example, traced: answer)
    assert found.score == 0.0 and words in found.failure


@pytest.mark.parametrize("score", [True, 1, "1", np.float32(1), np.array(1.0)])
def test_any_number_is_a_score(score: Any) -> None:
    found = one(lambda example, traced: batch(score))
    assert found.score == 1.0 and type(found.score) is float and not found.failure


def test_objective_scores_are_told() -> None:
    answer = batch(objective_scores=[{"short": 1, "true": np.float64(0.25)}])
    found = one(lambda example, traced: answer)
    assert found.objectives == {"short": 1.0, "true": 0.25}
    assert all(type(value) is float for value in found.objectives.values())
    assert outcome_of(batch(objective_scores=None, trajectories=None)) == Outcome(0.5, None, "out", None)
    assert outcome_of(batch(objective_scores=[{}], trajectories=[])).objectives == {}


def test_a_result_is_on_disk_before_anybody_is_told(tmp_path: Path) -> None:
    here = worker(Adapter(lambda example, traced: batch()), tmp_path)
    for number, split in enumerate(("train", "validation")):
        found = here.run_one(Evaluate(split, CANDIDATE, split, number))  # type: ignore[arg-type]
        assert read_results(tmp_path)[split] == found
    task = mutation(Outcome(0.5, None, "out", "seen"))
    assert read_results(tmp_path).get(task.name) is None
    assert here.run_one(task) == read_results(tmp_path)[task.name] == Proposed({"a": "new"})
    failing = worker(Adapter(lambda example, traced: 1 / 0))
    assert failing.run_one(Evaluate("x", CANDIDATE, "train", 0)).failure
    here.close()
    assert [path.name for path in (tmp_path / RESULTS).iterdir()] == ["process.jsonl"]


def test_reflection_is_shown_what_the_adapter_saw() -> None:
    adapter = Adapter(lambda example, traced: batch())
    told: list[Any] = []

    def propose(candidate: Any, dataset: Any, names: list[str]) -> dict[str, str]:
        told.append((candidate, dataset, names))
        return {"a": "new"}

    outcomes = [Outcome(0.25, {"x": 1.0}, "o0", "s0"), Outcome(0.5, {"x": 0.0}, "o1", {"deep": 1})]
    assert worker(adapter, propose=propose).run_one(mutation(*outcomes)) == Proposed({"a": "new"})
    (shown,) = adapter.shown
    assert (shown.outputs, shown.scores, shown.trajectories) == (
        ["o0", "o1"],
        [0.25, 0.5],
        ["s0", {"deep": 1}],
    )
    assert shown.objective_scores == [{"x": 1.0}, {"x": 0.0}]
    assert told == [(CANDIDATE, {"a": [{"trace": "s0"}, {"trace": {"deep": 1}}]}, ["a"])]
    assert adapter.asked == [], "a call was made that the budget does not know"


def test_examples_that_failed_are_not_shown() -> None:
    adapter = Adapter(lambda example, traced: batch())
    here = worker(adapter)
    failed = Outcome(0.0, failure="ValueError: no")
    assert here.run_one(mutation(failed, Outcome(0.5, None, "o", "s"))) == Proposed({"a": "new"})
    assert adapter.shown[0].trajectories == ["s"] and adapter.asked == []
    assert here.run_one(mutation(failed)).failure == "no example to learn from: ValueError: no"


def test_an_adapter_without_traces_is_not_asked_again() -> None:
    adapter = Adapter(lambda example, traced: batch())
    worker(adapter).run_one(mutation(Outcome(0.5, None, "o", None)))
    assert adapter.asked == [] and adapter.shown[0].trajectories == [None]


@pytest.mark.parametrize("lost", ["output", "trace"])
def test_what_a_restart_lost_is_made_anew(lost: str) -> None:
    adapter = Adapter(lambda example, traced: batch())
    kept = Outcome(0.5, None, "o", "s")
    gone = Outcome(0.5, **{"output": "o", "trace": "s", lost: Kept.LEFT_OUT})
    worker(adapter).run_one(mutation(kept, gone))
    assert adapter.asked == [(["t1"], CANDIDATE, True)]
    assert adapter.shown[0].trajectories == ["s", "seen"] and adapter.shown[0].outputs == ["o", "out"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"a": None}, "wrote None for 'a'; accepted: a text"),
        ({"a": 5}, "wrote 5 for 'a'"),
        ({"a": ["x"]}, "accepted: a text"),
        ({"a": "\ud800"}, "surrogates not allowed"),
        ("a text alone", "ValueError"),
    ],
)
def test_a_reflection_that_writes_no_text_fails(texts: Any, words: str) -> None:
    here = worker(Adapter(lambda example, traced: batch()), propose=lambda candidate, dataset, names: texts)
    found = here.run_one(mutation(Outcome(0.5, None, "o", "s")))
    assert isinstance(found, Proposed) and found.texts == {} and words in found.failure


@pytest.mark.parametrize("error", [RuntimeError("model down"), SystemExit(3)])
def test_a_reflection_that_raises_fails(error: BaseException) -> None:
    def propose(candidate: Any, dataset: Any, names: list[str]) -> dict[str, str]:
        raise error

    here = worker(Adapter(lambda example, traced: batch()), propose=propose)
    found = here.run_one(mutation(Outcome(0.5, None, "o", "s")))
    assert found == Proposed({}, failure=f"{type(error).__name__}: {error}")
