"""The metric calls of a run: what is known, what is under way, and who waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from train_jobs.gepa.budget import Budget
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Evaluate


class Outcomes:
    """Shared by all islands, so that no call is made twice in a run."""

    def __init__(self, budget: Budget, history: int = 0) -> None:
        self.budget = budget
        self._known: dict[str, Outcome] = {}
        self._asked: dict[str, list[_Wait]] = {}
        self._fresh: list[Evaluate] = []
        self._traced: deque[Outcome] = deque(maxlen=history)

    def __getitem__(self, name: str) -> Outcome:
        return self._known[name]

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def new(self, names: Collection[str]) -> int:
        """How many of them nobody has asked for."""
        return sum(name not in self._known and name not in self._asked for name in set(names))

    def ask(self, task: Evaluate) -> bool:
        """Have a call made that was held in the budget; False where it is known or under way already."""
        if task.name in self._known or task.name in self._asked:
            return False
        self.budget.spend()
        self._asked[task.name] = []
        self._fresh.append(task)
        return True

    def wait(self, names: Collection[str], resume: Callable[[], None]) -> bool:
        """Have `resume` called once all of them are known; False, and it is not called, if they are."""
        missing = {name for name in names if name not in self._known}
        wait = _Wait(len(missing), resume)
        for name in missing:
            self._asked[name].append(wait)
        return bool(missing)

    def learn(self, name: str, outcome: Outcome) -> None:
        """Be told what a call gave; who waited for nothing else is resumed, in the order of asking."""
        self._known[name] = outcome
        if outcome.trace is not None:
            self._traced.append(outcome)
        for wait in self._asked.pop(name):
            wait.missing -= 1
            if wait.missing == 0:
                wait.resume()

    @property
    def history(self) -> tuple[Outcome, ...]:
        """The latest outcomes that have a trace."""
        return tuple(self._traced)

    def take(self) -> list[Evaluate]:
        """The calls asked for since the last time."""
        fresh, self._fresh = self._fresh, []
        return fresh


class _Wait:
    def __init__(self, missing: int, resume: Callable[[], None]) -> None:
        self.missing = missing
        self.resume = resume
