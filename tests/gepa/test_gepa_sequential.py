"""With one proposal in flight the search decides as `gepa.optimize` does, which is the oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import gepa
import pytest

from configs.gepa import GepaSettings, StopSettings
from tests.gepa.composite import Composite, names_as_a_set_walks
from tests.gepa.oracle import KINDS, Silent
from train_jobs.gepa import evolve
from train_jobs.gepa.selectors import SELECTORS

CALLS = 450


@dataclass
class Decisions:
    """What a run decides, as its callbacks tell."""

    parents: list[int] = field(default_factory=list)
    batches: list[list[int]] = field(default_factory=list)
    merges: list[tuple[list[int], dict[str, str]]] = field(default_factory=list)
    merged: list[int] = field(default_factory=list)
    proposals: int = 0

    def on_candidate_selected(self, event: Any) -> None:
        """A parent."""
        self.parents.append(event["candidate_idx"])

    def on_minibatch_sampled(self, event: Any) -> None:
        """Its examples."""
        self.batches.append(list(event["minibatch_ids"]))

    def on_merge_attempted(self, event: Any) -> None:
        """Two parents."""
        self.merges.append((list(event["parent_ids"]), dict(event["merged_candidate"])))

    def on_merge_accepted(self, event: Any) -> None:
        """Their child."""
        self.merged.append(event["new_candidate_idx"])

    def on_iteration_end(self, event: Any) -> None:
        """One more is over."""
        self.proposals += 1


def world(seed: int, **changes: Any) -> Composite:
    return Composite(seed, **{"names": names_as_a_set_walks(2), **changes})


def both(
    of: Composite, seed: int, room: GepaSettings, calls: int = CALLS
) -> tuple[tuple[Decisions, Any], tuple[Decisions, Any]]:
    """The package's run to the end of its budget, and ours of as many proposals."""
    theirs, ours = Decisions(), Decisions()
    perfect = room.perfect_score
    found = gepa.optimize(
        seed_candidate=of.start,
        trainset=of.train,
        valset=of.validation,
        adapter=of,
        custom_candidate_proposer=of.propose,
        candidate_selection_strategy=room.selector,
        frontier_type=room.frontier,
        skip_perfect_score=perfect is not None,
        perfect_score=1.0 if perfect is None else perfect,
        reflection_minibatch_size=room.minibatch,
        module_selector=room.components,
        use_merge=bool(room.merges),
        max_merge_invocations=room.merges or 0,
        acceptance_criterion=room.acceptance,
        max_metric_calls=calls,
        callbacks=[theirs],
        seed=seed,
        logger=Silent(),
    )
    mine = evolve(
        adapter=of,
        seed_candidates=[of.start],
        trainset=of.train,
        valset=of.validation,
        propose=of.propose,
        max_metric_calls=None,
        callbacks=[ours],
        settings=room.model_copy(
            update={"in_flight": 1, "seed": seed, "stop": StopSettings(proposals=theirs.proposals)}
        ),
    )
    return (theirs, found), (ours, mine)


def same(of: Composite, seed: int, room: GepaSettings, calls: int = CALLS) -> tuple[Decisions, Any]:
    """Compare the two; gives the package's run, for a test to see that it shows something."""
    (theirs, found), (ours, mine) = both(of, seed, room, calls)
    assert ours.parents == theirs.parents
    assert ours.batches == theirs.batches
    assert ours.merges == theirs.merges
    assert ours.merged == theirs.merged
    assert mine.candidates == found.candidates
    assert [each.scores for each in mine.lineage] == [dict(each) for each in found.val_subscores]
    assert mine.scores == found.val_aggregate_scores
    assert [list(each.parents) for each in mine.lineage[1:]] == found.parents[1:]
    assert mine.best_candidate == found.best_candidate
    assert mine.proposals == theirs.proposals
    # Even without reuse, one proposal pays once for an example that comes twice in its batch, or in its gate
    # and its validation.
    assert mine.metric_calls <= found.total_metric_calls
    return theirs, found


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_decisions_are_those_of_gepa(seed: int, reuse: bool) -> None:
    theirs, found = same(world(seed, names=("text",)), seed, GepaSettings(reuse=reuse))
    assert len(theirs.parents) > 15
    assert len(found.candidates) > 5


@pytest.mark.parametrize("reuse", [True, False])
def test_calls_are_counted_as_in_gepa_unless_they_are_reused(reuse: bool) -> None:
    """No batch has an example twice here, and every child is a new one."""
    of = world(4, names=("text",), examples=(21, 12), gain=1.0, loss=0.0)
    (_, found), (_, mine) = both(of, 1, GepaSettings(reuse=reuse), calls=200)
    assert (mine.metric_calls == found.total_metric_calls) != reuse
    assert mine.metric_calls <= found.total_metric_calls


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("seed", [7, 8])
def test_with_every_selector(selector: str, seed: int) -> None:
    same(world(seed), seed, GepaSettings(selector=selector))


@pytest.mark.parametrize("components", ["round_robin", "all"])
@pytest.mark.parametrize("frontier", KINDS)
def test_with_every_frontier_and_choice_of_components(frontier: str, components: str) -> None:
    of = world(3, objectives=True)
    theirs, found = same(of, 5, GepaSettings(frontier=frontier, components=components))
    assert len(set(theirs.parents)) > 3
    first = [
        sum(found.candidates[0][name] != each[name] for name in of.names) for each in found.candidates[1:4]
    ]
    assert (max(first[:1]) == 2) == (components == "all")


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_with_merges_over_three_components(seed: int, reuse: bool) -> None:
    of = world(seed, names=names_as_a_set_walks(3))
    same(of, seed, GepaSettings(merges=5, reuse=reuse), calls=350)


def test_merges_are_tried_and_admitted() -> None:
    """Else the test above would say nothing."""
    tried, admitted = 0, 0
    for seed in range(6):
        of = world(seed, names=names_as_a_set_walks(3))
        (theirs, _), _ = both(of, seed, GepaSettings(merges=5), calls=350)
        tried, admitted = tried + len(theirs.merges), admitted + len(theirs.merged)
    assert tried > admitted > 5


@pytest.mark.parametrize(
    "room",
    [
        GepaSettings(minibatch=7),
        GepaSettings(minibatch=1),
        GepaSettings(acceptance="improvement_or_equal"),
        GepaSettings(perfect_score=None),
        GepaSettings(perfect_score=0.6),
    ],
    ids=["large batches", "single examples", "equal is enough", "perfect is not", "less is perfect"],
)
def test_with_other_settings(room: GepaSettings) -> None:
    theirs, _ = same(world(11), 2, room)
    assert len(theirs.parents) > 8
