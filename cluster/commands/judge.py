"""`atelier judge calibrate`: how far the judge can be trusted, before it judges in mass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.console import Cell, Progress, Shell, command

if TYPE_CHECKING:
    from actors.artifacts import Artifacts
    from actors.judge.calibration.anchors import PairAnchor
    from actors.judge.calibration.reliability import Quality
    from actors.judge.calibration.report import CalibrationReport
    from actors.roles import Roles
    from configs.schema import Settings

app = typer.Typer()
judges = typer.Typer(help="Measure the judge.", no_args_is_help=True)
app.add_typer(judges, name="judge")
REFUSED = 3
"""Exit code of a judge that does not pass the gate."""


@judges.callback()
def _group() -> None:
    """Measure the judge."""


@command(judges)
def calibrate(
    shell: Shell,
    anchors: Annotated[
        Path | None,
        typer.Argument(help="JSON Lines of labelled pairs or recorded scores; default: constructed pairs."),
    ] = None,
    judge: Annotated[str | None, typer.Option(help="Which judge of recorded scores.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; default runs/<id>.")] = None,
) -> None:
    """Measure the judge against anchors, calibrate its probabilities, and hold it against the gate.

    Exit code 3: the gate refuses. Example: atelier judge calibrate anchors.jsonl --out calibration
    """
    from actors.reporting.calibration import calibration_page
    from actors.runs import Run

    with shell.progress() as progress:
        report = _measure(shell, anchors, judge, progress)
    run = Run.create(shell.settings, "calibrate") if out is None else Run(out.name, out)
    run.path.mkdir(parents=True, exist_ok=True)
    run.write_json("report.json", report.model_dump(mode="json"))
    page = calibration_page(report, profile=shell.settings.profile)
    (run.path / "report.html").write_text(page, "utf-8")
    _show(shell, report)
    shell.result({"path": str(run.path), "passed": report.gate.passed, **report.model_dump(mode="json")})
    shell.say(f"report  {run.path}/report.html")
    if not report.gate.passed:
        for check in report.gate.failed:
            shell.err.print(f"[bold red]refused:[/] {check}", highlight=False)
        raise typer.Exit(REFUSED)


def _measure(shell: Shell, path: Path | None, judge: str | None, progress: Progress) -> CalibrationReport:
    from actors.errors import BadInput
    from actors.judge.calibration.anchors import PairAnchor, RecordedAnchor, load_anchors
    from actors.judge.calibration.recorded import calibrate_recorded, judges_of

    loaded = load_anchors(path) if path else []
    recorded = [anchor for anchor in loaded if isinstance(anchor, RecordedAnchor)]
    if judge is not None and not recorded:
        raise BadInput(
            f"--judge {judge}: accepted with recorded scores; another judge is --set judge.type=..."
        )
    if not recorded:
        pairs = [anchor for anchor in loaded if isinstance(anchor, PairAnchor)]
        return _asked(shell, path, pairs, progress)
    names = judges_of(recorded)
    if judge is None and len(names) > 1:
        raise BadInput(f"{path} holds {len(names)} judges; accepted: --judge with one of {', '.join(names)}")
    progress("calibrating", 0, 1)
    report = calibrate_recorded(recorded, judge or names[0], shell.settings.calibration)
    progress("calibrating", 1, 1)
    return report


def _asked(shell: Shell, path: Path | None, pairs: list[PairAnchor], progress: Progress) -> CalibrationReport:
    """The judge of the settings is asked, on Ray."""
    progress("starting Ray", 0, 1)
    from cluster.needs import refuse_incomplete
    from cluster.session import session

    refuse_incomplete(shell.settings)
    with session(shell.settings, verbose=shell.verbose):
        progress("starting Ray", 1, 1)
        return asyncio.run(_calibrate(shell, path, pairs, progress))


async def _calibrate(
    shell: Shell, path: Path | None, pairs: list[PairAnchor], progress: Progress
) -> CalibrationReport:
    from actors.artifacts import Artifacts
    from actors.hosts import pooled

    artifacts = Artifacts(shell.settings.paths.artifacts)
    async with pooled(shell.settings, scorer=False) as roles:
        return await ask(shell.settings, roles, artifacts, path, pairs, progress)


async def ask(
    settings: Settings,
    roles: Roles,
    artifacts: Artifacts,
    path: Path | None,
    pairs: list[PairAnchor],
    progress: Progress,
) -> CalibrationReport:
    """The calibration of the judge behind `roles`, on a file's pairs, or on constructed ones."""
    from actors.policy.expander import default_strategy
    from train_jobs.calibration.constructed import construct, with_titles
    from train_jobs.calibration.job import calibrate, stored
    from train_jobs.loop.evaluation_set import packaged

    room = settings.calibration
    if path is not None:
        anchors = stored(pairs, path.parent, artifacts)
        return await calibrate(roles, settings, anchors, "human", progress)
    queries = with_titles(packaged(1, 0).learn[: room.queries])
    anchors = await construct(roles, artifacts, queries, default_strategy(), room.seed, progress)
    return await calibrate(roles, settings, anchors, "constructed", progress)


def _show(shell: Shell, report: CalibrationReport) -> None:
    """The table of a calibration, and the gate."""
    rows = [
        [
            str(name),
            str(found.after.n),
            "-" if found.slope is None else f"{found.slope:.2f}",
            *_cells(found.before, found.after),
        ]
        for name, found in report.dimensions.items()
    ]
    if report.headline == "all":
        rows.append(["all", str(report.after.n), "-", *_cells(report.before, report.after)])
    columns = ["dimension", ">pairs", ">slope", ">accuracy", ">interval", ">ECE"]
    title = f"{report.judge} on {report.pairs} pairs of {report.groups} requests ({report.anchors} anchors)"
    shell.table(title, columns, rows)
    checks: list[list[Cell]] = [
        [
            check.name.replace("_", " "),
            check.shown,
            f"{check.rule} {check.shown_bar}",
            ("passed", "green") if check.passed else ("refused", "red"),
        ]
        for check in report.gate.checks
    ]
    shell.table("Gate", ["check", ">value", ">accepted", "verdict"], checks)
    if report.anchors == "constructed":
        shell.say("Constructed anchors check the machinery; they say nothing about agreement with people.")


def _cells(before: Quality, after: Quality) -> list[str]:
    """Uncalibrated -> calibrated, and the 95% interval of the calibrated accuracy."""
    low, high = after.interval
    return [
        f"{_percent(before.accuracy)} -> {_percent(after.accuracy)}%",
        f"{100 * low:.0f} - {100 * high:.0f}%",
        f"{_number(before.ece)} -> {_number(after.ece)}",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
