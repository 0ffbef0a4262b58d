from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from gepa.core.data_loader import ListDataLoader
from gepa.core.state import GEPAState
from gepa.proposer.merge import MergeProposer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gepa.composite import names_as_a_set_walks
from tests.gepa.oracle import Row, Silent, pool_of, seeds, state_of
from train_jobs.gepa.merge import GATE, Merges, gate_examples
from train_jobs.gepa.pool import Member, Pool, ancestors

EXAMPLES = 8
some_scores = st.dictionaries(st.integers(0, 15), st.sampled_from([0.0, 0.5, 1.0]), max_size=14)


def family(seed: int, components: int, members: int = 9, lowest: int = 1) -> list[Row]:
    """Members that changed one or two components of a parent, or mixed two; scores grow along the line."""
    dice = random.Random(seed)
    names = names_as_a_set_walks(components)
    rows = [Row(dict.fromkeys(names, "0"), [lowest / 8] * EXAMPLES)]
    for number in range(1, members):
        parents = dice.sample(range(number), min(number, dice.choice([1, 1, 1, 2])))
        candidate = {name: rows[dice.choice(parents)].candidate[name] for name in names}
        for name in dice.sample(names, dice.choice([1, 1, 2])):
            candidate[name] = str(dice.randint(0, 3))
        below = rows[parents[0]].scores
        scores = [min(8, max(lowest, round(8 * each) + dice.randint(-1, 2))) / 8 for each in below]
        rows.append(Row(candidate, scores, parents))
    return rows


def proposer_of(rng: random.Random) -> MergeProposer[int]:
    """The package's, on a metric that knows nothing."""
    return MergeProposer(
        Silent(),
        ListDataLoader(list(range(EXAMPLES))),
        lambda batch, candidate: ([None] * len(batch), [0.0] * len(batch), None),
        use_merge=True,
        max_merge_invocations=10**9,
        rng=rng,
    )


def propose(proposer: MergeProposer[int], state: GEPAState[Any, int]) -> Any:
    """What the package merges next."""
    proposer.last_iter_found_new_program, proposer.merges_due = True, 1
    state.full_program_trace.append({})
    return proposer.propose(state)


@pytest.mark.parametrize("components", [2, 3, 4])
@given(seeds, st.integers(2, 12))
@settings(deadline=None, max_examples=60)
def test_merges_are_those_of_gepa(components: int, seed: int, members: int) -> None:
    rows = family(seed, components, members)
    pool, state = pool_of("instance", rows), state_of("instance", rows)
    rng, theirs = random.Random(seed), random.Random(seed)
    merges, proposer = Merges(10**9), proposer_of(theirs)
    for _ in range(6):
        merged, proposal = merges.by_ancestor(pool, rng), propose(proposer, state)
        assert (merged is None) == (proposal is None)
        if merged is not None:
            assert merged.candidate == proposal.candidate
            assert [merged.first.index, merged.second.index] == proposal.parent_program_ids
            examples = gate_examples(merged.first.scores, merged.second.scores, rng)
            assert examples == proposal.subsample_indices
        assert rng.getstate() == theirs.getstate()


def test_some_families_can_be_merged() -> None:
    """Else the comparison above would say nothing."""
    pools = [pool_of("instance", family(seed, 3)) for seed in range(60)]
    found = [Merges(1).by_ancestor(pool, random.Random(0)) for pool in pools]
    assert sum(each is not None for each in found) > 10


@given(seeds)
@settings(deadline=None, max_examples=60)
def test_a_merge_takes_each_text_from_a_parent_and_is_made_once(seed: int) -> None:
    pool, merges, made = pool_of("instance", family(seed, 3)), Merges(10**9), []
    front = set(pool.front_members())
    rng = random.Random(seed)
    for _ in range(8):
        if (merged := merges.by_ancestor(pool, rng)) is None:
            continue
        first, second = merged.first, merged.second
        assert {first.index, second.index} <= front
        assert first.index not in ancestors(second) and second.index not in ancestors(first)
        for name, text in merged.candidate.items():
            assert text in (first.candidate[name], second.candidate[name])
        made.append((first.index, second.index, tuple(merged.candidate.values())))
    sources = [(first, second) for first, second, _ in made]
    common = [len(set(ancestors(pool.members[a])) & set(ancestors(pool.members[b]))) for a, b in sources]
    # A pair comes again with another common ancestor only.
    assert all(sources.count(pair) <= shared for pair, shared in zip(sources, common, strict=True))


def siblings(scores: Sequence[Sequence[float]]) -> list[Row]:
    """A seed and two children, each of which changed a component of its own."""
    texts = [("0", "0"), ("1", "0"), ("0", "1")]
    return [
        Row({"a": a, "b": b}, each, [0] if place else [])
        for place, ((a, b), each) in enumerate(zip(texts, scores, strict=True))
    ]


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_an_ancestor_may_have_no_score_to_its_credit(low: float) -> None:
    rows = siblings([[low] * 6, [1.0, 0.0] * 3, [0.0, 1.0] * 3])
    merged = Merges(1).by_ancestor(pool_of("instance", rows), random.Random(0))
    assert merged is not None
    assert merged.candidate == {"a": "1", "b": "1"}


