"""What becomes of a call whose worker died."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from benchmarks.landscape import COMPONENT
from tests.gepa.gepa_kit import Counted, pool, search
from train_jobs.gepa.hosts import Lost, ThreadHost
from train_jobs.gepa.journal import read_results
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Evaluate, Result, Task

Death = Callable[[Callable[[], Awaitable[Result | Lost]], int], Awaitable[Result | Lost]]
"""What becomes of the fourth evaluation, given how to make it and how often it was tried."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Callable[[Death], Counter[str]]:
    def install(death: Death) -> Counter[str]:
        tries: Counter[str] = Counter()
        victims: list[str] = []

        class Dying(ThreadHost):
            async def run(self, task: Task) -> Result | Lost:
                if isinstance(task, Evaluate) and len(victims) < 4 and task.name not in victims:
                    victims.append(task.name)
                if len(victims) < 4 or task.name != victims[3]:
                    return await super().run(task)
                tries[task.name] += 1
                make = super().run
                return await death(lambda: make(task), tries[task.name])

        monkeypatch.setattr(sys.modules["train_jobs.gepa.evolve"], "ThreadHost", Dying)
        return tries

    return install


def test_a_result_that_was_written_before_the_death_is_taken(
    dying: Callable[[Death], Counter[str]], tmp_path: Path
) -> None:
    async def death(make: Callable[[], Awaitable[Result | Lost]], tries: int) -> Result | Lost:
        await make()
        return Lost("died")

    undisturbed = search(Counted(), 60)
    tries = dying(death)
    adapter = Counted()
    found = search(adapter, 60, run_dir=tmp_path / "run")
    assert list(tries.values()) == [1], "a call was made again whose result was there"
    assert adapter.total == found.metric_calls == undisturbed.metric_calls
    assert set(adapter.paid.values()) == {1}


def test_the_third_loss_is_the_calls_own_fault(
    dying: Callable[[Death], Counter[str]], tmp_path: Path
) -> None:
    async def death(make: Callable[[], Awaitable[Result | Lost]], tries: int) -> Result | Lost:
        return Lost(f"death {tries}")

    tries = dying(death)
    search(Counted(), 60, run_dir=tmp_path / "run")
    ((name, count),) = tries.items()
    assert count == 3
    outcome = read_results(tmp_path / "run")[name]
    assert isinstance(outcome, Outcome) and outcome.score == 0.0
    assert outcome.failure == "lost its worker 3 times; the last time: death 3"


def test_nodes_that_go_are_not_the_calls_fault(
    dying: Callable[[Death], Counter[str]], tmp_path: Path
) -> None:
    async def death(make: Callable[[], Awaitable[Result | Lost]], tries: int) -> Result | Lost:
        return Lost("the node is gone", counts=False) if tries < 8 else await make()

    undisturbed = search(Counted(), 60, in_flight=1)
    tries = dying(death)
    found = search(Counted(), 60, in_flight=1, run_dir=tmp_path / "run")
    assert list(tries.values()) == [8] and pool(found) == pool(undisturbed)
    assert COMPONENT in found.best_candidate
