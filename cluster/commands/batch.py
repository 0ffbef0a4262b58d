"""`atelier batch`: one cover a query, on Ray; a run that was stopped goes on where it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console import Progress, Shell, command

if TYPE_CHECKING:
    from actors.contracts import Query

app = typer.Typer()
SHOWN, SHEET = 400, 48
"""Covers on the page, and on the sheet."""


@command(app)
def batch(
    shell: Shell,
    queries: Annotated[Path, typer.Argument(help="JSON Lines: query, and id, lang, aspect, title, seed.")],
    out: Annotated[Path, typer.Option(help="Folder of the results; name it again to go on.")],
    limit: Annotated[int, typer.Option(help="Draws a query may cost, 1 to 64.")] = 4,
    seed: Annotated[int, typer.Option(help="Same queries and seed, same pictures.")] = 0,
) -> None:
    """Draw each query until a picture is admitted or the limit is reached; nothing is made twice."""
    from actors.errors import BadInput

    if not 1 <= limit <= 64:
        raise BadInput(f"--limit {limit} is out of range; accepted: 1 to 64")
    from actors.queries import load

    asked = load(queries)
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from cluster.needs import refuse_incomplete
        from cluster.session import session

        refuse_incomplete(shell.settings)
        with session(shell.settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            counts = asyncio.run(_produce(shell, asked, out, limit, seed, progress))
        progress("writing the report", 0, 1)
        write_report(shell, out)
        progress("writing the report", 1, 1)
    shell.table(
        "", ["", ">count"], [[name.replace("_", " "), _shown(value)] for name, value in counts.items()]
    )
    shell.result({"out": str(out), **counts})
    shell.say(f"report  {out}/report.html")
    shell.say(str(out))


async def _produce(
    shell: Shell, queries: list[Query], out: Path, limit: int, seed: int, progress: Progress
) -> dict[str, Any]:
    from actors.artifacts import Artifacts
    from actors.hosts import pooled
    from actors.policy.expander import default_strategy
    from actors.studio import Studio
    from train_jobs.covers.job import produce

    settings = shell.settings
    async with pooled(settings) as roles:
        return await produce(
            Studio(roles, settings.reward),
            Artifacts(settings.paths.artifacts),
            queries,
            default_strategy(),
            out,
            limit=limit,
            seed=seed,
            progress=progress,
        )


def write_report(shell: Shell, out: Path) -> None:
    """Write `report.html` and `sheet.png` of what `out` holds, the first covers of it."""
    import json

    from actors.contracts import ASPECTS, Query
    from actors.pixels import decode, encode_png
    from actors.reporting.imagine import covers_page
    from actors.reporting.views import DrawView
    from actors.sheet import contact_sheet

    lines = (out / "results.jsonl").read_text("utf-8").splitlines()[:SHOWN]
    rows = [json.loads(line) for line in lines]
    views = [
        DrawView(
            query=Query.of(row["query"], aspect=row["aspect"]),
            number=number,
            prompt=row["prompt"] or "",
            image=row["picture"],
            link=row["picture"] or "",
            admitted=row["admitted"],
            value=row["reward"],
            causes=() if row["admitted"] else tuple(dict.fromkeys(row["causes"])),
            failure=(row["failure"] or {}).get("message", ""),
            width=ASPECTS[row["aspect"]][0] * 100,
            height=ASPECTS[row["aspect"]][1] * 100,
        )
        for number, row in enumerate(rows, 1)
    ]
    (out / "report.html").write_text(covers_page(views, profile=shell.settings.profile), "utf-8")
    drawn = [view for view in views if view.image][:SHEET]
    if drawn:
        pixels = [decode((out / str(view.image)).read_bytes()) for view in drawn]
        sheet = contact_sheet(pixels, [view.query.text for view in drawn], columns=min(6, len(drawn)))
        (out / "sheet.png").write_bytes(encode_png(sheet))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
