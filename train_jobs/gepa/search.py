"""One island's search: a state machine without clock, files or Ray.

It asks for calls and is told their results; everything it decides follows from its seed and the order of the
results. So a log of that order is all that is needed to go on with it.

Each proposal is written as one generator that reads like a step of sequential GEPA (Agrawal et al. 2025,
arXiv 2507.19457): it yields what it needs and is resumed with it, while others go on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from configs.gepa import GepaSettings
from train_jobs.gepa.acceptance import accepts
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.merge import Merged, Merges, gate_examples
from train_jobs.gepa.minibatches import Minibatches
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.outcomes import Outcomes
from train_jobs.gepa.pool import Member, Origin, Pool
from train_jobs.gepa.proposal import Ending, Proposal, Steps, refusal
from train_jobs.gepa.racing import blocks, hopeless
from train_jobs.gepa.rules import rules_of
from train_jobs.gepa.selectors import SELECTORS
from train_jobs.gepa.tasks import Evaluate, Need, Propose, Proposed, evaluation_name
from train_jobs.gepa.width import FIRST_RATE, follow, width

VALIDATING = 2
"""Proposals under way for each that may search: children must not come faster than they are validated."""
Tell = Callable[[str, dict[str, Any]], None]
"""`tell(event, payload)`, with the names of `gepa`'s callbacks."""


