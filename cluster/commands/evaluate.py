"""`atelier evaluate`: how often a first draw is admitted, way by way; how often a scorer names the winner."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console import Progress, Shell, command

if TYPE_CHECKING:
    from actors.runs import Run
    from train_jobs.loop.evaluation_set import EvaluationSet
    from train_jobs.loop.job import Evaluation

app = typer.Typer()
evaluations = typer.Typer(help="Measure a loop on a frozen set of queries.", no_args_is_help=True)
app.add_typer(evaluations, name="evaluate")


@evaluations.callback()
def _group() -> None:
    """Measure a loop on a frozen set of queries."""


@command(evaluations, "imagine")
def evaluate_imagine(
    shell: Shell,
    queries: Annotated[
        Path | None, typer.Argument(help="JSON Lines of queries; default: the shipped set.")
    ] = None,
) -> None:
    """Measure how often the first draw is admitted, for each way of engineering."""
    _measure(shell, queries)


@command(evaluations, "ranking")
def evaluate_ranking(
    shell: Shell,
    model: Annotated[Path, typer.Argument(help="Folder of a scorer.")],
    dataset: Annotated[str, typer.Argument(help="Folder or URI of judged or human-labelled pairs.")],
) -> None:
    """Measure how often a scorer names the winner; of its own dataset, on what it was not trained on.

    Example: atelier evaluate ranking runs/<id>/scorer runs/pairs
    """
    from actors.scorer.checkpoint import load
    from cluster.commands.train import ceiling_of, show
    from train_jobs.ranking.data import examine
    from train_jobs.ranking.evaluate import evaluate
    from train_jobs.ranking.finish import pairs_for

    with shell.progress() as progress:
        scorer = load(model)
        dimensions = scorer.model.architecture.dimensions
        examined = examine(dataset, dimensions, progress)
        pairs = pairs_for(scorer, dataset, examined.records)
        own = ceiling_of(shell.settings, dataset, list(pairs.records), progress)
        found = evaluate(scorer, pairs, ceiling=own, tell=progress)
    show(shell, found)
    if examined.bad:
        shell.say(f"{len(examined.bad)} rows were set aside; the first: {examined.bad[0].reason}")
    shell.result({**found.model_dump(mode="json"), "set_aside": [row.model_dump() for row in examined.bad]})


def _measure(shell: Shell, queries: Path | None) -> None:
    from actors.errors import BadInput
    from train_jobs.loop.evaluation_set import of_file, packaged

    settings = shell.settings
    if queries is not None and not queries.is_file():
        raise BadInput(f"{queries}: no such file; accepted: a UTF-8 JSON Lines file of queries")
    data = of_file(queries) if queries else packaged(settings.loop.covers, settings.loop.real)
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from actors.runs import Run
        from cluster.needs import refuse_incomplete
        from cluster.session import session

        refuse_incomplete(settings)
        run = Run.create(settings, "evaluate")
        with session(settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            evaluation = asyncio.run(_evaluate(shell, data, run, progress))
        progress("writing the report", 0, 1)
        write_report(shell, run, evaluation)
        progress("writing the report", 1, 1)
    show(shell, evaluation.summary)
    shell.result({"run": run.id, "path": str(run.path), **evaluation.summary})
    shell.say(f"report  {run.path}/report.html")
    shell.say(str(run.path))


async def _evaluate(shell: Shell, data: EvaluationSet, run: Run, progress: Progress) -> Evaluation:
    from actors.hosts import pooled
    from train_jobs.loop import job

    async with pooled(shell.settings) as roles:
        return await job.run(shell.settings, roles, data, run, progress)


def write_report(shell: Shell, run: Run, evaluation: Evaluation) -> None:
    """Write `report.html` and `sheet.png` of an evaluation into its run's folder."""
    from actors.artifacts import Artifacts
    from actors.pixels import decode, encode_png
    from actors.reporting.loop import loop_page, pairs
    from actors.sheet import contact_sheet

    artifacts, settings = Artifacts(shell.settings.paths.artifacts), shell.settings.reward
    arms = list(evaluation.draws)
    before, after = evaluation.draws[arms[0]], evaluation.draws[arms[-1]]
    samples = pairs(evaluation.queries, before, after, artifacts, settings)
    page = loop_page({"run": run.id, **evaluation.summary}, samples)
    (run.path / "report.html").write_text(page, "utf-8")
    firsts = after[:: max(1, len(after) // len(evaluation.queries))]
    shown = sorted((d for d in firsts if d.picture), key=lambda d: not d.admitted)[:24]
    if shown:
        pixels = [decode(artifacts.get(d.picture.sha256)) for d in shown if d.picture]
        labels = [f"{d.reward.value:.2f}" if d.reward else "" for d in shown]
        (run.path / "sheet.png").write_bytes(encode_png(contact_sheet(pixels, labels, columns=6)))


def show(shell: Shell, summary: dict[str, Any]) -> None:
    """The table of an evaluation."""
    columns = ["way", ">admitted", ">95% interval", ">draws each", ">real", ">reward", ">draws/s"]
    rows = []
    for name, arm in summary.items():
        if not isinstance(arm, dict) or "admission" not in arm:
            continue
        low, high = arm["admission_interval"]
        rows.append(
            [
                name,
                _percent(arm["admission"]),
                f"{_percent(low)} - {_percent(high)}",
                f"{arm['draws_per_admitted']:.2f}" if arm["draws_per_admitted"] else "-",
                _percent(arm["real_admission"]),
                f"{arm['reward']:.3f}" if arm["reward"] is not None else "-",
                f"{arm['draws_per_second']:.1f}" if arm["draws_per_second"] else "-",
            ]
        )
    data = summary.get("evaluation_set", {})
    title = f"First draws admitted on {data.get('covers')} covers and {data.get('real')} real queries"
    shell.table(title, columns, rows)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}%"
