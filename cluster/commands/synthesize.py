"""`atelier synthesize`: judged pairs in mass, on Ray; a run that was stopped goes on where it was."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console import FAILED, Progress, Shell, command

if TYPE_CHECKING:
    from actors.artifacts import Artifacts
    from actors.judge.calibration.report import CalibrationReport
    from actors.roles import Roles
    from cluster.signals import Stop
    from configs.schema import Settings

app = typer.Typer()
REFUSED, QUARANTINED, CAPPED = 3, 4, 5
"""Exit codes: the gate refuses the judge, too many samples failed, a cap is reached."""
CALIBRATION, CARD, SUMMARY = "calibration.json", "card.json", "summary.json"
SHOWN = 15


@command(app)
def synthesize(
    shell: Shell,
    pairs: Annotated[int, typer.Option(min=1, help="Accepted pairs that the dataset shall have.")],
    out: Annotated[str, typer.Option(help="Folder or fsspec URI of the dataset.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the dataset that is there.")] = False,
    anchors: Annotated[
        Path | None, typer.Option(help="Human-labelled pairs for the judge's gate; default: constructed.")
    ] = None,
) -> None:
    """Make judged pairs: prompts, pictures, audit, judge; with data card and the judge's gate.

    Exit codes: 3 the gate refuses the judge, 4 more samples failed than synthesis.most_quarantined,
    5 a cap is reached, 130 or 143 stopped by a signal. Example: atelier synthesize --pairs 4000 --out pairs
    """
    from train_jobs.synthesis.store import PairStore

    PairStore.check_place(out, resume)
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from cluster.needs import refuse_incomplete
        from cluster.session import session

        refuse_incomplete(shell.settings)
        with session(shell.settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            summary, report, stop = asyncio.run(_synthesize(shell, pairs, out, anchors, progress))
        if summary is not None:
            progress("writing the card", 0, 1)
            _write_card(out, summary, report)
            progress("writing the card", 1, 1)
    _tell(shell, out, summary, report)
    if code := _exit_code(shell.settings, summary, stop):
        raise typer.Exit(code)


async def _synthesize(
    shell: Shell, pairs: int, out: str, anchors: Path | None, progress: Progress
) -> tuple[dict[str, Any] | None, CalibrationReport, Stop]:
    """The run's summary, or None when the gate refuses the judge."""
    from actors.artifacts import Artifacts
    from actors.hosts import pooled
    from actors.policy.expander import default_strategy
    from cluster.signals import stop_on_signals
    from train_jobs.calibration.job import mode_of
    from train_jobs.synthesis.job import Synthesis
    from train_jobs.synthesis.samples import Spec
    from train_jobs.synthesis.stages import Stages
    from train_jobs.synthesis.store import PairStore

    stop = stop_on_signals(shell.say)
    async with AsyncExitStack() as stack:
        settings = await stack.enter_async_context(_with_purse(shell.settings, out))
        artifacts = Artifacts(f"{out.rstrip('/')}/pictures", ".png")
        roles = await stack.enter_async_context(pooled(settings, artifacts, scorer=False))
        report = await _gate(settings, roles, artifacts, out, anchors, progress)
        if not report.gate.passed:
            return None, report, stop
        slopes = report.slopes if report.anchors == "human" else {}
        spec = Spec.of(shell.settings, slopes)
        room = settings.synthesis
        comparative = mode_of(room.judging, settings.judge.type) == "comparative"
        stages = Stages(roles, default_strategy(), room, comparative, slopes)
        store = PairStore(out, spec.id, room.seed)
        log = store.open_log(settings.paths.runs)
        stack.push_async_callback(log.close)
        run = Synthesis(spec, stages.run, store, log, pairs, progress, stop.event)
        return await run.run(), report, stop


def _with_purse(settings: Settings, out: str) -> Any:
    """The settings whose services draw on one purse, where tokens or money are capped."""
    from contextlib import asynccontextmanager

    from actors.purse import open_purse

    @asynccontextmanager
    async def opened() -> Any:
        caps = settings.synthesis.caps
        if caps.tokens is None and caps.money is None:
            yield settings
            return
        async with open_purse(f"{out.rstrip('/')}/purse.json", caps.tokens, caps.money) as name:
            yield _drawing_on(settings, name)

    return opened()


def _drawing_on(settings: Settings, purse: str) -> Settings:
    changed = {}
    for role in ("policy", "generator", "judge", "audit"):
        backend = getattr(settings, role)
        http = getattr(backend, "http", None)
        if http is not None:
            changed[role] = backend.model_copy(update={"http": http.model_copy(update={"purse": purse})})
    return settings.model_copy(update=changed)


