"""Islands: searches that share metric calls and budget, and pass members on in a ring. Pure as `Search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from actors.contracts import derive_seed
from actors.errors import BadInput
from configs.gepa import GepaSettings
from train_jobs.gepa.budget import Budget
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.outcomes import Outcomes
from train_jobs.gepa.pool import Member
from train_jobs.gepa.proposal import Proposal
from train_jobs.gepa.search import Search
from train_jobs.gepa.stopping import Progress, reason_to_stop
from train_jobs.gepa.tasks import Proposed, Result, Task

Tell = Callable[[str, dict[str, Any]], None]


class Archipelago:
    """All islands of a run.

    `start` and every `learn` are followed by `take`, which gives the calls to be made. The same results in
    the same order make the same run.

    Args:
        seeds: candidates with the same components; every island starts from all of them.
        train: number of training examples.
        validation: number of validation examples.
        calls: most metric calls.
        crossover: whether proposers can join two texts.
        tell: told of everything that happens, by the names of `gepa`'s callbacks.

    Raises:
        BadInput: there is no seed, the seeds differ in their components, there are no examples, or the budget
            does not hold the validation of the seeds.
    """

    def __init__(
        self,
        settings: GepaSettings,
        seeds: Sequence[Candidate],
        train: int,
        validation: int,
        calls: int | None,
        *,
        crossover: bool = False,
        tell: Tell = lambda event, payload: None,
    ) -> None:
        _check(settings, seeds, train, validation, calls)
        self.budget = Budget(calls)
        self.progress = Progress()
        self.stopped = ""
        """Why the run ended; empty while it goes on."""
        self.validation = validation
        self._settings, self._tell = settings, tell
        self._outcomes = Outcomes(self.budget, settings.history)
        self._admitted = [0] * settings.islands
        self.islands = [
            Search(
                settings,
                seeds,
                train,
                validation,
                self._outcomes,
                seed=settings.seed if island == 0 else derive_seed(settings.seed, "island", island),
                island=island,
                crossover=crossover,
                ended=self._ended,
                tell=tell,
            )
            for island in range(settings.islands)
        ]
        self._owner: dict[str, Search] = {}

    def start(self) -> None:
        """Ask for the validation of the seeds."""
        for island in self.islands:
            island.start()

    def learn(self, name: str, result: Result) -> None:
        """Be told what a call gave."""
        if isinstance(result, Proposed):
            self.progress.money += result.cost
            self._owner.pop(name).learn(name, result)
        else:
            self._learn_outcome(name, result)
        for island in self.islands:
            island.fill(self._under_way)
        self._settle()

    def take(self) -> list[Task]:
        """The calls asked for since the last time; none once the run has stopped."""
        tasks: list[Task] = list(self._outcomes.take())
        for island in self.islands:
            for task in island.take():
                self._owner[task.name] = island
                tasks.append(task)
        return [] if self.stopped else tasks

    def stop(self, reason: str) -> None:
        """End the run: what is under way is given up."""
        self.stopped = self.stopped or reason
        for island in self.islands:
            island.open = False

    def best(self) -> Member:
        """The best member of all islands; the first of equals.

        Raises:
            LookupError: no candidate is validated yet.
        """
        found = [island.pool.best() for island in self.islands if island.pool.has_best]
        if not found:
            raise LookupError("no candidate is validated yet")
        return max(found, key=lambda member: member.mean)

    def _learn_outcome(self, name: str, outcome: Outcome) -> None:
        self._outcomes.learn(name, outcome)
        self._tell(
            "on_budget_updated",
            {
                "metric_calls_used": self.budget.spent,
                "metric_calls_delta": 1,
                "metric_calls_remaining": self.budget.left,
            },
        )

    def _ended(self, island: Search, proposal: Proposal) -> None:
        ending = proposal.ending
        assert ending is not None
        member = ending.member
        best = island.pool.best().mean if island.pool.has_best else float("-inf")
        if proposal.origin == "seed":
            self.progress.best = max(self.progress.best, best)
        else:
            self.progress.follow(best, self._barren(proposal))
            if member is not None and member.complete:
                self._migrate(island)
        if reason := reason_to_stop(self._settings.stop, self.progress):
            self.stop(reason)

    def _barren(self, proposal: Proposal) -> bool | None:
        """Whether a proposal found nothing to try that the run has not tried; None while that may change."""
        if proposal.new_calls:
            return False
        running = [each for island in self.islands for each in island.running]
        if any(each.new_calls for each in running) or (running and not proposal.reflected):
            return None
        return True

    def _under_way(self) -> bool:
        return any(island.running for island in self.islands)

    def _migrate(self, island: Search) -> None:
        """Pass an island's best member on to the next one, every few admissions."""
        every, count = self._settings.migration, len(self.islands)
        if count == 1 or every == 0:
            return
        self._admitted[island.island] += 1
        if self._admitted[island.island] % every == 0:
            self.islands[(island.island + 1) % count].immigrate(island.pool.best())

    def _settle(self) -> None:
        """A run with nothing under way has used up its budget."""
        if not self.stopped and not self._under_way():
            self.stop(
                f"{self.budget.spent} of {self.budget.limit} metric calls are made; no proposal fits in"
            )


def _check(
    settings: GepaSettings, seeds: Sequence[Candidate], train: int, validation: int, calls: int | None
) -> None:
    if not seeds or not seeds[0]:
        raise BadInput(
            "there is no seed candidate with a text; accepted: at least one component name -> text"
        )
    for seed in seeds:
        if seed.keys() != seeds[0].keys():
            raise BadInput(
                f"a seed has the components {sorted(seed)}, the first one {sorted(seeds[0])}; "
                "accepted: seeds of the same components"
            )
        if wrong := [name for name, text in seed.items() if not isinstance(text, str)]:
            raise BadInput(f"component {wrong[0]!r} of a seed is no text; accepted: strings")
    if not train:
        raise BadInput("the training set is empty; accepted: at least one example")
    if not validation:
        raise BadInput("the validation set is empty; accepted: at least one example")
    paid = len({tuple(sorted(seed.items())) for seed in seeds})
    if not settings.reuse:
        paid = len(seeds) * settings.islands
    if calls is not None and calls < paid * validation:
        raise BadInput(
            f"max_metric_calls={calls} does not hold the validation of {paid} seed(s) on {validation} "
            f"examples; accepted: at least {paid * validation}"
        )
