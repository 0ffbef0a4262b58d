"""`atelier evolve`: search the strategies that prompts are engineered by, on islands over a Ray cluster."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.console import Progress, Shell, command

if TYPE_CHECKING:
    from actors.contracts import Memory, Strategy
    from actors.runs import Run
    from configs.schema import Settings
    from train_jobs.gepa.archipelago import Archipelago
    from train_jobs.gepa.engine import Engine
    from train_jobs.gepa.job import Data, Evolved

app = typer.Typer()
SHOWN_S = 0.5
"""Time between two looks at how far the search is."""
SEARCHING = "searching, metric calls"


@command(app)
def evolve(
    shell: Shell,
    queries: Annotated[
        Path | None, typer.Argument(help="JSON Lines of queries to learn from; default: the shipped ones.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Metric calls: first draws of a strategy for a query.")
    ] = None,
    islands: Annotated[int | None, typer.Option(min=1, help="Populations, spread over the nodes.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: a new one in runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    seeds: Annotated[
        list[Path] | None, typer.Option("--seed", help="Strategy file to start from too; may be repeated.")
    ] = None,
    bank: Annotated[
        Path | None, typer.Option(help="PromptBank of an earlier run (bank.jsonl), as another start.")
    ] = None,
) -> None:
    """Search better strategies; measure the best one on queries that nothing saw.

    The run's folder gets `strategy.yaml` (use it with --set policy.type=expander --set
    policy.strategy_file=...), `report.html`, `distill/records.jsonl` and `bank.jsonl`. Ctrl-C ends the search
    and keeps what it has; --resume goes on.
    Example: atelier evolve --budget 12000 --islands 2 --out runs/search
    """
    settings = _settings(shell, out, resume, budget, islands)
    data, starts = _data(settings, queries), _starts(settings, seeds or [], bank)
    _check_budget(settings, data, starts)
    run = run_in(settings, "evolve", out, resume)
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from cluster.needs import refuse_incomplete
        from cluster.session import session

        refuse_incomplete(settings)
        began = time.monotonic()
        with session(settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            found, ended = asyncio.run(_evolve(shell, settings, data, starts, run, progress))
        progress("writing the report", 0, 1)
        summary = {**found.summary(), "seconds": time.monotonic() - began, "profile": settings.profile}
        run.write_json("summary.json", {"run": run.id, **summary})
        report(run.path, settings, found, {"run": run.id, **summary})
        progress("writing the report", 1, 1)
    _show(shell, found)
    shell.result({"run": run.id, "path": str(run.path), **summary})
    shell.say(f"strategy  {run.path}/strategy.yaml")
    shell.say(f"report    {run.path}/report.html")
    shell.say(str(run.path))
    if ended:
        raise typer.Exit(128 + ended)


def _settings(
    shell: Shell, out: Path | None, resume: bool, budget: int | None, islands: int | None
) -> Settings:
    """The command's settings, or those that the run in a folder began with."""
    from actors.errors import BadInput
    from configs.schema import Settings

    if not resume:
        return _with(shell.settings, budget, islands)
    if out is None:
        raise BadInput("--resume without --out; accepted: --out with the folder of the run to go on with")
    if budget is not None or islands is not None or shell.assignments:
        raise BadInput("--resume goes on as the run began; accepted: without --budget, --islands and --set")
    try:
        stored = json.loads((out / "settings.json").read_text("utf-8"))["settings"]
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"--out {out} holds no run ({error}); accepted: the folder of a search") from None
    return Settings.model_validate(stored)


def run_in(settings: Settings, name: str, out: Path | None, resume: bool) -> Run:
    """A new run, or the one in a folder.

    Raises:
        BadInput: the folder is not empty, and nothing is to be gone on with.
    """
    from actors.errors import BadInput
    from actors.runs import Run

    if out is None:
        return Run.create(settings, name)
    if resume:
        return Run(out.name, out)
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"--out {out} is not empty; accepted: --resume to go on, or another folder")
    return Run.at(settings, out)


def _check_budget(settings: Settings, data: Data, starts: list[Strategy]) -> None:
    from actors.errors import BadInput

    least = len({start.id for start in starts}) * len(data.validation)
    if settings.gepa.studio.budget < least:
        raise BadInput(
            f"--budget {settings.gepa.studio.budget} does not hold the first scoring of {len(starts)} "
            f"strategies on {len(data.validation)} queries; accepted: {least} or more, better ten times that"
        )


def _with(settings: Settings, budget: int | None, islands: int | None) -> Settings:
    room = settings.gepa
    if islands is not None:
        room = room.model_copy(update={"islands": islands})
    if budget is not None:
        room = room.model_copy(update={"studio": room.studio.model_copy(update={"budget": budget})})
    return settings.model_copy(update={"gepa": room})


