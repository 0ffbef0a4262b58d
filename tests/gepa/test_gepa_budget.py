from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from train_jobs.gepa.budget import Budget
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.outcomes import Outcomes
from train_jobs.gepa.tasks import Evaluate

steps = st.lists(st.tuples(st.sampled_from(["hold", "spend", "release"]), st.integers(0, 12)), max_size=60)


def call(name: str) -> Evaluate:
    return Evaluate(name, {"text": ""}, "train", 0)


@given(st.integers(0, 40) | st.none(), steps)
def test_what_is_spent_and_held_never_passes_the_limit(
    limit: int | None, taken: list[tuple[str, int]]
) -> None:
    """Proposals hold what they may need, spend of it and release the rest, in any order."""
    budget, shares = Budget(limit), list[int]()
    spent = 0
    for step, number in taken:
        before = (budget.spent, budget.held)
        if step == "hold":
            fits = limit is None or spent + sum(shares) + number <= limit
            assert budget.hold(number) is fits
            if fits:
                shares.append(number)
            else:
                assert (budget.spent, budget.held) == before
        elif step == "spend" and any(shares):
            place = next(i for i, each in enumerate(shares) if each)
            budget.spend()
            shares[place], spent = shares[place] - 1, spent + 1
        elif step == "release" and shares:
            budget.release(shares.pop(number % len(shares)))
        assert (budget.spent, budget.held) == (spent, sum(shares))
        assert budget.left is None if limit is None else budget.left == limit - spent - sum(shares) >= 0


def test_by_hand() -> None:
    budget = Budget(10)
    assert budget.hold(6)
    assert not budget.hold(5)
    assert budget.hold(4)
    assert budget.left == 0
    budget.spend()
    budget.release(5)
    assert (budget.spent, budget.held, budget.left) == (1, 4, 5)
    assert Budget(None).hold(10**12)


def test_a_call_is_paid_for_once() -> None:
    budget = Budget(2)
    outcomes = Outcomes(budget)
    assert budget.hold(2)
    assert outcomes.new(["a", "b", "a"]) == 2
    assert outcomes.ask(call("a"))
    assert not outcomes.ask(call("a"))
    assert outcomes.new(["a", "b"]) == 1
    outcomes.learn("a", Outcome(0.5))
    assert not outcomes.ask(call("a"))
    assert "a" in outcomes and "b" not in outcomes
    assert outcomes["a"].score == 0.5
    assert (budget.spent, budget.held) == (1, 1)
    assert [task.name for task in outcomes.take()] == ["a"]
    assert outcomes.take() == []


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=8), max_size=8), st.permutations(list(range(7)))
)
@settings(deadline=None)
def test_who_waits_is_resumed_once_and_in_the_order_of_asking(
    wants: list[list[int]], order: list[int]
) -> None:
    outcomes = Outcomes(Budget(None))
    resumed: list[int] = []
    for name in range(7):
        outcomes.ask(call(str(name)))
    for who, wanted in enumerate(wants):
        assert outcomes.wait([str(name) for name in wanted], lambda who=who: resumed.append(who))
    known: set[int] = set()
    for name in order:
        before = len(resumed)
        outcomes.learn(str(name), Outcome(0.0))
        known.add(name)
        fresh = [
            who for who, wanted in enumerate(wants) if set(wanted) <= known and who not in resumed[:before]
        ]
        assert resumed[before:] == fresh
    assert sorted(resumed) == list(range(len(wants)))
    assert not outcomes.wait(["0", "3"], lambda: resumed.append(-1))
    assert -1 not in resumed
