"""The public call in this process: its budget to the call, its lanes, and what its arguments overrule."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import VALSET, Counted, Example, pool, search, sleeping
from tests.gepa.worlds import SEED

LIMIT = 137


@pytest.mark.parametrize("in_flight", [1, 4, 16, 64])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_budget_is_never_passed_by_one_call(tmp_path: Path, in_flight: int, seed: int) -> None:
    adapter = Counted(sleeping(0.001))
    settings = GepaSettings(evaluators=32, proposers=8, adaptive=False)
    arguments = {"in_flight": in_flight, "settings": settings, "seed": seed}
    found = search(adapter, LIMIT, **arguments, run_dir=tmp_path)
    assert adapter.total == found.metric_calls <= LIMIT
    assert max(adapter.paid.values()) == 1, "a score that was paid for was not reused"
    gate = 3 * (2 if in_flight == 1 else 3)
    assert LIMIT - found.metric_calls < gate + len(VALSET), "calls were left that a proposal could have used"
    assert f"{found.metric_calls} of {LIMIT} metric calls are made; no proposal fits in" == found.stopped


def test_without_reuse_every_score_is_paid_for(tmp_path: Path) -> None:
    adapter = Counted()
    found = search(adapter, LIMIT, settings=GepaSettings(reuse=False))
    assert adapter.total == found.metric_calls <= LIMIT and max(adapter.paid.values()) > 1


def test_calls_are_made_at_once_as_far_as_there_are_lanes() -> None:
    lock, busy, peak = threading.Lock(), 0, 0

    def hook(example: Example, candidate: Mapping[str, str], traced: bool) -> None:
        nonlocal busy, peak
        with lock:
            busy, peak = busy + 1, max(peak, busy + 1)
        time.sleep(0.003)
        with lock:
            busy -= 1

    found = search(Counted(hook), 100, settings=GepaSettings(evaluators=5, proposers=2), in_flight=8)
    assert peak == 5 and len(found.lineage) > 1


def test_an_adapter_that_cannot_be_pickled_works_here() -> None:
    adapter = Counted()
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(adapter)
    assert len(search(adapter).lineage) > 1


def test_the_same_arguments_give_the_same_sequential_run() -> None:
    runs = [pool(search(Counted(sleeping(pause)), in_flight=1)) for pause in (0, 0.001)]
    assert runs[0] == runs[1] and len(runs[0]) > 2
    assert pool(search(Counted(), in_flight=1, seed=5)) != runs[0]


def test_arguments_overrule_settings_only_where_they_are_given() -> None:
    settings = GepaSettings(in_flight=1, seed=5)
    kept = search(Counted(), in_flight=None, settings=settings)
    assert pool(kept) == pool(search(Counted(), in_flight=1, seed=5))
    assert pool(search(Counted(), in_flight=None, settings=settings, seed=0)) != pool(kept)


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = search(Counted())
    assert found.log is None and list(tmp_path.iterdir()) == []


def test_the_result_tells_where_each_candidate_is_from() -> None:
    seeds = [SEED, {"rules": "1 2"}]
    found = search(Counted(), 300, seed_candidates=seeds, in_flight=8)
    assert found.candidates[:2] == seeds or found.candidates[:2] == seeds[::-1]
    assert [each.origin for each in found.lineage[:2]] == ["seed", "seed"]
    for place, each in enumerate(found.lineage[2:], 2):
        assert each.parents and all(0 <= parent < len(found.lineage) for parent in each.parents)
        assert each.score == sum(each.scores.values()) / len(each.scores), place
    complete = [each for each in found.lineage if each.complete]
    assert found.best_score == max(each.score for each in complete) and found.frontier
    assert found.best_candidate in [each.candidate for each in complete]
    assert all(found.lineage[place].complete for place in found.frontier)
    told = found.as_json()
    assert told["candidates"] == len(found.lineage) and told["best_score"] == found.best_score


def test_a_model_pays_for_crossovers_too() -> None:
    class Model:
        total_cost = 0.0
        crossovers = 0

        def __call__(self, prompt: str) -> str:
            with lock:
                self.total_cost += 0.5
                self.crossovers += "Two versions" in prompt
                count = int(self.total_cost * 2)
            return f"```\n{count % 24} {(7 * count) % 24} {(5 * count) % 24}\n```"

    lock, model = threading.Lock(), Model()
    found = search(Counted(), 600, propose=None, reflection_lm=model, in_flight=8)
    assert model.crossovers > 0 and found.money == model.total_cost > 0


def test_interrupting_threads_leaves_none_behind() -> None:
    before = set(threading.enumerate())
    search(Counted(sleeping(0.002)), 100, in_flight=8)
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    assert not set(threading.enumerate()) - before