def _data(settings: Settings, queries: Path | None) -> Data:
    """A file's queries in three parts; or, without one, made ones, the shipped ones, and the frozen set."""
    from train_jobs.gepa.job import Data, of_file

    if queries is not None:
        return of_file(queries)
    from actors.policy import grammar
    from train_jobs.loop.evaluation_set import packaged

    room, spec = settings.gepa, settings.synthesis
    shipped = packaged(settings.loop.covers, 0)
    made = (grammar.query(room.seed, index, spec.aspects, spec.langs) for index in range(room.studio.train))
    return Data(tuple(made), shipped.learn[: room.studio.validation], shipped.covers)


def _starts(settings: Settings, files: list[Path], bank: Path | None) -> list[Strategy]:
    """The policy's own strategy, then those of files, then what a PromptBank says."""
    from actors.policy.expander import default_strategy, read_strategy
    from configs.policy import ExpanderSettings
    from train_jobs.gepa.bank_seeds import seed_from

    own = settings.policy.strategy_file if isinstance(settings.policy, ExpanderSettings) else None
    first = read_strategy(own) if own else default_strategy()
    starts = [first, *(read_strategy(path) for path in files)]
    if bank is not None and (known := seed_from(asyncio.run(_memories(bank)), first)) is not None:
        starts.append(known)
    return starts


async def _memories(path: Path) -> list[Memory]:
    """What a bank's file holds."""
    from actors.bank.bank import memories_of
    from actors.errors import BadInput
    from actors.ledger import FileLog

    if not path.is_file():
        raise BadInput(f"--bank {path}: no such file; accepted: the bank.jsonl of a run")
    async with FileLog(path) as log:
        return await memories_of(log)


async def _evolve(
    shell: Shell, settings: Settings, data: Data, starts: list[Strategy], run: Run, progress: Progress
) -> tuple[Evolved, int]:
    """What was found, and the signal that ended the search (0 = none)."""
    from cluster.signals import stop_on_signals
    from train_jobs.gepa.job import evolve_studio

    stop = stop_on_signals(shell.say)
    found = await evolve_studio(
        settings,
        data,
        starts,
        run.path,
        progress=progress,
        advanced=shown(settings, progress),
        outside=lambda: f"stopped by {signal.Signals(stop.signal).name}" if stop.signal else "",
    )
    return found, stop.signal


def shown(settings: Settings, progress: Progress) -> Callable[[Archipelago, Engine], None]:
    """Shows how far the search is, a few times a second: best, frontier, money, acceptance, worker use."""
    looked = 0.0

    def show(archipelago: Archipelago, engine: Engine) -> None:
        nonlocal looked
        now = time.monotonic()
        if now - looked < SHOWN_S and not archipelago.stopped:
            return
        looked = now
        pools = [island.pool for island in archipelago.islands if island.pool.has_best]
        if not pools:
            progress(SEARCHING, archipelago.budget.spent, settings.gepa.studio.budget)
            return
        rate = sum(island.rate for island in archipelago.islands) / len(archipelago.islands)
        note = (
            f"best {archipelago.best().mean:.3f}, frontier {sum(len(p.front_members()) for p in pools)}, "
            f"accepted {rate:.0%}, workers busy {engine.work.use:.0%}"
        )
        if archipelago.progress.money:
            note += f", money {archipelago.progress.money:.2f}"
        progress(SEARCHING, archipelago.budget.spent, settings.gepa.studio.budget, note)

    return show


def _show(shell: Shell, found: Evolved) -> None:
    rows = []
    for label, each in (("seed strategy", found.seed.summary()), ("best strategy", found.best.summary())):
        low, high = each["admission_interval"]
        rows.append([label, f"{each['admission']:.1%}", f"{low:.0%} - {high:.0%}", f"{each['reward']:.3f}"])
    title = f"First draws admitted on {len(found.queries)} queries that nothing saw"
    shell.table(title, ["", ">admitted", ">95% interval", ">reward"], rows)
    result = found.result
    shell.say(
        f"{result.metric_calls} metric calls, {result.proposals} proposals, {len(result.lineage)} candidates"
    )
    shell.say(f"ended: {result.stopped}")
    shell.say(f"{found.records} admitted draws kept for distillation")


def report(folder: Path, settings: Settings, found: Evolved, summary: Mapping[str, object]) -> None:
    """Write the page of a search into a folder."""
    from actors.artifacts import Artifacts
    from actors.reporting.evolution import evolution_page
    from actors.reporting.loop import pairs

    samples = pairs(
        found.queries,
        found.seed.draws,
        found.best.draws,
        Artifacts(settings.paths.artifacts),
        settings.reward,
    )
    page = evolution_page(summary, found.result.lineage, found.seed.strategy, found.best.strategy, samples)
    (folder / "report.html").write_text(page, "utf-8")
