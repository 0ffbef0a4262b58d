"""Every run ends by itself and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.landscape import COMPONENT, RULES, Landscape, write
from configs.gepa import GepaSettings, StopSettings
from tests.gepa.worlds import SEED, Simulation, usual
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Evaluate, Propose, Proposed, Result, Task

Answer = Callable[[Simulation, Task], Result]
PERFECT = {COMPONENT: write(range(RULES))}
LONG = "7 " * 250_000


def reflecting(answer: Callable[[Propose], Proposed]) -> Answer:
    """A world with another reflection."""
    return lambda run, task: usual(run, task) if isinstance(task, Evaluate) else answer(task)


def unending(simulation: Simulation) -> bool:
    """Whether a run has gone on for longer than any of these may."""
    assert len(simulation.taken) < 8000
    return False


BAD: dict[str, tuple[Callable[[Propose], Proposed], str]] = {
    "nothing": (lambda task: Proposed({}), "the reflection gave no text"),
    "the same text": (lambda task: Proposed(task.candidate), "no better than its parent"),
    "another component": (
        lambda task: Proposed({"tone": "warm"}),
        "the reflection wrote component 'tone'; accepted: rules",
    ),
    "a component too many": (
        lambda task: Proposed({COMPONENT: "1 2", "tone": "warm"}),
        "the reflection wrote component 'tone'; accepted: rules",
    ),
    "half a million characters": (
        lambda task: Proposed({COMPONENT: LONG}),
        "the reflection wrote 500000 characters for 'rules'; accepted: at most 20000 (gepa.longest_text)",
    ),
    "a failure": (lambda task: Proposed({}, failure="no answer within 300 s"), "no answer within 300 s"),
}


@pytest.mark.parametrize("islands", [1, 3])
@pytest.mark.parametrize("width", [1, 16])
@pytest.mark.parametrize("kind", BAD)
def test_a_reflection_that_helps_nobody_ends_the_run(kind: str, width: int, islands: int) -> None:
    answer, reason = BAD[kind]
    room = GepaSettings(in_flight=width, islands=islands)
    run = Simulation(Landscape(1), room, None, answer=reflecting(answer)).run(unending)
    assert run.archipelago.stopped == "200 proposals in a row found nothing new to try"
    assert [row[2] for row in run.pool()] == [SEED] * islands
    reasons = {payload["reason"] for _, payload in run.told if "reason" in payload}
    assert len(reasons) == 1
    assert reason in reasons.pop()
    # Nothing but the seed was ever evaluated: 24 examples of validation and some of the 60 of training.
    assert run.archipelago.budget.spent <= 84


@pytest.mark.parametrize("width", [1, 16])
def test_without_reuse_the_budget_ends_it(width: int) -> None:
    room = GepaSettings(in_flight=width, reuse=False)
    run = Simulation(Landscape(1), room, 300, answer=reflecting(BAD["nothing"][0])).run(unending)
    assert "no proposal fits in" in run.archipelago.stopped


@pytest.mark.parametrize("width", [1, 16])
def test_one_good_reflection_in_five_is_enough(width: int) -> None:
    bad = [answer for answer, _ in BAD.values()]

    def sometimes(run: Simulation, task: Task) -> Result:
        number = int(task.name.split(".")[1]) if isinstance(task, Propose) else 0
        return usual(run, task) if number % 5 == 0 else reflecting(bad[number % len(bad)])(run, task)

    run = Simulation(Landscape(1), GepaSettings(in_flight=width), 900, answer=sometimes).run(unending)
    assert len(run.pool()) > 4
    assert run.archipelago.best().mean > 0.2


@pytest.mark.parametrize("width", [1, 16, 64])
@pytest.mark.parametrize("calls", [None, 24, 100])
def test_a_perfect_seed_teaches_nothing(width: int, calls: int | None) -> None:
    run = Simulation(Landscape(1), GepaSettings(in_flight=width), calls, seeds=[PERFECT]).run(unending)
    assert run.archipelago.stopped
    assert run.archipelago.best().mean == 1.0
    assert len(run.pool()) == 1
    assert not any(isinstance(task, Propose) for task in run.asked)


@pytest.mark.parametrize("width", [1, 16])
def test_a_validation_set_that_everybody_solves_ends(width: int) -> None:
    """Training still shows what is missed, so that members go on being admitted, all alike."""

    def solved(run: Simulation, task: Task) -> Result:
        return Outcome(1.0) if isinstance(task, Evaluate) and task.split == "validation" else usual(run, task)

    room = GepaSettings(in_flight=width)
    run = Simulation(Landscape(1), room, 900, answer=solved).run(unending)
    assert "no proposal fits in" in run.archipelago.stopped or "nothing new" in run.archipelago.stopped
    assert len(run.pool()) > 3
    assert run.archipelago.best().index == 0  # the first of equals
    stop = StopSettings(score=1.0)
    run = Simulation(Landscape(1), room.model_copy(update={"stop": stop}), 900, answer=solved).run(unending)
    assert run.archipelago.stopped == "the best score reached 1"
    assert run.archipelago.budget.spent == 24


def costly(run: Simulation, task: Task) -> Result:
    """A world where a reflection costs a quarter."""
    result = usual(run, task)
    return Proposed(result.texts, cost=0.25) if isinstance(result, Proposed) else result


@pytest.mark.parametrize("islands", [1, 2])
@pytest.mark.parametrize("width", [1, 16])
@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ({"score": 0.4}, "the best score reached 0.4"),
        ({"proposals": 9}, "9 proposals were made"),
        ({"plateau": 4}, "4 proposals in a row did not lift the best score"),
        ({"money": 1.5}, "reflection cost 1.5"),
    ],
)
def test_each_setting_stops_for_its_reason(
    stop: dict[str, Any], reason: str, width: int, islands: int
) -> None:
    room = GepaSettings(in_flight=width, islands=islands, stop=StopSettings(**stop), adaptive=False)
    run = Simulation(Landscape(1), room, 5000, answer=costly).run(unending)
    search = run.archipelago
    if "money" not in stop:
        assert search.stopped == reason
    else:  # reflections that were under way are paid for too
        assert search.stopped.startswith("reflection cost ")
        assert 1.5 <= search.progress.money <= 1.5 + 0.25 * (width * islands + 1)
    assert search.progress.proposals < 200
    assert search.take() == []
    if "score" in stop:
        assert search.best().mean >= 0.4


@pytest.mark.parametrize("barren", [1, 5, 30])
def test_how_many_find_nothing_new_can_be_set(barren: int) -> None:
    room = GepaSettings(in_flight=1, stop=StopSettings(barren=barren))
    run = Simulation(Landscape(1), room, None, answer=reflecting(BAD["nothing"][0])).run(unending)
    assert run.archipelago.stopped == f"{barren} proposals in a row found nothing new to try"
    # Sequentially, an epoch of 20 batches of 3 finds something new, and what follows does not.
    assert run.archipelago.progress.proposals == 20 + barren


def test_a_run_that_is_stopped_asks_for_nothing_and_keeps_its_first_reason() -> None:
    run = Simulation(Landscape(1), GepaSettings(in_flight=8), 900).run(lambda each: len(each.taken) == 100)
    search = run.archipelago
    search.stop("somebody said so")
    search.stop("and somebody else")
    assert search.stopped == "somebody said so"
    assert search.take() == []
    taken = {name for _, name in run.taken}
    begun = sum(event == "on_iteration_start" for event, _ in run.told)
    for task in [task for task in run.asked if task.name not in taken]:  # answers that come too late
        search.learn(task.name, usual(run, task))
        assert search.take() == []
    assert begun == sum(event == "on_iteration_start" for event, _ in run.told)


def test_the_best_is_there_once_a_seed_is_validated() -> None:
    run = Simulation(Landscape(1), GepaSettings(), 900).run(lambda each: len(each.taken) == 23)
    with pytest.raises(LookupError, match="no candidate is validated yet"):
        run.archipelago.best()
    run = Simulation(Landscape(1), GepaSettings(), 900).run(lambda each: len(each.taken) == 24)
    assert run.archipelago.best().candidate == SEED
