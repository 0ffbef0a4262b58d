"""`atelier crawl`: the pictures of a gallery, with their texts and terms, as a dataset."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.console import FAILED, Progress, Shell, command

if TYPE_CHECKING:
    from train_jobs.crawl.job import Summary
    from train_jobs.crawl.spec import Spec

app = typer.Typer()
COUNTED = ("discovered", "kept", "duplicates", "refused", "failed", "pending", "difference")


@command(app)
def crawl(
    shell: Shell,
    spec: Annotated[Path, typer.Argument(help="YAML: the gallery, its pages and its licence.")],
    out: Annotated[Path, typer.Option(help="Folder of the dataset; name it again to go on.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first N pictures at most.")] = None,
) -> None:
    """Fetch a gallery as its owner allows: robots.txt, pace, licence; nothing is fetched twice."""
    from train_jobs.crawl.spec import load_spec

    gallery = load_spec(spec)
    with shell.progress() as progress:
        summary, signalled = asyncio.run(_crawl(shell, gallery, out, limit, progress))
    _tell(shell, summary, out)
    if signalled:
        shell.say("stopped; run the same command again to go on")
        raise typer.Exit(128 + signalled)
    if summary.troubles:
        raise typer.Exit(FAILED)


async def _crawl(
    shell: Shell, spec: Spec, out: Path, limit: int | None, progress: Progress
) -> tuple[Summary, int]:
    """The summary, and the signal that stopped the crawl or 0."""
    from cluster.signals import stop_on_signals
    from train_jobs.crawl import job

    stop = stop_on_signals(shell.say)
    summary = await job.crawl(
        spec, out, shell.settings.crawl, limit=limit, stop=stop.event, progress=progress
    )
    return summary, 0 if summary.complete else stop.signal


def _tell(shell: Shell, summary: Summary, out: Path) -> None:
    rows = [[name, str(getattr(summary, name))] for name in COUNTED]
    shell.table("", ["pictures", ">count"], rows)
    if summary.reasons:
        shell.table("", ["refused or failed", ">count"], [[k, str(v)] for k, v in summary.reasons.items()])
    for trouble in summary.troubles:
        shell.say(f"list page not read: {trouble}")
    if summary.skipped_details:
        shell.say(f"{summary.skipped_details} detail pages could not be had; the next run asks again")
    shell.say(
        f"{summary.in_dataset} rows in {out}; {summary.requests} requests, {summary.retries} of them "
        f"repeated, {summary.received_bytes / 1e6:.1f} MB"
    )
    shell.result({"out": str(out), **summary.model_dump(), "difference": summary.difference})
