"""What ends a search before its budget does."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from actors.errors import StageFailed
from configs.gepa import GepaSettings, StopSettings
from tests.gepa.gepa_kit import Counted, pool, search, sleeping
from train_jobs.gepa.evolve import STOP_FILE

pytestmark = pytest.mark.usefixtures("looks_often")


def stopping(**when: Any) -> GepaSettings:
    return GepaSettings(evaluators=16, proposers=4, stop=StopSettings(**when))


def test_a_score_that_is_good_enough() -> None:
    found = search(Counted(), 2000, settings=stopping(score=0.4))
    assert found.stopped == "the best score reached 0.4" and found.best_score >= 0.4
    assert [each.score >= 0.4 for each in found.lineage if each.complete].count(True) == 1


def test_a_number_of_proposals() -> None:
    found = search(Counted(), 2000, settings=stopping(proposals=3), in_flight=1)
    assert found.stopped == "3 proposals were made" and found.proposals == 3


def test_a_plateau() -> None:
    stale: Any = lambda candidate, dataset, names: {"rules": ""}  # noqa: E731
    found = search(Counted(), 2000, settings=stopping(plateau=7), in_flight=1, propose=stale)
    assert found.stopped == "7 proposals in a row did not lift the best score" and found.proposals == 7


def test_money() -> None:
    class Model:
        total_cost = 0.0

        def __call__(self, prompt: str) -> str:
            self.total_cost += 0.25
            return "1 2 3"

    found = search(
        Counted(), 2000, settings=stopping(money=1), in_flight=1, propose=None, reflection_lm=Model()
    )
    assert found.stopped == "reflection cost 1" and found.money == 1.0


def test_time() -> None:
    adapter = Counted(sleeping(0.01))
    began = time.monotonic()
    found = search(adapter, 100_000, settings=stopping(seconds=0.4))
    assert found.stopped == "0.4 s have passed" and 0.4 <= time.monotonic() - began < 10
    assert found.lineage and adapter.total < 100_000


def test_time_before_there_is_a_candidate(never: threading.Event) -> None:
    hang = Counted(lambda example, candidate, traced: never.wait() and None)
    with pytest.raises(StageFailed, match=r"ended before a candidate was validated .*: 0\.1 s have passed"):
        search(hang, settings=stopping(seconds=0.1))


def test_a_file_and_the_run_goes_on_without_it(tmp_path: Path) -> None:
    class Asks:
        def on_candidate_accepted(self, event: Any) -> None:
            (tmp_path / STOP_FILE).touch()

    adapter = Counted(sleeping(0.002))
    cut = search(adapter, 400, run_dir=tmp_path, in_flight=1, callbacks=[Asks()])
    assert cut.stopped == f"{tmp_path / STOP_FILE} is there" and cut.metric_calls < 400
    (tmp_path / STOP_FILE).unlink()
    found = search(adapter, 400, run_dir=tmp_path, in_flight=1)
    assert pool(found)[: len(cut.lineage)] == pool(cut) and len(found.lineage) > len(cut.lineage)


def test_a_function_that_is_shown_the_state() -> None:
    views: list[Any] = []

    def stop(view: Any) -> bool:
        views.append(view)
        return len(view.program_candidates) >= 3

    found = search(Counted(sleeping(0.002)), 2000, stop_callbacks=[lambda view: False, stop])
    assert found.stopped == "a stop callback said so" and len(found.lineage) >= 3
    last = views[-1]
    count = len(last.program_candidates)
    assert last.program_candidates == found.candidates[:count]
    assert last.program_full_scores_val_set == found.scores[:count]
    assert last.parent_program_for_candidate == [list(each.parents) for each in found.lineage[:count]]
    assert last.prog_candidate_val_subscores[0] == found.lineage[0].scores
    assert 0 < last.total_num_evals <= found.metric_calls and last.i < found.proposals


def test_gepas_own_stoppers() -> None:
    stop = pytest.importorskip("gepa.utils.stop_condition")
    slow = sleeping(0.002)
    by_calls = search(Counted(slow), 2000, stop_callbacks=[stop.MaxMetricCallsStopper(40)])
    assert by_calls.stopped == "a stop callback said so" and 40 <= by_calls.metric_calls < 2000
    by_score = search(Counted(slow), 2000, stop_callbacks=[stop.ScoreThresholdStopper(0.2)])
    assert by_score.stopped == "a stop callback said so" and by_score.best_score >= 0.2
    fresh = itertools.count(100)
    useless: Any = lambda candidate, dataset, names: {"rules": str(next(fresh))}  # noqa: E731
    by_plateau = search(Counted(slow), 10**6, stop_callbacks=[stop.NoImprovementStopper(3)], propose=useless)
    assert by_plateau.stopped == "a stop callback said so" and len(by_plateau.lineage) == 1
    by_time = search(Counted(slow), 10**6, stop_callbacks=[stop.TimeoutStopCondition(0.5)], propose=useless)
    assert by_time.stopped == "a stop callback said so" and by_time.proposals > 3


def test_a_function_that_raises_leaves_the_other_ends(caplog: pytest.LogCaptureFixture) -> None:
    def stop(view: Any) -> bool:
        raise KeyError("mine")

    with caplog.at_level(logging.WARNING):
        found = search(
            Counted(sleeping(0.01)), 100_000, settings=stopping(seconds=0.3), stop_callbacks=[stop]
        )
    assert found.stopped == "0.3 s have passed" and "stop callback" in caplog.text
