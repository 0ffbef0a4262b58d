"""What is written for `gepa` runs here unchanged, and `gepa` itself runs on the same arguments."""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

import pytest

from actors.errors import BadInput
from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import TRAINSET, VALSET, Counted, pool, search
from tests.gepa.worlds import SEED
from train_jobs.gepa import evolve

gepa = pytest.importorskip("gepa")
gepa_adapter = pytest.importorskip("gepa.core.adapter")
default_adapter = pytest.importorskip("gepa.adapters.default_adapter.default_adapter")


class Theirs(Counted, gepa_adapter.GEPAAdapter):  # type: ignore[misc]
    """An adapter of gepa's class that answers with gepa's batches."""

    def evaluate(self, batch: Any, candidate: Any, capture_traces: bool = False) -> Any:
        found = super().evaluate(batch, candidate, capture_traces)
        return gepa_adapter.EvaluationBatch(
            outputs=found.outputs,
            scores=found.scores,
            trajectories=found.trajectories,
            objective_scores=[{"share": score} for score in found.scores],
            num_metric_calls=len(batch),
        )


class Silent:
    """A logger of gepa's."""

    def log(self, message: str) -> None:
        """Keep nothing."""


def package(adapter: Any, calls: int = 150, **changes: Any) -> Any:
    """`gepa.optimize` on the small search."""
    arguments: dict[str, Any] = {
        "seed_candidate": SEED,
        "trainset": TRAINSET,
        "valset": VALSET,
        "custom_candidate_proposer": adapter.propose,
        "max_metric_calls": calls,
        "logger": Silent(),
        "seed": 0,
    }
    return gepa.optimize(adapter=adapter, **{**arguments, **changes})


@pytest.mark.parametrize("in_flight", [1, 8])
def test_an_adapter_of_gepas_runs_unchanged(in_flight: int) -> None:
    adapter = Theirs()
    found = search(adapter, in_flight=in_flight)
    assert adapter.total == found.metric_calls and len(found.lineage) > 2
    assert found.lineage[0].objectives == {"share": found.scores[0]}
    if in_flight == 1:
        assert pool(found) == pool(search(Counted(), in_flight=1))


def answering(messages: Any) -> str:
    """A model that knows the answers its instructions hold."""
    system, user = messages[0]["content"], messages[1]["content"]
    return f"it is {user.split()[-1]}!" if user.split()[-1] in system else "I do not know"


def test_gepas_default_adapter_and_a_plain_language_model() -> None:
    words = ["red", "blue", "green", "black", "white", "grey"]
    examples = [{"input": f"say {word}", "additional_context": {}, "answer": f"{word}!"} for word in words]
    turns = itertools.count()

    def model(prompt: str) -> str:
        old = prompt.split("```")[1].strip()
        missing = [word for word in words if f"'{word}!'" in prompt and word not in old]
        return f"I think:\n```\n{old} {missing[0] if missing else next(turns)}\n```"

    for in_flight in (1, 4):
        found = evolve(
            adapter=default_adapter.DefaultAdapter(model=answering),
            seed_candidates=[{"system_prompt": "Answer."}],
            trainset=examples,
            reflection_lm=model,
            max_metric_calls=150,
            in_flight=in_flight,
            settings=GepaSettings(perfect_score=None),
        )
        assert found.best_score == 1.0 and set(words) < set(found.best_candidate["system_prompt"].split())


def test_a_run_does_not_end_while_its_best_child_is_validated() -> None:
    """Its texts are taken as a parent before it is a member; nothing is left to learn from it."""
    right = {"rules": " ".join(map(str, range(24)))}
    best: Any = lambda candidate, dataset, names: right  # noqa: E731
    slow = Counted(lambda example, candidate, traced: time.sleep(0 if traced else 0.02))
    found = search(slow, 500, propose=best, in_flight=4)
    assert found.best_score == 1.0


@pytest.mark.parametrize("seed", [0, 7])
def test_the_engine_gepa_gives_gepas_own_result(seed: int) -> None:
    theirs = package(Counted(), seed=seed)
    adapter = Counted()
    found = search(adapter, engine="gepa", seed=seed)
    assert found.candidates == theirs.candidates and found.scores == theirs.val_aggregate_scores
    assert [list(each.parents) for each in found.lineage] == [
        [parent for parent in parents if parent is not None] for parents in theirs.parents
    ]
    assert [each.scores for each in found.lineage] == [dict(each) for each in theirs.val_subscores]
    assert found.metric_calls == theirs.total_metric_calls == adapter.total
    assert found.best_candidate == theirs.best_candidate and len(found.lineage) > 2


@pytest.mark.parametrize("seed", [0, 7])
def test_one_proposal_in_flight_finds_what_gepa_finds(seed: int) -> None:
    calls = 150
    theirs = package(Counted(), calls, seed=seed)
    found = search(Counted(), calls, in_flight=1, seed=seed)
    count = min(len(found.lineage), len(theirs.candidates))
    assert count > 2 and found.candidates[:count] == theirs.candidates[:count]
    assert found.scores[:count] == theirs.val_aggregate_scores[:count]


def test_the_engine_gepa_passes_the_settings_on(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    optimise = gepa.optimize

    def watched(**arguments: Any) -> Any:
        seen.update(arguments)
        return optimise(**arguments)

    monkeypatch.setattr(gepa, "optimize", watched)
    settings = GepaSettings(minibatch=2, selector="current_best", acceptance="improvement_or_equal", merges=3)
    adapter = Counted()
    search(adapter, 60, engine="gepa", settings=settings, run_dir=tmp_path, seed=4)
    assert seen["reflection_minibatch_size"] == 2 and seen["seed"] == 4
    assert seen["candidate_selection_strategy"] == "current_best"
    assert seen["acceptance_criterion"] == "improvement_or_equal"
    assert (seen["use_merge"], seen["max_merge_invocations"]) == (True, 3)
    assert (seen["max_metric_calls"], seen["run_dir"]) == (60, str(tmp_path))


def test_the_engine_gepa_takes_one_seed() -> None:
    with pytest.raises(BadInput, match="engine='gepa' takes one seed candidate, not 2; accepted: one"):
        search(Counted(), engine="gepa", seed_candidates=[SEED, {"rules": "1"}])


def test_without_the_package_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gepa", None)
    with pytest.raises(BadInput, match=r"install it with `pip install 'atelier-ray\[gepa\]'`"):
        search(Counted(), engine="gepa")
    assert len(search(Counted()).lineage) > 2
