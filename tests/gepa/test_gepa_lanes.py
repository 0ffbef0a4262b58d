"""Which call is made next, and where."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from train_jobs.gepa.hosts import Host, Lost
from train_jobs.gepa.lanes import Lanes
from train_jobs.gepa.tasks import Evaluate, Propose, Result, Task

CANDIDATE = {"rules": ""}


@dataclass
class Place:
    """A host that makes no calls."""

    name: str
    evaluators: int = 1
    proposers: int = 1
    islands: frozenset[int] = field(default_factory=frozenset)

    async def run(self, task: Task) -> Result | Lost:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing runs."""


def evaluate(name: str, island: int = 0) -> Evaluate:
    return Evaluate(name, CANDIDATE, "train", 0, island)


def propose(name: str, island: int = 0) -> Propose:
    return Propose(name, "mutation", CANDIDATE, ("rules",), (), (), island=island)


def lanes(*hosts: Host, tasks: tuple[Task, ...] = ()) -> Lanes:
    made = Lanes()
    for host in hosts:
        made.join(host)
    for task in tasks:
        made.wait(task)
    return made


def given(found: Lanes) -> list[tuple[str, str]]:
    """Names of all calls that can be made now, and of their hosts."""
    pairs = []
    while (pair := found.next()) is not None:
        pairs.append((pair[0].name, pair[1].name))
    return pairs


def test_a_call_is_made_at_home() -> None:
    a, b = Place("a", 2, 1, frozenset({0})), Place("b", 9, 9, frozenset({1}))
    tasks = (evaluate("0", 0), evaluate("1", 1), propose("p0", 0), propose("p1", 1))
    assert dict(given(lanes(a, b, tasks=tasks))) == {"0": "a", "1": "b", "p0": "a", "p1": "b"}


def test_a_call_is_made_elsewhere_before_it_waits() -> None:
    a, b = Place("a", 1, 1, frozenset({0})), Place("b", 2, 1, frozenset({1}))
    found = lanes(a, b, tasks=tuple(evaluate(str(n)) for n in range(4)))
    assert given(found) == [("0", "a"), ("1", "b"), ("2", "b")]
    found.done(evaluate("0"), a)
    assert given(found) == [("3", "a")]


def test_a_call_of_an_island_without_a_home_goes_where_most_is_free() -> None:
    found = lanes(Place("a", 1), Place("b", 3), tasks=tuple(evaluate(str(n), 7) for n in range(4)))
    assert [host for _, host in given(found)] == ["b", "b", "a", "b"]


def test_calls_are_made_in_the_order_of_asking() -> None:
    found = lanes(Place("a", 4), tasks=tuple(evaluate(name) for name in ("v0", "g0", "v1", "g1")))
    assert [name for name, _ in given(found)] == ["v0", "g0", "v1", "g1"]


def test_reflections_have_lanes_of_their_own() -> None:
    a = Place("a", 1, 1)
    found = lanes(a, tasks=(propose("p0"), propose("p1"), evaluate("0"), evaluate("1")))
    assert given(found) == [("p0", "a"), ("0", "a")]
    found.done(evaluate("0"), a)
    assert given(found) == [("1", "a")]
    found.done(propose("p0"), a)
    assert given(found) == [("p1", "a")]


def test_a_host_that_joins_has_lanes_and_one_that_leaves_has_none() -> None:
    a, b = Place("a", 1, 1, frozenset({0})), Place("b", 1, 1)
    found = lanes(a, tasks=tuple(evaluate(str(n)) for n in range(4)))
    assert given(found) == [("0", "a")]
    found.join(b)
    assert given(found) == [("1", "b")] and found.hosts == [a, b] and found.evaluators == 2
    found.leave(a)
    found.done(evaluate("0"), a)
    assert given(found) == [], "a lane of a host that left was given away"
    found.done(evaluate("1"), b)
    assert given(found) == [("2", "b")] and found.hosts == [b] and found.evaluators == 1
    found.leave(a)


def test_nothing_waits_while_a_lane_is_free() -> None:
    dice = random.Random(5)
    places = [
        Place(f"{n}", dice.randint(0, 3), dice.randint(0, 2), frozenset({n} if n < 3 else ()))
        for n in range(5)
    ]
    found, names, waiting = lanes(*places), iter(range(10**6)), {Evaluate: 0, Propose: 0}
    total = {Evaluate: sum(p.evaluators for p in places), Propose: sum(p.proposers for p in places)}
    running: list[tuple[Task, Host]] = []
    for _ in range(2000):
        if running and dice.random() < 0.5:
            found.done(*running.pop(dice.randrange(len(running))))
        else:
            name, island = str(next(names)), dice.randint(0, 4)
            task = evaluate(name, island) if dice.random() < 0.7 else None
            found.wait(task := task or propose(name, island))
            waiting[type(task)] += 1
        while (pair := found.next()) is not None:
            running.append(pair)
            waiting[type(pair[0])] -= 1
        for kind, count in waiting.items():
            busy = sum(isinstance(task, kind) for task, _ in running)
            assert busy <= total[kind] and (count == 0 or busy == total[kind])
        for place in places:
            here = [task for task, host in running if host is place]
            assert sum(isinstance(task, Evaluate) for task in here) <= place.evaluators
            assert sum(isinstance(task, Propose) for task in here) <= place.proposers