async def _gate(
    settings: Settings, roles: Roles, artifacts: Artifacts, out: str, path: Path | None, progress: Progress
) -> CalibrationReport:
    """The judge's calibration: the one that the dataset began with, or a new one."""
    from actors.errors import BadInput
    from actors.judge.calibration.anchors import PairAnchor, load_anchors
    from actors.judge.calibration.report import CalibrationReport
    from cluster.commands.judge import ask
    from train_jobs.synthesis.store import read_text, write_text

    known = read_text(out, CALIBRATION)
    if known:
        return CalibrationReport.model_validate_json(known)
    loaded = load_anchors(path) if path else []
    pairs = [anchor for anchor in loaded if isinstance(anchor, PairAnchor)]
    if path and not pairs:
        raise BadInput(f"{path} holds recorded scores of other judges; accepted: pairs of pictures")
    report = await ask(settings, roles, artifacts, path, pairs, progress)
    if report.gate.passed:
        write_text(out, CALIBRATION, report.model_dump_json(indent=1))
    return report


def _write_card(out: str, summary: dict[str, Any], report: CalibrationReport) -> None:
    """Write `summary.json`, `card.json`, `card.html` and `sheet.png` beside the shards."""
    from actors.contracts import PairRecord
    from actors.datasets import Dataset
    from actors.pairs.card import card_of
    from actors.pixels import encode_png
    from actors.reporting.card import card_page, card_sheet, linked, opened
    from train_jobs.synthesis.store import PairStore, write_bytes, write_text

    write_text(out, SUMMARY, json.dumps(summary, indent=1))
    if not summary["pairs"]:
        return
    rows = (PairRecord.model_validate(row) for row in Dataset(out).rows())
    run = {name: summary[name] for name in ("requested", "examined", "accepted", "refused", "quarantined")}
    card = card_of(rows, {**run, "seconds": summary["seconds"]}, hard_probability=0.5)
    write_text(out, CARD, card.model_dump_json(indent=1))
    name = PairStore.name_of(out)
    write_text(out, "card.html", card_page(card, report, linked(card.samples[:SHOWN]), name=name))
    if shown := opened(out, card.samples[:SHOWN]):
        write_bytes(out, "sheet.png", encode_png(card_sheet(shown)))


def _tell(shell: Shell, out: str, summary: dict[str, Any] | None, report: CalibrationReport) -> None:
    if summary is None:
        for check in report.gate.failed:
            shell.err.print(f"[bold red]refused:[/] {check}", highlight=False)
        shell.say("the judge does not pass its gate; nothing was made")
        shell.result({"out": out, "gate": report.gate.model_dump(mode="json")})
        return
    rows = [["accepted", str(summary["accepted"])]]
    rows += [[f"refused, {reason.replace('_', ' ')}", str(n)] for reason, n in summary["refused"].items()]
    rows += [[f"quarantined, {what}", str(n)] for what, n in summary["quarantined"].items()]
    rows += [["examined", str(summary["examined"])], ["difference", str(summary["difference"])]]
    shell.table(f"{summary['pairs']} of {summary['requested']} pairs", ["samples", ">count"], rows)
    speed = summary["pairs_per_second"]
    shell.say(
        f"{summary['seconds']:.0f} s, {speed or 0:.1f} pairs/s; hard pairs "
        f"{100 * (summary['hard_share'] or 0):.0f}%; {summary['resumed_pairs']} pairs from earlier runs, "
        f"{summary['shards_redone']} shards made again"
    )
    shell.say(f"gate    passed on {report.pairs} {report.anchors} pairs")
    shell.say(f"card    {out}/card.html")
    if summary["capped"]:
        shell.say(f"capped  {summary['capped']}")
    if summary["pairs"] < summary["requested"]:
        shell.say("not complete; go on with --resume")
    shell.result({"out": out, **summary})
    shell.say(out)


def _exit_code(settings: Settings, summary: dict[str, Any] | None, stop: Stop) -> int:
    if summary is None:
        return REFUSED
    if summary["difference"]:
        return FAILED
    if summary["capped"]:
        return CAPPED
    if stop.signal and summary["pairs"] < summary["requested"]:
        return 128 + stop.signal
    if summary["quarantined_share"] > settings.synthesis.most_quarantined:
        return QUARANTINED
    return 0
