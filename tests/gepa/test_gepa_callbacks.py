"""Callbacks written for `gepa` are told by its names what happens, and a resumed run does not repeat it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gepa.gepa_kit import TRAINSET, VALSET, Counted, search
from tests.gepa.worlds import SEED

callbacks = pytest.importorskip("gepa.core.callbacks")


class Recorder:
    """Has every method there is."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[[dict[str, Any]], None]:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda event: self.told.append((name, event))

    @property
    def names(self) -> Counter[str]:
        return Counter(name for name, _ in self.told)

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for told, event in self.told if told == name]


class Joining(Counted):
    """Joins two texts too."""

    def crossover(self, candidate: Any, other: Any, components: list[str]) -> dict[str, str]:
        return {"rules": self.landscape.join(candidate, other)}


def test_all_events_have_gepas_names() -> None:
    recorder = Recorder()
    search(Joining(), 600, callbacks=[recorder], in_flight=8)
    known = {name for name in dir(callbacks.GEPACallback) if name.startswith("on_")}
    assert set(recorder.names) <= known
    assert set(recorder.names) >= {
        "on_optimization_start",
        "on_optimization_end",
        "on_iteration_start",
        "on_iteration_end",
        "on_candidate_selected",
        "on_minibatch_sampled",
        "on_candidate_accepted",
        "on_candidate_rejected",
        "on_evaluation_skipped",
        "on_valset_evaluated",
        "on_pareto_front_updated",
        "on_budget_updated",
        "on_merge_attempted",
    }


def test_what_is_told_is_what_happened() -> None:
    recorder = Recorder()
    found = search(Counted(), callbacks=[recorder], in_flight=1)
    (start,), (end,) = recorder.of("on_optimization_start"), recorder.of("on_optimization_end")
    assert recorder.told[0] == ("on_optimization_start", start)
    assert recorder.told[-1] == ("on_optimization_end", end)
    assert start["seed_candidate"] == SEED
    assert (start["trainset_size"], start["valset_size"]) == (len(TRAINSET), len(VALSET))
    assert end["total_metric_calls"] == found.metric_calls and end["total_iterations"] == found.proposals
    assert found.candidates[end["best_candidate_idx"]] == found.best_candidate
    accepted = recorder.of("on_candidate_accepted")
    assert [event["new_candidate_idx"] for event in accepted] == list(range(1, len(found.lineage)))
    assert [event["new_score"] for event in accepted] == found.scores[1:]
    assert [tuple(event["parent_ids"]) for event in accepted] == [each.parents for each in found.lineage[1:]]
    validated = recorder.of("on_valset_evaluated")
    assert [event["scores_by_val_id"] for event in validated] == [each.scores for each in found.lineage]
    budget = recorder.of("on_budget_updated")
    assert len(budget) == found.metric_calls == budget[-1]["metric_calls_used"]
    starts, ends = recorder.of("on_iteration_start"), recorder.of("on_iteration_end")
    numbers = list(range(1, found.proposals + 1))
    assert [event["iteration"] for event in starts] == numbers
    assert [event["iteration"] for event in ends if event["iteration"]][-len(numbers) :] == numbers
    assert sum(event["proposal_accepted"] for event in ends) == len(found.lineage)
    assert starts[-1]["state"].total_num_evals <= found.metric_calls
    assert set(recorder.of("on_pareto_front_updated")[-1]["new_front"]) == set(found.frontier)


@pytest.mark.parametrize("name", ["on_candidate_selected", "on_minibatch_sampled", "on_candidate_accepted"])
def test_an_event_has_gepas_fields(name: str) -> None:
    recorder = Recorder()
    search(Counted(), callbacks=[recorder])
    fields = {
        "on_candidate_selected": callbacks.CandidateSelectedEvent,
        "on_minibatch_sampled": callbacks.MinibatchSampledEvent,
        "on_candidate_accepted": callbacks.CandidateAcceptedEvent,
    }[name]
    assert {frozenset(event) for event in recorder.of(name)} == {frozenset(fields.__annotations__)}


@pytest.mark.usefixtures("looks_often")
def test_a_resumed_run_tells_only_what_is_new(tmp_path: Path) -> None:
    first, second, third = Recorder(), Recorder(), Recorder()
    whole = Recorder()
    search(Counted(), in_flight=1, callbacks=[whole])
    stop: Any = lambda view: view.total_num_evals >= 60  # noqa: E731
    search(Counted(), run_dir=tmp_path, in_flight=1, callbacks=[first], stop_callbacks=[stop])
    search(Counted(), run_dir=tmp_path, in_flight=1, callbacks=[second])
    search(Counted(), run_dir=tmp_path, in_flight=1, callbacks=[third])
    for name in ("on_candidate_accepted", "on_budget_updated", "on_valset_evaluated"):
        assert first.names[name] + second.names[name] == whole.names[name]
    assert first.names["on_budget_updated"] > 0 and second.names["on_budget_updated"] > 0
    assert list(third.names) == ["on_optimization_start", "on_optimization_end"]


def test_a_callback_with_one_method_is_enough() -> None:
    class Only:
        seen = 0

        def on_candidate_accepted(self, event: Any) -> None:
            self.seen += 1

    only = Only()
    found = search(Counted(), callbacks=[only, object()])
    assert only.seen == len(found.lineage) - 1 > 0
