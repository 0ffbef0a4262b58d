from __future__ import annotations

import math
import pickle
import random

import pytest
from gepa.gepa_utils import remove_dominated_programs, select_program_candidate_from_pareto_front
from gepa.strategies.candidate_selector import (
    CandidateSelector,
    CurrentBestCandidateSelector,
    EpsilonGreedyCandidateSelector,
    ParetoCandidateSelector,
    TopKParetoCandidateSelector,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gepa.oracle import KINDS, drawn_rows, pool_of, seeds, state_of, translated
from train_jobs.gepa.errors import MissingObjectives
from train_jobs.gepa.fronts import FrontierType, Fronts, objective_means, seats_of, surviving, values_of
from train_jobs.gepa.pool import Member, Pool, ancestors
from train_jobs.gepa.selectors import EPSILON, SELECTORS, TOP_K, SelectorName

Mapping = dict[int, set[int]]


@st.composite
def fronts(draw: st.DrawFn) -> tuple[Mapping, list[float]]:
    members = draw(st.integers(1, 12))
    front = st.sets(st.integers(0, members - 1), min_size=1, max_size=6)
    found = draw(st.lists(front, min_size=1, max_size=9))
    scores = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=members, max_size=members))
    return dict(enumerate(found)), scores


def selector_of(name: SelectorName, rng: random.Random) -> CandidateSelector:
    """The package's."""
    found: dict[SelectorName, CandidateSelector] = {
        "pareto": ParetoCandidateSelector(rng),
        "current_best": CurrentBestCandidateSelector(),
        "epsilon_greedy": EpsilonGreedyCandidateSelector(EPSILON, rng),
        "top_k_pareto": TopKParetoCandidateSelector(TOP_K, rng),
    }
    return found[name]


@given(fronts())
@settings(deadline=None, max_examples=300)
def test_the_same_members_survive_as_in_gepa(drawn: tuple[Mapping, list[float]]) -> None:
    mapping, scores = drawn
    assert surviving(mapping, scores) == remove_dominated_programs(mapping, scores)


@given(fronts())
@settings(deadline=None)
def test_no_front_is_emptied_and_no_survivor_could_go(drawn: tuple[Mapping, list[float]]) -> None:
    mapping, scores = drawn
    kept = surviving(mapping, scores)
    assert all(kept[key] and kept[key] <= front for key, front in mapping.items())
    for index in set().union(*kept.values()):
        assert any(front == {index} for front in kept.values())


@given(fronts(), seeds)
@settings(deadline=None)
def test_a_parent_is_drawn_as_in_gepa(drawn: tuple[Mapping, list[float]], seed: int) -> None:
    mapping, scores = drawn
    ours, theirs = random.Random(seed), random.Random(seed)
    for _ in range(5):
        found = ours.choice(seats_of(surviving(mapping, scores)))
        assert found == select_program_candidate_from_pareto_front(mapping, scores, theirs)


def test_the_weakest_goes_first() -> None:
    mapping = {0: {0, 1}, 1: {0, 1}, 2: {1, 2}}
    assert surviving(mapping, [0.1, 0.5, 0.9]) == {0: {1}, 1: {1}, 2: {1}} != mapping
    assert surviving(mapping, [0.5, 0.1, 0.9]) == {0: {0}, 1: {0}, 2: {2}}


def test_seats_are_counted_by_fronts() -> None:
    assert sorted(seats_of({0: {3}, 1: {3, 5}, 2: {5}, 3: {3}})) == [3, 3, 3, 5, 5]


@given(seeds, st.integers(1, 10), st.integers(1, 6), st.sampled_from(KINDS))
@settings(deadline=None)
def test_fronts_are_those_of_gepa(seed: int, members: int, examples: int, kind: FrontierType) -> None:
    rows = drawn_rows(seed, members, examples)
    pool, state = pool_of(kind, rows), state_of(kind, rows)
    mapping = {translated(kind, key): front for key, front in pool.fronts.mapping().items()}
    theirs = state.get_pareto_front_mapping()
    assert mapping == theirs
    # The order decides which parent a seed draws.
    assert [(key, list(front)) for key, front in mapping.items()] == [
        (key, list(front)) for key, front in theirs.items()
    ]
    assert pool.scores == state.program_full_scores_val_set


@given(seeds, st.integers(1, 10), st.integers(1, 6), st.sampled_from(KINDS), st.sampled_from(list(SELECTORS)))
@settings(deadline=None, max_examples=200)
def test_selectors_draw_as_those_of_gepa(
    seed: int, members: int, examples: int, kind: FrontierType, name: SelectorName
) -> None:
    rows = drawn_rows(seed, members, examples)
    pool, state = pool_of(kind, rows), state_of(kind, rows)
    rng, theirs = random.Random(seed), random.Random(seed)
    selector = selector_of(name, theirs)
    for _ in range(20):
        assert SELECTORS[name](pool, rng) == selector.select_candidate_idx(state)
    assert rng.getstate() == theirs.getstate()


