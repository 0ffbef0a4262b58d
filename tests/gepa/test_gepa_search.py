"""The search through a simulated clock: what holds at any width."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from actors.errors import BadInput
from benchmarks.landscape import Landscape
from configs.gepa import GepaSettings, RacingSettings
from tests.gepa.composite import Composite
from tests.gepa.worlds import SEED, Simulation, usual
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.pool import Member
from train_jobs.gepa.tasks import Evaluate, Propose, Result, Task

WIDTHS = [1, 4, 16, 64]


def members(simulation: Simulation) -> list[Member]:
    """Those of all islands."""
    return [member for island in simulation.archipelago.islands for member in island.pool.members]


def composite(number: int, calls: int | None, **room: Any) -> Simulation:
    """A search over three components."""
    world = Composite(number)
    return Simulation(world, GepaSettings(**room), calls, seeds=[world.start], answer=world.answer)


def asked(simulation: Simulation) -> Counter[str]:
    """How often each call was begun, by name."""
    return Counter(task.name for task in simulation.asked)


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("calls", [24, 33, 200, 501])
def test_the_budget_is_never_passed(width: int, calls: int, reuse: bool, adaptive: bool) -> None:
    def watched(simulation: Simulation) -> bool:
        budget = simulation.archipelago.budget
        assert budget.held >= 0
        assert budget.spent + budget.held <= calls
        return False

    room = GepaSettings(in_flight=width, adaptive=adaptive, reuse=reuse)
    simulation = Simulation(Landscape(width), room, calls).run(watched)
    budget = simulation.archipelago.budget
    # What was spent is what was made, and no call was made twice.
    assert budget.spent == len(simulation.made) == sum(simulation.made.values()) <= calls
    assert budget.held == 0
    # It ends because a proposal does not fit in any more, and not before.
    assert (
        simulation.archipelago.stopped
        == f"{budget.spent} of {calls} metric calls are made; no proposal fits in"
    )
    assert calls - budget.spent < room.minibatch * (3 if width > 1 else 2) + len(simulation.validation)


@pytest.mark.parametrize("width", [1, 16])
def test_a_proposal_begins_where_its_last_call_can_be_paid_for(width: int) -> None:
    whole = 24 + 3 * (3 if width > 1 else 2) + 24
    for calls, begins in ((whole - 1, False), (whole, True)):
        simulation = Simulation(Landscape(0), GepaSettings(in_flight=width), calls).run()
        assert (simulation.archipelago.progress.proposals > 0) == begins
        assert (simulation.archipelago.budget.spent > 24) == begins


@pytest.mark.parametrize("islands", [1, 3])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_call_is_made_twice(width: int, islands: int) -> None:
    simulation = Simulation(
        Landscape(2), GepaSettings(in_flight=width, islands=islands, adaptive=False, migration=2), 900
    ).run()
    assert max(asked(simulation).values()) == 1
    contents = Counter(
        (str(task.candidate), task.split, task.example)
        for task in simulation.asked
        if isinstance(task, Evaluate)
    )
    assert max(contents.values()) == 1
    assert len(contents) == simulation.archipelago.budget.spent


def test_without_reuse_each_proposal_has_calls_of_its_own() -> None:
    simulation = Simulation(Landscape(2), GepaSettings(in_flight=4, reuse=False), 900).run()
    contents = Counter(
        (str(task.candidate), task.split, task.example)
        for task in simulation.asked
        if isinstance(task, Evaluate)
    )
    assert max(asked(simulation).values()) == 1
    assert max(contents.values()) > 1


def offset(simulation: Simulation, task: Task) -> Result:
    """Scores of 0 to 0.4 in training and of 0.5 to 1 in validation: each shows where it is from."""
    result = usual(simulation, task)
    if isinstance(task, Evaluate):
        assert isinstance(result, Outcome)
        return Outcome(0.4 * result.score if task.split == "train" else 0.5 + 0.5 * result.score)
    return result


@pytest.mark.parametrize("width", [1, 16])
def test_scores_of_training_and_validation_never_mix(width: int) -> None:
    room = GepaSettings(in_flight=width, merges=10**9, minibatch=4, adaptive=False)
    # A crossover often loses something here, so that gates refuse some.
    simulation = Simulation(Landscape(5, loss=0.45), room, 2000, answer=offset).run()
    landscape, train, validation = simulation.landscape, simulation.train, simulation.validation
    assert len(members(simulation)) > 8
    for member in members(simulation):
        for example, score in member.scores.items():
            assert score == 0.5 + 0.5 * landscape.score(member.candidate, validation[example])
    for task in simulation.asked:
        if isinstance(task, Propose) and task.kind == "mutation":
            scores = [0.4 * landscape.score(task.candidate, train[example]) for example in task.examples]
            assert [each.score for each in task.outcomes] == scores
    mutations = {
        payload["iteration"] for event, payload in simulation.told if event == "on_minibatch_sampled"
    }
    joined = {payload["iteration"] for event, payload in simulation.told if event == "on_merge_attempted"}
    rejected = [payload for event, payload in simulation.told if event == "on_candidate_rejected"]
    gates = {"mutation": 0, "joined": 0}
    for payload in rejected:
        # Four training examples have 1.6 at most, five of validation 2.5 at least.
        if payload["iteration"] in mutations:
            gates["mutation"] += 1
            assert max(payload["old_score"], payload["new_score"]) <= 1.6
        elif payload["iteration"] in joined:
            gates["joined"] += 1
            assert min(payload["old_score"], payload["new_score"]) >= 2.5
    assert gates["mutation"] > 5
    assert gates["joined"] > 0


@pytest.mark.parametrize("islands", [1, 3])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_same_seed_makes_the_same_run(width: int, islands: int) -> None:
    room = {"in_flight": width, "islands": islands, "migration": 2}
    one, other = (composite(4, 700, **room).run() for _ in range(2))
    assert one.pool() == other.pool()
    assert one.taken == other.taken
    assert one.told == other.told


def test_another_seed_makes_another_run() -> None:
    runs = [composite(4, 500, in_flight=4, seed=seed).run() for seed in range(3)]
    assert len({str(run.pool()) for run in runs}) == 3


@pytest.mark.parametrize("islands", [1, 2])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_more_than_the_width_search_at_once(width: int, islands: int) -> None:
    most = [0] * islands

    def watched(simulation: Simulation) -> bool:
        for island in simulation.archipelago.islands:
            running = island.running
            if width == 1:
                assert len(running) <= 1
            searching = sum(each.stage == "search" for each in running)
            most[island.island] = max(most[island.island], searching)
        return False

    room = GepaSettings(in_flight=width, adaptive=False, islands=islands)
    Simulation(Landscape(0), room, None).run(lambda each: watched(each) or len(each.taken) > 900)
    assert most == [width] * islands


def test_an_adaptive_search_is_no_wider_than_its_budget_bears() -> None:
    widths = {adaptive: 0 for adaptive in (True, False)}
    for adaptive in widths:

        def watched(simulation: Simulation, adaptive: bool = adaptive) -> bool:
            running = simulation.archipelago.islands[0].running
            widths[adaptive] = max(widths[adaptive], sum(each.stage == "search" for each in running))
            return False

        Simulation(Landscape(0), GepaSettings(in_flight=16, adaptive=adaptive), 720).run(watched)
    assert widths[True] <= 2  # 30 validations, 16 of which shall follow one another
    assert widths[False] == 16


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("room", [{"in_flight": 2}, {"in_flight": 16}, {"in_flight": 16, "adaptive": False}])
def test_no_texts_are_twice_in_a_pool(room: dict[str, Any], seed: int) -> None:
    simulation = composite(seed, 800, **room).run()
    keys = Counter(member.key for member in members(simulation))
    assert max(keys.values()) == 1


@pytest.mark.parametrize("seed", range(6))
def test_members_stopped_in_their_validation_are_nobody(seed: int) -> None:
    simulation = Simulation(Landscape(seed), GepaSettings(in_flight=16, adaptive=False), 1500).run()
    pool = simulation.archipelago.islands[0].pool
    raced = [member for member in pool.members if not member.complete]
    assert raced
    assert pool.best().complete
    on_fronts = set().union(*pool.fronts.mapping().values())
    for member in pool.members:
        count = len(member.scores)
        assert (count == len(simulation.validation)) == member.complete
    for member in raced:
        assert 0 < len(member.scores) < len(simulation.validation)
        assert member.index not in on_fronts
    told = [payload for event, payload in simulation.told if event == "on_valset_evaluated"]
    parts = {payload["candidate_idx"] for payload in told if payload["num_examples_evaluated"] < 24}
    assert parts == {member.index for member in raced}
    assert not any(payload["is_best_program"] for payload in told if payload["candidate_idx"] in parts)
    # They do not become parents once they are stopped: whoever comes from one began while it was validated.
    selected = {
        payload["candidate_idx"] for event, payload in simulation.told if event == "on_candidate_selected"
    }
    assert not selected & parts


@pytest.mark.parametrize("room", [{"in_flight": 1}, {"in_flight": 16, "racing": RacingSettings(blocks=1)}])
def test_without_racing_every_member_is_validated_whole(room: dict[str, Any]) -> None:
    simulation = Simulation(Landscape(3), GepaSettings(adaptive=False, **room), 900).run()
    assert all(member.complete for member in members(simulation))


def test_calls_are_told_at_each_admission() -> None:
    simulation = composite(1, 600, in_flight=8).run()
    calls = [member.calls for member in members(simulation)]
    assert calls == sorted(calls)
    assert calls[0] >= 12 and calls[-1] <= simulation.archipelago.budget.spent


@pytest.mark.parametrize("limit", [0, 1, 3])
@pytest.mark.parametrize("width", [1, 16])
@pytest.mark.parametrize("seed", [1, 5])
def test_no_more_merges_become_members_than_allowed(width: int, limit: int, seed: int) -> None:
    simulation = composite(seed, 1200, in_flight=width, merges=limit, adaptive=False).run()
    joined = [member for member in members(simulation) if member.origin in ("merge", "crossover")]
    assert len(joined) <= limit
    assert joined or not limit


def test_seeds_without_a_score_can_be_searched_from() -> None:
    """Merges weigh common ancestors by their scores, and the first one has none."""
    origins: Counter[str] = Counter()
    for number in range(4):
        world = Composite(number)
        simulation = Simulation(
            world, GepaSettings(in_flight=8), 600, seeds=[dict.fromkeys(world.names, "")], answer=world.answer
        ).run()
        assert members(simulation)[0].mean == 0
        assert simulation.archipelago.stopped
        origins.update(member.origin for member in members(simulation))
    assert origins["merge"] > 4


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("migration", [1, 3])
def test_migrants_reach_every_island_from_the_one_before(width: int, migration: int) -> None:
    room = GepaSettings(in_flight=width, islands=3, migration=migration, adaptive=False)
    simulation = Simulation(Landscape(6), room, 3000).run()
    islands = simulation.archipelago.islands
    for island in islands:
        migrants = [member for member in island.pool.members if member.origin == "migrant"]
        assert migrants
        before = {member.key: member for member in islands[island.island - 1].pool.members}
        for member in migrants:
            assert member.complete
            assert member.parents == ()
            assert member.scores == before[member.key].scores
    assert max(asked(simulation).values()) == 1  # nobody is scored again for it
    best = max((island.pool.best() for island in islands), key=lambda member: member.mean)
    assert simulation.archipelago.best().mean == best.mean


@pytest.mark.parametrize("room", [{"islands": 3, "migration": 0}, {"islands": 1, "migration": 1}])
def test_islands_may_keep_apart(room: dict[str, int]) -> None:
    simulation = Simulation(Landscape(6), GepaSettings(in_flight=4, **room), 1500).run()
    assert all(member.origin != "migrant" for member in members(simulation))


def test_islands_search_differently_from_the_same_seeds() -> None:
    simulation = Simulation(Landscape(1), GepaSettings(in_flight=4, islands=3, migration=0), 1500).run()
    pools = [
        [str(member.candidate) for member in island.pool.members] for island in simulation.archipelago.islands
    ]
    assert len({each[0] for each in pools}) == 1
    assert len({tuple(each) for each in pools}) == 3


@pytest.mark.parametrize("islands", [1, 3])
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("width", [1, 8])
def test_the_seeds_are_paid_for_once(width: int, twice: bool, islands: int) -> None:
    """A budget that holds one validation is enough for islands that all start from the same texts."""
    seeds = [SEED, SEED] if twice else [SEED]
    room = GepaSettings(in_flight=width, islands=islands)
    simulation = Simulation(Landscape(1), room, 24, seeds=seeds).run()
    assert simulation.archipelago.budget.spent == 24
    assert [len(island.pool) for island in simulation.archipelago.islands] == [len(seeds)] * islands


def test_without_reuse_every_island_pays_for_its_seeds() -> None:
    room = GepaSettings(islands=3, reuse=False)
    assert Simulation(Landscape(1), room, 72).run().archipelago.budget.spent == 72
    with pytest.raises(BadInput, match=r"validation of 3 seed\(s\) on 24 examples; accepted: at least 72"):
        Simulation(Landscape(1), room, 71)


@pytest.mark.parametrize(
    ("seeds", "train", "validation", "calls", "message"),
    [
        ([], 1, 1, None, "no seed candidate"),
        ([{}], 1, 1, None, "no seed candidate"),
        ([{"a": ""}, {"b": ""}], 1, 1, None, "accepted: seeds of the same components"),
        ([{"a": 7}], 1, 1, None, "component 'a' of a seed is no text"),
        ([{"a": ""}], 0, 1, None, "training set is empty"),
        ([{"a": ""}], 1, 0, None, "validation set is empty"),
        ([{"a": ""}, {"a": "b"}], 1, 5, 9, "accepted: at least 10"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    seeds: list[dict[str, Any]], train: int, validation: int, calls: int | None, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        Archipelago(GepaSettings(), seeds, train, validation, calls)
