"""The public call: search texts with an adapter, in this process or on islands over a Ray cluster."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from configs.gepa import GepaSettings
from train_jobs.gepa.adapter import Adapter, ProposalFn
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.engine import Engine
from train_jobs.gepa.folder import claim
from train_jobs.gepa.hosts import Host, ThreadHost
from train_jobs.gepa.journal import LOG
from train_jobs.gepa.notices import Notices
from train_jobs.gepa.plan import Plan
from train_jobs.gepa.result import EvolutionResult, result_of
from train_jobs.gepa.worker import failure_score

LOGGER = logging.getLogger(__name__)
STOP_FILE = "gepa.stop"
"""A file of this name in the run's folder ends the run."""


def evolve(
    *,
    adapter: Adapter,
    seed_candidates: Sequence[Candidate],
    trainset: Sequence[Any],
    valset: Sequence[Any] | None = None,
    reflection_lm: Any = None,
    propose: ProposalFn | None = None,
    max_metric_calls: int | None,
    in_flight: int | None = None,
    islands: int | None = None,
    seed: int | None = None,
    run_dir: Path | str | None = None,
    settings: GepaSettings | None = None,
    callbacks: Sequence[Any] = (),
    stop_callbacks: Sequence[Callable[[Any], bool]] = (),
    engine: Literal["own", "gepa"] = "own",
) -> EvolutionResult:
    """Search for better texts.

    Args:
        adapter: the system under search, written for `gepa` or for here.
        seed_candidates: first candidates, component name -> text, all with the same components.
        trainset: examples that reflection learns from.
        valset: examples that candidates are scored on; None = the training examples.
        reflection_lm: a function prompt -> answer, or an object with gepa's `reflect`.
        propose: writes new texts in place of a language model.
        max_metric_calls: examples that may be evaluated in all, never one more; None = no limit.
        in_flight: most proposals that an island searches at once; 1 = the decisions of sequential GEPA.
        islands: populations on the Ray cluster that is running, for which adapter and what writes texts must
            be picklable; None = one, in threads of this process.
        run_dir: folder to keep the run in; one that holds a run goes on with it. None keeps nothing.
        settings: everything else; the arguments above overrule it.
        callbacks: objects with methods of gepa's names, e.g. `on_candidate_accepted(event)`.
        stop_callbacks: asked now and then with a view of the state; True ends the run.
        engine: `gepa` runs that package (optional extra), on islands with Ray behind `batch_evaluate`.

    Raises:
        BadInput: seeds, examples, budget or the folder's run do not fit; the message says how.
        StageFailed: nothing works, e.g. every first example failed.
    """
    chosen = {"in_flight": in_flight, "islands": islands, "seed": seed}
    plan = Plan(
        _overruled(settings or GepaSettings(), chosen),
        adapter,
        [dict(candidate) for candidate in seed_candidates],
        list(trainset),
        list(trainset if valset is None else valset),
        propose,
        reflection_lm,
        max_metric_calls,
        Path(run_dir) if run_dir is not None else None,
        Notices(callbacks),
        list(stop_callbacks),
    )
    if engine == "gepa":
        from train_jobs.gepa.package import evolve_with_package

        return evolve_with_package(plan, on_ray=islands is not None)
    return asyncio.run(run(plan, on_ray=islands is not None))


def _overruled(settings: GepaSettings, chosen: Mapping[str, int | None]) -> GepaSettings:
    given = {name: value for name, value in chosen.items() if value is not None}
    return GepaSettings.model_validate({**settings.model_dump(), **given})


async def run(plan: Plan, *, on_ray: bool = False) -> EvolutionResult:
    """`evolve` of a plan."""
    settings = plan.settings
    kit = plan.kit()
    reflection = kit.reflection(kit.adapter())
    archipelago = Archipelago(
        settings,
        plan.seeds,
        len(plan.train),
        len(plan.validation),
        plan.calls,
        crossover=reflection.crosses,
        tell=plan.notices.tell,
    )
    plan.notices.archipelago = archipelago
    claim(plan)
    engine = Engine(
        archipelago,
        plan.folder,
        failure_score=failure_score(plan.adapter),
        outside=_outside(plan, archipelago),
        advanced=lambda: plan.advanced(archipelago, engine),
    )
    plan.notices.muted = lambda: engine.replaying
    plan.notices.tell("on_optimization_start", _start_of(plan))
    if on_ray:
        from train_jobs.gepa.fleet import Fleet

        async with Fleet(kit, settings, engine) as hosts:
            await engine.run(hosts)
    else:
        host: Host = ThreadHost(
            kit,
            evaluators=settings.evaluators * settings.islands,
            proposers=settings.proposers * settings.islands,
            islands=settings.islands,
            evaluation_timeout_s=settings.evaluation_timeout_s,
            reflection_timeout_s=settings.reflection_timeout_s,
        )
        try:
            await engine.run([host])
        finally:
            await host.close()
    log = plan.folder / LOG if plan.folder is not None else None
    result = result_of(archipelago, engine.work.use, log)
    plan.notices.tell("on_optimization_end", _end_of(result))
    return result


def _outside(plan: Plan, archipelago: Archipelago) -> Callable[[], str]:
    """What ends a run from outside: time, a file, somebody's function."""
    began = time.monotonic()

    def reason() -> str:
        limit = plan.settings.stop.seconds
        if limit is not None and time.monotonic() - began >= limit:
            return f"{limit:g} s have passed"
        if plan.folder is not None and (plan.folder / STOP_FILE).exists():
            return f"{plan.folder / STOP_FILE} is there"
        if told := plan.outside():
            return told
        if any(_says_stop(stopper, plan.notices.view()) for stopper in plan.stoppers):
            return "a stop callback said so"
        return ""

    return reason


def _says_stop(stopper: Callable[[Any], bool], view: Any) -> bool:
    try:
        return bool(stopper(view))
    except Exception:  # the run's time and stop file are still looked at
        LOGGER.warning("stop callback %r failed", stopper, exc_info=True)
        return False


def _start_of(plan: Plan) -> dict[str, Any]:
    return {
        "seed_candidate": plan.seeds[0],
        "trainset_size": len(plan.train),
        "valset_size": len(plan.validation),
        "config": {"seed": plan.settings.seed, "perfect_score": plan.settings.perfect_score},
    }


def _end_of(result: EvolutionResult) -> dict[str, Any]:
    best = max(range(len(result.lineage)), key=lambda i: (result.lineage[i].complete, result.scores[i]))
    return {
        "best_candidate_idx": best,
        "total_iterations": result.proposals,
        "total_metric_calls": result.metric_calls,
        "final_state": result,
    }
