"""`atelier loop` and `atelier demo`: search prompts, freeze what was found into a policy, measure both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.commands.evaluate import show
from cluster.console import Progress, Shell, command

if TYPE_CHECKING:
    from actors.runs import Run
    from configs.schema import Settings
    from train_jobs.gepa.job import Evolved
    from train_jobs.loop.double_loop import Looped

app = typer.Typer()
DEMO = "demo"
BUDGET = "budget.json"
"""Of a run's folder: which budget it has."""


@command(app)
def loop(
    shell: Shell,
    budget: Annotated[
        str | None,
        typer.Option(help="How much is spent: demo (8 minutes, the default), full (90), or a YAML file."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: a new one in runs/.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Search strategies, practise, teach a policy what was found, train it on (PPO), and measure all.

    The run's folder gets `report.html`, `policy/` (use it with --set policy.type=tiny --set
    policy.weights=...), `search/` with the best strategy, and `curves.png`. A stopped run goes on with
    --resume.
    Example: atelier loop --budget full --out runs/loop
    """
    _close(shell, "loop", budget, out, resume)


@command(app)
def demo(shell: Shell) -> None:
    """The whole double loop in eight minutes on two cores: what a search finds, a policy learns."""
    _close(shell, DEMO, DEMO, None, False)


def _close(shell: Shell, name: str, budget: str | None, out: Path | None, resume: bool) -> None:
    settings, budget = _settings(shell, budget, out, resume)
    from cluster.commands.evolve import run_in

    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from cluster.needs import refuse_incomplete
        from cluster.session import session

        refuse_incomplete(settings)
        run = run_in(settings, name, out, resume)
        run.write_json(BUDGET, budget)
        with session(settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            looped = _run(settings, run, progress)
            progress("writing the report", 0, 1)
            summary = {"run": run.id, "budget": budget, "profile": settings.profile, **looped.summary}
            run.write_json("summary.json", summary)
            _report(settings, run, looped, summary)
        progress("writing the report", 1, 1)
    show(shell, summary)
    for line in lessons(summary):
        shell.say(line)
    shell.result({"path": str(run.path), "policy": str(looped.policy), **summary})
    shell.say(f"policy  {looped.policy}")
    shell.say(f"report  {run.path}/report.html")
    shell.say(str(run.path))


def lessons(summary: Mapping[str, Any]) -> list[str]:
    """What one learns from a run, in sentences."""
    arms = {name: 100 * summary[name]["admission"] for name in ("raw", "search", "sft", "policy_after")}
    best, gain = summary["best_of_k"], summary["gains"]["sft"]
    low, high = (100 * bound for bound in gain["interval"])
    return [
        f"Typed as they are, {arms['raw']:.0f}% of the queries are admitted at the first draw; with the best "
        f"strategy of the search {arms['search']:.0f}%, with {best['k']} draws of it a query "
        f"{100 * best['admission']:.0f}%.",
        f"A policy that learnt the best answers of practice by heart reaches {arms['sft']:.0f}%; after "
        f"reinforcement {arms['policy_after']:.0f}% ({100 * gain['points']:+.0f} points, 95% interval "
        f"{low:+.0f} to {high:+.0f}), with one draw and no search.",
    ]


def _settings(shell: Shell, budget: str | None, out: Path | None, resume: bool) -> tuple[Settings, str]:
    """The command's settings and its budget, or those that the run in a folder began with."""
    from actors.errors import BadInput
    from configs.load import load
    from configs.schema import Settings

    if not resume:
        budget = budget or DEMO
        return load(shell.profile, shell.assignments, budget=budget), budget
    if out is None:
        raise BadInput("--resume without --out; accepted: --out with the folder of the run to go on with")
    if budget is not None or shell.assignments:
        raise BadInput("--resume goes on as the run began; accepted: without --budget and --set")
    try:
        stored = json.loads((out / "settings.json").read_text("utf-8"))["settings"]
        budget = str(json.loads((out / BUDGET).read_text("utf-8")))
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"--out {out} holds no run ({error}); accepted: the folder of a loop") from None
    return Settings.model_validate(stored), budget


def _run(settings: Settings, run: Run, progress: Progress) -> Looped:
    from cluster.commands.evolve import report, shown
    from cluster.commands.train import followed
    from train_jobs.loop.double_loop import Loop, Watchers

    def searched(folder: Path, found: Evolved) -> None:
        report(folder, settings, found, {"run": run.id, **found.summary(), "profile": settings.profile})

    watchers = Watchers(
        progress, shown(settings, progress), searched, lambda folder: followed(folder, progress)
    )
    return Loop(settings, run, watchers).close()


def _report(settings: Settings, run: Run, looped: Looped, summary: Mapping[str, Any]) -> None:
    from actors.artifacts import Artifacts
    from actors.reporting.loop import loop_page, pairs
    from train_jobs.ppo.curves import draw_curves

    draw_curves(looped.curve, run.path / "curves.png")
    artifacts = Artifacts(settings.paths.artifacts)
    samples = pairs(looped.queries, looped.before, looped.after, artifacts, settings.reward)
    page = loop_page(summary, samples, looped.curve)
    (run.path / "report.html").write_text(page, "utf-8")
