"""A run that was cut off goes on as if it had not been: the order of what it was told is all it needs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.landscape import Landscape
from configs.gepa import GepaSettings
from tests.gepa.composite import Composite
from tests.gepa.worlds import Simulation
from train_jobs.gepa.tasks import Evaluate, Task

CALLS, EVERY = 200, 11
ROOMS: list[dict[str, Any]] = [
    {"in_flight": 1},
    {"in_flight": 1, "merges": 5},
    {"in_flight": 16, "adaptive": False},
    {"in_flight": 4, "islands": 3, "migration": 1},
    {"in_flight": 4, "reuse": False},
]
IDS = ["sequential", "sequential with merges", "many at once", "three islands", "without reuse"]


def simulation(room: dict[str, Any], components: bool, calls: int = CALLS) -> Simulation:
    if not components:
        return Simulation(Landscape(3), GepaSettings(**room), calls, workers=8)
    world = Composite(3)
    return Simulation(world, GepaSettings(**room), calls, workers=8, seeds=[world.start], answer=world.answer)


def cuts(whole: Simulation) -> list[int]:
    return list(range(0, len(whole.taken), EVERY))


@pytest.mark.parametrize("components", [False, True])
@pytest.mark.parametrize("room", ROOMS, ids=IDS)
def test_a_run_cut_anywhere_goes_on_to_the_same_end(room: dict[str, Any], components: bool) -> None:
    whole = simulation(room, components).run()
    assert len(whole.pool()) > 3
    for cut in cuts(whole):
        known = whole.taken[:cut]
        resumed = simulation(room, components).run(known=known)
        assert resumed.taken == whole.taken
        assert resumed.pool() == whole.pool()
        assert resumed.told == whole.told
        assert resumed.archipelago.stopped == whole.archipelago.stopped
        assert resumed.archipelago.budget == whole.archipelago.budget
        # What is known was asked for once, before it was told, and never again.
        assert Counter(task.name for task in resumed.asked) == Counter(task.name for task in whole.asked)
        assert max(Counter(task.name for task in resumed.asked).values()) == 1


@pytest.mark.parametrize("components", [False, True])
@pytest.mark.parametrize("room", ROOMS, ids=IDS)
def test_a_run_goes_on_where_the_calls_come_in_another_order(room: dict[str, Any], components: bool) -> None:
    """What was under way at the cut is begun anew: the past is the same, and all the rules hold."""
    whole = simulation(room, components).run()
    for cut in cuts(whole)[::3]:
        before = simulation(room, components).run(lambda each, cut=cut: len(each.taken) >= cut)
        other = simulation(room, components)
        search, budget = other.archipelago, other.archipelago.budget
        search.start()
        waiting: dict[str, Task] = {}
        asked: list[Task] = []

        def take(waiting: dict[str, Task] = waiting, asked: list[Task] = asked, run: Any = search) -> None:
            for task in run.take():
                waiting[task.name] = task
                asked.append(task)

        take()
        for _, name in whole.taken[:cut]:
            search.learn(name, other.answer(other, waiting.pop(name)))
            take()
        assert other.pool() == before.pool()
        while not search.stopped:
            task = waiting.pop(list(waiting)[-1])  # the latest first
            search.learn(task.name, other.answer(other, task))
            assert budget.spent + budget.held <= CALLS
            take()
        assert max(Counter(task.name for task in asked).values()) == 1
        assert budget.spent == sum(isinstance(task, Evaluate) for task in asked)
        now = other.pool()
        assert all(row in now for row in before.pool())
