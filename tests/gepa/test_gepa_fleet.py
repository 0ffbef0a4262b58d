"""Islands on a Ray cluster: its budget, its files, and evaluators that die in mid-call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.errors import BadInput
from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import VALSET, Counted, pool, records, search
from tests.gepa.gepa_on_ray import Moment, Remote
from train_jobs.gepa import EvolutionResult
from train_jobs.gepa.journal import OWN, RESULTS, read_results
from train_jobs.gepa.outcome import Outcome

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]
ROOM = GepaSettings(evaluators=1, proposers=1, num_cpus=0, migration=2)
"""A process a lane: each takes seconds to start."""


def spread(adapter: Any, calls: int, islands: int = 2, **changes: Any) -> EvolutionResult:
    """The small search on islands of the shared cluster."""
    return search(adapter, calls, **{"islands": islands, "settings": ROOM, **changes})


def workers(folder: Path) -> list[Path]:
    """Files of results but the engine's."""
    return [path for path in (folder / RESULTS).iterdir() if path.stem != OWN]


def test_two_islands_keep_the_budget_and_the_files_and_go_on(tmp_path: Path, ray_session: str) -> None:
    adapter, folder = Remote(tmp_path), tmp_path / "run"
    found = spread(adapter, 200, run_dir=folder)
    assert found.stopped == f"{found.metric_calls} of 200 metric calls are made; no proposal fits in"
    assert sum(adapter.paid.values()) == found.metric_calls <= 200 and set(adapter.paid.values()) == {1}
    assert 200 - found.metric_calls < 3 * 3 + len(VALSET), "calls were left that a proposal could have used"
    names = [record["name"] for record in records(folder)]
    assert len(set(names)) == len(names) and set(adapter.paid) <= set(names)
    files = workers(folder)
    assert len(files) == 2 * (ROOM.evaluators + ROOM.proposers)
    assert all(path.stat().st_size for path in files), "a worker had nothing to do"
    origins = [{each.origin for each in found.lineage if each.island == island} for island in (0, 1)]
    assert all("mutation" in each for each in origins), "an island found nothing"
    assert "migrant" in origins[0] | origins[1]

    again = spread(adapter, 200, run_dir=folder)
    assert pool(again) == pool(found) and again.stopped == found.stopped
    assert sum(adapter.paid.values()) == found.metric_calls, "a finished run was paid for again"
    assert len(records(folder)) == len(names)


def test_the_engine_gepa_spread_over_a_cluster_finds_what_gepa_finds(
    tmp_path: Path, ray_session: str
) -> None:
    gepa = pytest.importorskip("gepa")
    from tests.gepa.test_gepa_package import package

    here, there = Counted(), Remote(tmp_path)
    theirs = package(here, 120)
    assert gepa and len(theirs.candidates) > 2
    found = spread(there, 120, 1, engine="gepa")
    assert found.candidates == theirs.candidates and found.best_candidate == theirs.best_candidate
    assert [each.scores for each in found.lineage] == [dict(each) for each in theirs.val_subscores]
    assert found.metric_calls == theirs.total_metric_calls == here.total == sum(there.paid.values())


@pytest.mark.chaos
@pytest.mark.long
@pytest.mark.parametrize("moment", ["before the call ends", "when its result is written"])
def test_an_evaluator_that_dies_once_costs_at_most_its_call(
    tmp_path: Path, ray_session: str, moment: Moment
) -> None:
    adapter, folder = Remote(tmp_path, dies_on=VALSET[0], times=1, moment=moment), tmp_path / "run"
    found = spread(adapter, 40, 1, run_dir=folder)
    (name,) = adapter.deaths
    # Paid again where it died before its result was on disk, and only there.
    assert adapter.paid[name] == (2 if moment == "before the call ends" else 1)
    assert set(adapter.paid.values()) - {adapter.paid[name]} <= {1}
    assert len(adapter.paid) == found.metric_calls <= 40 and "no proposal fits in" in found.stopped
    outcome = read_results(folder)[name]
    assert isinstance(outcome, Outcome) and not outcome.failure
    assert len(workers(folder)) == ROOM.evaluators + ROOM.proposers + 1, "nobody took the dead one's place"


@pytest.mark.chaos
@pytest.mark.long
def test_a_call_that_kills_every_evaluator_is_given_up(tmp_path: Path, ray_session: str) -> None:
    adapter, folder = Remote(tmp_path, dies_on=VALSET[0], times=3), tmp_path / "run"
    found = spread(adapter, 40, 1, run_dir=folder)
    assert adapter.deaths == [adapter.deaths[0]] * 3, "the deaths were not of one call"
    assert adapter.paid[adapter.deaths[0]] == 3, "a call was made again after it was given up"
    outcome = read_results(folder)[adapter.deaths[0]]
    assert isinstance(outcome, Outcome) and outcome.score == 0.0
    assert outcome.failure.startswith("lost its worker 3 times; the last time: ")
    assert len(adapter.paid) == found.metric_calls <= 40 and "no proposal fits in" in found.stopped


def test_an_adapter_that_cannot_be_pickled_is_refused(tmp_path: Path, ray_session: str) -> None:
    adapter = Counted()
    with pytest.raises(BadInput, match=r"cannot be pickled \(.*lock.*\); accepted: .* islands=None"):
        spread(adapter, 60, run_dir=tmp_path / "run")
    assert adapter.total == 0
