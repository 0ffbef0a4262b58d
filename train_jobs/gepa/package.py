"""`engine="gepa"`: the package itself (optional extra), with the Ray cluster behind its `batch_evaluate`.

Its engine waits for every stage of an iteration; what is spread is the examples of a stage.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actors.errors import BadInput
from train_jobs.gepa.adapter import EvaluationBatch, ReflectiveDataset
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.hosts import Host, Lost
from train_jobs.gepa.outcome import Outcome, Split
from train_jobs.gepa.result import EvolutionResult, Lineage
from train_jobs.gepa.tasks import Evaluate
from train_jobs.gepa.worker import failure_score

if TYPE_CHECKING:
    from train_jobs.gepa.plan import Plan

Place = tuple[Split, int]
"""An example, by where it is in its set."""


def evolve_with_package(plan: Plan, *, on_ray: bool) -> EvolutionResult:
    """`gepa.optimize` on a plan; a folder that holds a run of it is gone on with.

    Raises:
        BadInput: the package is missing, or the plan has more than one seed.
    """
    gepa = _package()
    if len(plan.seeds) != 1:
        raise BadInput(f"engine='gepa' takes one seed candidate, not {len(plan.seeds)}; accepted: one")
    if on_ray:
        return asyncio.run(_on_ray(gepa, plan))
    return _optimise(gepa, plan, plan.adapter, plan.train, plan.validation)


class SpreadAdapter:
    """A plan's adapter whose examples are evaluated on hosts. Examples are named by their places."""

    def __init__(self, plan: Plan, hosts: Sequence[Host], loop: asyncio.AbstractEventLoop) -> None:
        self._adapter, self._hosts, self._loop = plan.adapter, hosts, loop
        self.propose_new_texts = getattr(plan.adapter, "propose_new_texts", None)
        self._free = Counter({host.name: host.evaluators for host in hosts})
        self._changed = asyncio.Condition()

    def evaluate(
        self, batch: list[Place], candidate: Candidate, capture_traces: bool = False
    ) -> EvaluationBatch:
        """See `Adapter.evaluate`."""
        return self.batch_evaluate([(candidate, batch)])[0]

    def batch_evaluate(
        self, items: list[tuple[Candidate, list[Place]]], *, capture_traces: bool = True
    ) -> list[EvaluationBatch]:
        """All examples of all candidates at once."""
        return asyncio.run_coroutine_threadsafe(self._all(items), self._loop).result()

    def make_reflective_dataset(
        self, candidate: Candidate, eval_batch: Any, components_to_update: list[str]
    ) -> ReflectiveDataset:
        """See `Adapter.make_reflective_dataset`."""
        return self._adapter.make_reflective_dataset(candidate, eval_batch, components_to_update)

    async def _all(self, items: list[tuple[Candidate, list[Place]]]) -> list[EvaluationBatch]:
        outcomes = await asyncio.gather(
            *(self._one(candidate, place) for candidate, batch in items for place in batch)
        )
        answers, start = [], 0
        for _, batch in items:
            answers.append(_batch(outcomes[start : start + len(batch)]))
            start += len(batch)
        return answers

    async def _one(self, candidate: Candidate, place: Place) -> Outcome:
        split, example = place
        task = Evaluate(f"{split}/{example}", candidate, split, example)
        async with self._changed:
            await self._changed.wait_for(lambda: any(self._free.values()))
            host = max(self._hosts, key=lambda each: self._free[each.name])
            self._free[host.name] -= 1
        try:
            answer = await host.run(task)
        finally:
            async with self._changed:
                self._free[host.name] += 1
                self._changed.notify()
        if isinstance(answer, Outcome):
            return answer
        reason = answer.reason if isinstance(answer, Lost) else "no outcome"
        return Outcome(failure_score(self._adapter), failure=reason)


async def _on_ray(gepa: Any, plan: Plan) -> EvolutionResult:
    from train_jobs.gepa.fleet import Fleet

    async with Fleet(plan.kit(), plan.settings, _Nobody()) as hosts:
        adapter = SpreadAdapter(plan, hosts, asyncio.get_running_loop())
        train = [("train", place) for place in range(len(plan.train))]
        validation = [("validation", place) for place in range(len(plan.validation))]
        return await asyncio.to_thread(_optimise, gepa, plan, adapter, train, validation)


def _optimise(
    gepa: Any, plan: Plan, adapter: Any, train: Sequence[Any], validation: Sequence[Any]
) -> EvolutionResult:
    room = plan.settings
    perfect = room.perfect_score
    found = gepa.optimize(
        seed_candidate=plan.seeds[0],
        trainset=list(train),
        valset=list(validation),
        adapter=adapter,
        reflection_lm=plan.model,
        custom_candidate_proposer=plan.propose,
        reflection_prompt_template=room.template.read_text("utf-8") if room.template else None,
        candidate_selection_strategy=room.selector,
        frontier_type=room.frontier,
        skip_perfect_score=perfect is not None,
        perfect_score=1.0 if perfect is None else perfect,
        reflection_minibatch_size=room.minibatch,
        module_selector=room.components,
        use_merge=bool(room.merges),
        max_merge_invocations=room.merges or 0,
        max_metric_calls=plan.calls,
        acceptance_criterion=room.acceptance,
        stop_callbacks=plan.stoppers or None,
        run_dir=str(plan.folder) if plan.folder is not None else None,
        callbacks=plan.notices.callbacks,
        logger=_Quiet(),
        seed=room.seed,
    )
    return _result(found)


def _result(found: Any) -> EvolutionResult:
    """The package's result in our words."""
    front = {index for members in found.per_val_instance_best_candidates.values() for index in members}
    lineage = tuple(
        Lineage(
            dict(candidate),
            tuple(parent for parent in found.parents[index] if parent is not None),
            "mutation" if index else "seed",
            0,
            found.val_aggregate_scores[index],
            _scores(found.val_subscores[index]),
            dict((found.val_aggregate_subscores or [{}] * len(found.candidates))[index]),
            True,
            index in front,
            found.discovery_eval_counts[index],
        )
        for index, candidate in enumerate(found.candidates)
    )
    best = lineage[found.best_idx]
    return EvolutionResult(
        best.candidate, best.score, lineage, found.total_metric_calls, 0, 0.0, "gepa ended", 0.0, None
    )


def _scores(found: Mapping[int, float] | Sequence[float]) -> dict[int, float]:
    return dict(found) if isinstance(found, Mapping) else dict(enumerate(found))


def _batch(outcomes: Sequence[Outcome]) -> EvaluationBatch:
    objectives = [dict(each.objectives) for each in outcomes if each.objectives is not None]
    return EvaluationBatch(
        outputs=[each.output for each in outcomes],
        scores=[each.score for each in outcomes],
        trajectories=[each.trace for each in outcomes],
        objective_scores=objectives if len(objectives) == len(outcomes) else None,
    )


def _package() -> Any:
    try:
        import gepa
    except ImportError as error:
        raise BadInput(
            f"the gepa package cannot be imported ({error}); install it with `pip install "
            "'atelier-ray[gepa]'`, or use engine='own'"
        ) from None
    return gepa


class _Quiet:
    """The package's log, which nobody reads: its callbacks tell the same."""

    def log(self, message: str) -> None:
        """Keep nothing."""


class _Nobody:
    """The package cannot use hosts that join later."""

    def join(self, host: Host) -> None:
        """Leave it alone."""

    def leave(self, host: Host) -> None:
        """Its calls fail."""