class Search:
    """Proposals under way over one pool.

    Args:
        seeds: first members; all have the same components.
        train: number of training examples.
        validation: number of validation examples.
        outcomes: the run's metric calls.
        seed: of all its random choices.
        crossover: whether proposers can join two texts.
        ended: called with each proposal that has ended.
    """

    def __init__(
        self,
        settings: GepaSettings,
        seeds: Sequence[Candidate],
        train: int,
        validation: int,
        outcomes: Outcomes,
        *,
        seed: int,
        island: int = 0,
        crossover: bool = False,
        ended: Callable[[Search, Proposal], None] = lambda search, proposal: None,
        tell: Tell = lambda event, payload: None,
    ) -> None:
        self.pool = Pool(settings.frontier)
        self.island = island
        self.open = True
        self.rate = FIRST_RATE
        """Share of the latest mutations that passed the gate."""
        self._settings, self._seeds, self._outcomes = settings, list(seeds), outcomes
        self._rules = rules_of(settings)
        self._rng = random.Random(seed)
        self._batches = Minibatches(settings.minibatch, train, self._rng)
        self._validation = validation
        self._merges = Merges(self._rules.merges)
        self._crossover = crossover
        self._ended, self._tell = ended, tell
        self._running: dict[int, Proposal] = {}
        self._asked: dict[str, Proposal] = {}
        self._fresh: list[Propose] = []
        self._validating: list[Member] = []
        self._keys: set[str] = set()
        self._started = 0
        self._iteration = 0

    @property
    def running(self) -> list[Proposal]:
        """Proposals under way."""
        return list(self._running.values())

    @property
    def width(self) -> int:
        """Proposals that may search at once now."""
        limit, left = self._settings.in_flight, self._outcomes.budget.left
        if not self._settings.adaptive:
            return limit
        return width(limit, self.rate, None if left is None else left / self._validation)

    def start(self) -> None:
        """Ask for the validation of the seeds."""
        for candidate in self._seeds:
            names = self._names(self._whole(candidate), self._started)
            proposal = self._new("seed", self._outcomes.new(names))
            self._run(proposal, self._seed(proposal, candidate))

    def fill(self, others: Callable[[], bool]) -> None:
        """Start as many proposals as may be under way and can be paid to their ends.

        Args:
            others: whether anything is under way in the run. Another attempt where one has just come to
                nothing is then better made when that has ended.
        """
        while self.open and self._may_start():
            proposal = self._start_one()
            if proposal is None or (proposal.ending is not None and others()):
                return

    def take(self) -> list[Propose]:
        """The reflections asked for since the last time."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def learn(self, name: str, proposed: Proposed) -> None:
        """Be told what a reflection answered."""
        self._advance(self._asked.pop(name), proposed)

    def immigrate(self, member: Member) -> None:
        """Admit a member of another island, with the scores that it has."""
        if member.key in self._keys:
            return
        self._keys.add(member.key)
        copy = Member(member.candidate, (), "migrant", member.next_component)
        copy.scores, copy.objectives, copy.complete = member.scores, member.objectives, True
        self._admit(copy)

    def _may_start(self) -> bool:
        if not self.pool.has_best:
            return False
        if not self._rules.overlap:
            return not self._running
        searching = sum(each.stage == "search" for each in self._running.values())
        return searching < self.width and len(self._running) < VALIDATING * self.width

    def _start_one(self) -> Proposal | None:
        """Start a proposal; None where the budget does not hold one from start to end."""
        gate = self._settings.minibatch * (3 if self._rules.recheck else 2)
        if not self._outcomes.budget.hold(gate + self._validation):
            return None
        merged = self._due_merge()
        proposal = self._new(
            "mutation" if merged is None else "merge" if isinstance(merged, Merged) else "crossover",
            gate + self._validation,
            held=True,
        )
        self._tell("on_iteration_start", {"iteration": proposal.iteration + 1})
        if merged is None:
            self._run(proposal, self._mutation(proposal))
        elif isinstance(merged, Merged):
            self._run(proposal, self._merge(proposal, merged))
        else:
            self._run(proposal, self._cross(proposal, *merged))
        return proposal

    def _due_merge(self) -> Merged | tuple[Member, Member] | None:
        under_way = sum(each.origin in ("merge", "crossover") for each in self._running.values())
        if not self._merges.take_turn(under_way):
            return None
        if len(self._seeds[0]) > 1 and (merged := self._merges.by_ancestor(self.pool, self._rng)):
            return merged
        return self._merges.crossover_pair(self.pool) if self._crossover else None

    def _new(self, origin: Origin, calls: int, held: bool = False) -> Proposal:
        """A proposal with its share of the budget."""
        if not held and not self._outcomes.budget.hold(calls):
            raise ValueError("the budget does not hold the validation of the seeds")
        proposal = Proposal(self._started, self._iteration, origin, calls)
        self._started += 1
        self._iteration += origin != "seed"
        self._running[proposal.number] = proposal
        return proposal

    def _run(self, proposal: Proposal, steps: Steps) -> None:
        proposal.steps = steps
        self._advance(proposal, None)

    def _advance(self, proposal: Proposal, answer: Any) -> None:
        """Resume a proposal and note what it asks for, or that it has ended."""
        assert proposal.steps is not None
        try:
            want = proposal.steps.send(answer)
            while isinstance(want, Need):
                names = self._ask(proposal, want)
                collect = self._collector(proposal, names)
                if self._outcomes.wait(set(names), collect):
                    return
                want = proposal.steps.send([self._outcomes[name] for name in names])
        except StopIteration as stop:
            self._end(proposal, stop.value)
        else:
            proposal.reflected = True
            self._asked[want.name] = proposal
            self._fresh.append(want)

    def _collector(self, proposal: Proposal, names: list[str]) -> Callable[[], None]:
        return lambda: self._advance(proposal, [self._outcomes[name] for name in names])

    def _ask(self, proposal: Proposal, need: Need) -> list[str]:
        names = self._names(need, proposal.number)
        for name, example in zip(names, need.examples, strict=True):
            task = Evaluate(name, need.candidate, need.split, example, self.island)
            if self._outcomes.ask(task):
                proposal.held -= 1
                proposal.new_calls += 1
        return names

    def _names(self, need: Need, number: int) -> list[str]:
        once = "" if self._settings.reuse else f"{self.island}.{number}"
        return [evaluation_name(need.candidate, need.split, example, once) for example in need.examples]

    def _end(self, proposal: Proposal, ending: Ending) -> None:
        proposal.ending = ending
        del self._running[proposal.number]
        self._outcomes.budget.release(proposal.held)
        proposal.held = 0
        if proposal.origin == "mutation" and ending.kind in ("rejected", "skipped", "failed"):
            self.rate = follow(self.rate, False)
        if ending.kind in ("rejected", "skipped", "failed"):
            payload = {
                "iteration": proposal.iteration + 1,
                "old_score": proposal.before,
                "new_score": proposal.after,
                "reason": ending.reason,
            }
            skipped = ending.kind != "rejected"
            self._tell("on_evaluation_skipped" if skipped else "on_candidate_rejected", payload)
        self._tell(
            "on_iteration_end",
            {
                "iteration": proposal.iteration + 1,
                "proposal_accepted": ending.kind in ("admitted", "raced"),
            },
        )
        self._ended(self, proposal)

    # The steps of each kind of proposal.

    def _seed(self, proposal: Proposal, candidate: Candidate) -> Steps:
        proposal.stage = "validation"
        member = Member(candidate, (), "seed")
        self._keys.add(member.key)
        outcomes = yield self._whole(candidate)
        self._score(member, range(self._validation), outcomes)
        self._admit(member)
        return Ending("admitted", member=member)

    def _mutation(self, proposal: Proposal) -> Steps:
        parent = self._parent()
        examples = self._batches.batch(proposal.iteration)
        proposal.parents, proposal.examples = (parent,), examples
        self._tell_start(proposal, parent, examples)
        before = yield Need(parent.candidate, "train", examples)
        proposal.before = _sum(before)
        perfect = self._settings.perfect_score
        if perfect is not None and all(each.score >= perfect for each in before):
            return Ending("skipped", "all_scores_perfect")
        names = self._components(parent)
        task = Propose(
            f"{self.island}.{proposal.number}",
            "mutation",
            parent.candidate,
            names,
            tuple(examples),
            tuple(before),
            self._outcomes.history,
            island=self.island,
        )
        proposed: Proposed = yield task
        if (refused := refusal(proposed, parent.candidate, self._settings.longest_text)) is not None:
            return refused
        member = Member({**parent.candidate, **proposed.texts}, (parent,), "mutation", parent.next_component)
        after = yield Need(member.candidate, "train", examples)
        proposal.after = _sum(after)
        if not self._better(before, after):
            return Ending("rejected", "no better than its parent on the minibatch")
        if self._rules.distinct and member.key in self._keys:
            return Ending("rejected", "its texts are in the pool already")
        best = self.pool.best()
        if self._rules.recheck and best is not parent:
            rival = yield Need(best.candidate, "train", examples)
            if proposal.after < _sum(rival):
                return Ending("rejected", "behind the best member on the minibatch")
            if self._rules.distinct and member.key in self._keys:
                return Ending("rejected", "its texts are in the pool already")
        self.rate = follow(self.rate, True)
        return (yield from self._validate(proposal, member))

    def _merge(self, proposal: Proposal, merged: Merged) -> Steps:
        member = Member(
            merged.candidate,
            (merged.first, merged.second),
            "merge",
            max(merged.first.next_component, merged.second.next_component),
        )
        return (yield from self._joined(proposal, member))

    def _cross(self, proposal: Proposal, first: Member, second: Member) -> Steps:
        names = tuple(name for name, text in first.candidate.items() if text != second.candidate[name])
        proposal.parents = (first, second)
        task = Propose(
            f"{self.island}.{proposal.number}",
            "crossover",
            first.candidate,
            names,
            (),
            (),
            other=second.candidate,
            scores={"candidate": first.mean, "other": second.mean},
            island=self.island,
        )
        proposed: Proposed = yield task
        if (refused := refusal(proposed, first.candidate, self._settings.longest_text)) is not None:
            return refused
        turn = max(first.next_component, second.next_component)
        member = Member({**first.candidate, **proposed.texts}, (first, second), "crossover", turn)
        return (yield from self._joined(proposal, member))

    def _joined(self, proposal: Proposal, member: Member) -> Steps:
        """The gate and the validation of a candidate made of two members."""
        first, second = member.parents
        proposal.parents = member.parents
        examples = gate_examples(first.scores, second.scores, self._rng)
        proposal.examples = examples
        if not examples or (self._rules.distinct and member.key in self._keys):
            return Ending("rejected", "its texts are in the pool already")
        self._tell("on_merge_attempted", {"iteration": proposal.iteration + 1} | _of(member))
        outcomes = yield Need(member.candidate, "validation", examples)
        proposal.after = _sum(outcomes)
        proposal.before = max(sum(each.scores[i] for i in examples) for each in (first, second))
        if proposal.after < proposal.before:
            reason = f"merged score {proposal.after:g} is behind a parent's {proposal.before:g}"
            self._tell("on_merge_rejected", {"iteration": proposal.iteration + 1, "reason": reason})
            return Ending("rejected", reason)
        if self._rules.distinct and member.key in self._keys:
            return Ending("rejected", "its texts are in the pool already")
        return (yield from self._validate(proposal, member))

    def _validate(self, proposal: Proposal, member: Member) -> Steps:
        """Score a member on the validation examples, block by block, and admit it."""
        proposal.stage = "validation"
        self._keys.add(member.key)
        self._validating.append(member)
        order = list(range(self._validation))
        if self._rules.racing:
            self._rng.shuffle(order)
        member.complete = True
        for block in blocks(order, self._settings.racing.blocks if self._rules.racing else 1):
            outcomes = yield Need(member.candidate, "validation", block)
            self._score(member, block, outcomes)
            if self._rules.racing and len(member.scores) < len(order) and self._hopeless(member):
                member.complete = False
                break
        member.scores = dict(sorted(member.scores.items()))
        self._validating.remove(member)
        self._admit(member)
        joined = member.origin in ("merge", "crossover")
        if joined:
            self._merges.done()
            self._tell(
                "on_merge_accepted",
                {
                    "iteration": proposal.iteration + 1,
                    "new_candidate_idx": member.index,
                    "parent_ids": [parent.index for parent in member.parents],
                },
            )
        if member.complete and (not joined or self._rules.overlap):
            self._merges.admitted()
        return Ending("admitted" if member.complete else "raced", member=member)

    # Choices and checks.

    def _parent(self) -> Member:
        """The selected member, or its latest descendant that is being validated."""
        member = self.pool.members[SELECTORS[self._settings.selector](self.pool, self._rng)]
        for child in self._validating if self._rules.overlap else ():
            if member in child.parents:
                member = child
        return member

    def _components(self, parent: Member) -> tuple[str, ...]:
        names = list(parent.candidate)
        if self._settings.components == "all":
            return tuple(names)
        name = names[parent.next_component]
        parent.next_component = (parent.next_component + 1) % len(names)
        return (name,)

    def _better(self, before: Sequence[Outcome], after: Sequence[Outcome]) -> bool:
        return accepts(
            self._settings.acceptance,
            [each.score for each in before],
            [each.score for each in after],
            self._settings.tolerance,
        )

    def _hopeless(self, member: Member) -> bool:
        examples = list(member.scores)
        rival = self.pool.best()
        best = [self.pool.highest(example) for example in examples]
        return hopeless(
            [member.scores[example] for example in examples],
            [rival.scores[example] for example in examples],
            best,
            self._settings.racing.deviations,
        )

    def _whole(self, candidate: Candidate) -> Need:
        return Need(candidate, "validation", range(self._validation))

    def _score(self, member: Member, examples: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        for example, outcome in zip(examples, outcomes, strict=True):
            member.scores[example] = outcome.score
            if outcome.objectives is not None:
                member.objectives[example] = dict(outcome.objectives)
        member.complete = len(member.scores) == self._validation

    def _admit(self, member: Member) -> None:
        before = set(self.pool.front_members()) if self.pool.members else set()
        member.calls = self._outcomes.budget.spent
        self.pool.admit(member)
        after = set(self.pool.front_members())
        self._tell(
            "on_pareto_front_updated",
            {
                "iteration": self._iteration,
                "new_front": sorted(after),
                "displaced_candidates": sorted(before - after),
            },
        )
        self._tell("on_valset_evaluated", {"iteration": self._iteration} | self._evaluated(member))
        if member.origin not in ("seed", "migrant"):
            self._tell("on_candidate_accepted", {"iteration": self._iteration} | self._accepted(member))

    def _evaluated(self, member: Member) -> dict[str, Any]:
        return {
            "candidate_idx": member.index,
            "candidate": dict(member.candidate),
            "scores_by_val_id": dict(member.scores),
            "average_score": member.mean,
            "num_examples_evaluated": len(member.scores),
            "total_valset_size": self._validation,
            "parent_ids": [parent.index for parent in member.parents],
            "is_best_program": member.complete and self.pool.best() is member,
            "outputs_by_val_id": None,
        }

    def _accepted(self, member: Member) -> dict[str, Any]:
        return {
            "new_candidate_idx": member.index,
            "new_score": member.mean,
            "parent_ids": [parent.index for parent in member.parents],
        }

    def _tell_start(self, proposal: Proposal, parent: Member, examples: list[int]) -> None:
        iteration = proposal.iteration + 1
        self._tell(
            "on_candidate_selected",
            {
                "iteration": iteration,
                "candidate_idx": parent.index,
                "candidate": dict(parent.candidate),
                "score": parent.mean,
            },
        )
        self._tell(
            "on_minibatch_sampled",
            {
                "iteration": iteration,
                "minibatch_ids": list(examples),
                "trainset_size": self._batches.examples,
            },
        )


def _sum(outcomes: Sequence[Outcome]) -> float:
    return sum(each.score for each in outcomes)


def _of(member: Member) -> dict[str, Any]:
    return {
        "parent_ids": [parent.index for parent in member.parents],
        "merged_candidate": dict(member.candidate),
    }