def test_an_ancestor_may_have_been_stopped_in_its_validation() -> None:
    pool = Pool()
    rows = siblings([[0.5] * 6, [1.0, 0.0] * 3, [0.0, 1.0] * 3])
    for place, row in enumerate(rows):
        member = Member(row.candidate, tuple(pool.members[each] for each in row.parents), "mutation")
        member.scores, member.complete = dict(enumerate(row.scores)), place > 0
        pool.admit(member)
    merged = Merges(1).by_ancestor(pool, random.Random(0))
    assert merged is not None
    assert merged.candidate == {"a": "1", "b": "1"}


def test_an_ancestor_that_waits_for_its_validation_is_nobody_else() -> None:
    """Both come from a member without an index; the last one in the pool is not their ancestor."""
    pool = Pool()
    waiting = Member({"a": "0", "b": "0"}, (), "mutation")
    texts = [("1", "0", (waiting,)), ("0", "1", (waiting,)), ("0", "0", ())]
    for place, (a, b, parents) in enumerate(texts):
        member = Member({"a": a, "b": b}, parents, "mutation")
        scores = [[1.0, 0.0] * 3, [0.0, 1.0] * 3, [0.4] * 6][place]
        member.scores, member.complete = dict(enumerate(scores)), True
        pool.admit(member)
    assert Merges(1).by_ancestor(pool, random.Random(0)) is None


@pytest.mark.parametrize("shared", [4, 5])
def test_parents_need_examples_in_common(shared: int) -> None:
    scores = [[0.1] * shared, [1.0, 0.0, 1.0, 0.0, 1.0][:shared], [0.0, 1.0, 0.0, 1.0, 0.0][:shared]]
    merged = Merges(1).by_ancestor(pool_of("instance", siblings(scores)), random.Random(0))
    assert (merged is None) == (shared < 5)


@given(some_scores, some_scores, seeds)
@settings(deadline=None)
def test_a_merge_is_tried_on_the_examples_of_gepa(
    first: dict[int, float], second: dict[int, float], seed: int
) -> None:
    shared = set(first) & set(second)
    rng, theirs = random.Random(seed), random.Random(seed)
    found = gate_examples(first, second, rng)
    assert len(set(found)) == len(found) == min(GATE, len(shared))
    assert set(found) <= shared
    if len(shared) >= GATE:  # with fewer, gepa takes some twice
        assert found == proposer_of(theirs).select_eval_subsample_for_merged_program(first, second)


def test_the_gate_has_wins_losses_and_ties() -> None:
    first = {example: float(example < 4) for example in range(12)}
    second = {example: float(4 <= example < 8) for example in range(12)}
    for seed in range(10):
        found = gate_examples(first, second, random.Random(seed))
        assert [example // 4 for example in found] == [0, 0, 1, 1, 2]


@given(seeds)
@settings(deadline=None, max_examples=60)
def test_only_pairs_that_could_beat_the_best_cross_and_none_twice(seed: int) -> None:
    pool, merges = pool_of("instance", family(seed, 2, 10)), Merges(10**9)
    best, front = sum(pool.best().scores.values()), sorted(pool.front_members())

    def together(pair: tuple[int, int]) -> float:
        first, second = (pool.members[index].scores for index in pair)
        return sum(max(first[i], second[i]) for i in range(EXAMPLES))

    found: list[tuple[int, int]] = []
    while (pair := merges.crossover_pair(pool)) is not None and len(found) < 99:
        found.append((pair[0].index, pair[1].index))
    assert len(set(found)) == len(found)
    assert set(found) == {pair for pair in combinations(front, 2) if together(pair) > best}
    assert [together(pair) for pair in found] == sorted(map(together, found), reverse=True)


def test_one_member_has_nobody_to_cross_with() -> None:
    pool = pool_of("instance", family(0, 2, 1))
    assert Merges(1).crossover_pair(pool) is None
    assert Merges(1).by_ancestor(pool, random.Random(0)) is None


@given(st.integers(0, 4), st.lists(st.sampled_from(["admitted", "turn", "merged"]), max_size=60))
def test_no_more_merges_are_admitted_than_allowed(limit: int, events: list[str]) -> None:
    """Whatever comes in between, and also where some are under way at once."""
    merges, under_way = Merges(limit), 0
    for event in events:
        if event == "admitted":
            merges.admitted()
        elif event == "turn":
            under_way += merges.take_turn(under_way)
        elif under_way:
            merges.done()
            under_way -= 1
        assert merges.accepted + under_way <= limit


def test_a_merge_comes_after_a_fresh_member_and_a_rejected_one_stays_due() -> None:
    merges = Merges(2)
    assert not merges.take_turn()
    merges.admitted()
    assert merges.take_turn()
    assert not merges.take_turn()
    merges.admitted()
    assert merges.take_turn()
    merges.done()
    assert (merges.accepted, merges.due) == (1, 1)