@pytest.mark.parametrize("kind", KINDS)
@given(seeds, st.integers(1, 8), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_a_front_holds_all_with_the_best_value(
    kind: FrontierType, seed: int, members: int, examples: int
) -> None:
    pool = pool_of(kind, drawn_rows(seed, members, examples))
    values = [values_of(kind, member.scores, member.objectives) for member in pool.members]
    mapping = pool.fronts.mapping()
    assert set(mapping) == {key for each in values for key in each}
    for key, front in mapping.items():
        best = max(each[key] for each in values if key in each)
        assert front == {index for index, each in enumerate(values) if each.get(key) == best}
        assert pool.fronts.best(key) == best


def test_values_by_hand() -> None:
    scores, objectives = {0: 1.0, 1: 0.5}, {0: {"a": 1.0}, 1: {"a": 0.0, "b": 0.25}}
    means = {("objective", "a"): 0.5, ("objective", "b"): 0.25}
    assert objective_means(objectives) == {"a": 0.5, "b": 0.25}
    assert values_of("instance", scores, objectives) == scores
    assert values_of("objective", scores, objectives) == means
    assert values_of("hybrid", scores, objectives) == scores | means
    assert values_of("cartesian", scores, objectives) == {(0, "a"): 1.0, (1, "a"): 0.0, (1, "b"): 0.25}


def test_the_mapping_is_a_copy() -> None:
    fronts = Fronts("instance")
    fronts.add(0, {0: 1.0})
    fronts.mapping()[0].add(7)
    assert fronts.mapping() == {0: {0}}
    assert fronts.best(1) is None


def test_objectives_come_behind_examples_that_are_scored_later() -> None:
    fronts = Fronts("hybrid")
    fronts.add(0, values_of("hybrid", {0: 1.0}, {0: {"a": 1.0}}))
    fronts.add(1, values_of("hybrid", {1: 1.0}, {1: {"a": 0.5, "b": 0.5}}))
    assert list(fronts.mapping()) == [0, 1, ("objective", "a"), ("objective", "b")]


@given(seeds, st.integers(2, 8), st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_a_member_not_validated_whole_is_nowhere(seed: int, members: int, examples: int) -> None:
    rows, dice = drawn_rows(seed, members, examples), random.Random(seed)
    pool, alone = pool_of("instance", rows), pool_of("instance", rows)
    raced = Member({"text": "raced"}, (pool.members[0],), "mutation")
    raced.scores = {0: 2.0}  # better than anybody, on what it was scored
    pool.admit(raced)
    assert raced.index == members
    assert pool.best() is pool.members[alone.best().index]
    assert pool.survivors() == alone.survivors()
    assert pool.scores == [*alone.scores, -math.inf]
    assert pool.highest(0) == alone.highest(0) < 2.0
    for selector in SELECTORS.values():
        assert all(selector(pool, dice) != raced.index for _ in range(60))


def test_the_best_is_the_first_of_equals() -> None:
    pool = pool_of("instance", drawn_rows(0, 1, 4))
    equal = Member({"text": "other"}, (), "seed")
    equal.scores, equal.complete = dict(reversed(pool.members[0].scores.items())), True
    pool.admit(equal)
    assert pool.best().index == 0
    assert pool.best().mean == equal.mean


def test_an_empty_pool_has_no_best() -> None:
    pool = Pool()
    assert not pool.has_best
    with pytest.raises(LookupError, match="no validated member"):
        pool.best()
    assert pool.front_members() == []
    assert pool.highest(0) == -math.inf
    assert Member({"text": ""}, (), "seed").mean == -math.inf


@pytest.mark.parametrize("kind", ["objective", "hybrid", "cartesian"])
def test_fronts_over_objectives_need_them(kind: FrontierType) -> None:
    member = Member({"text": ""}, (), "seed")
    member.scores, member.complete = {0: 1.0}, True
    pool = Pool(kind)
    with pytest.raises(
        MissingObjectives, match="accepted: an adapter that returns objective_scores"
    ) as found:
        pool.admit(member)
    assert len(pool) == 0
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)


def test_ancestors_are_found_once_over_those_that_have_no_index() -> None:
    pool = pool_of("instance", drawn_rows(0, 3, 2))
    first, second, third = pool.members
    second.parents, third.parents = (first,), (first, second)
    # Both are still being validated: they have no index, and -1 is the place of somebody else.
    waiting, other = Member({}, (second,), "mutation"), Member({}, (third,), "mutation")
    assert sorted(ancestors(third)) == [0, 1]
    assert sorted(ancestors(Member({}, (waiting,), "mutation"))) == [0, 1]
    assert sorted(ancestors(Member({}, (waiting, other), "merge"))) == [0, 1, 2]
