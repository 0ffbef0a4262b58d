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
    from train_jobs.loop.evaluation_set import load

    asked = load(queries)
    with shell.progress() as progress:
        progress("starting Ray", 0, 1)
        from cluster.session import session

        with session(shell.settings, verbose=shell.verbose):
            progress("starting Ray", 1, 1)
            counts = asyncio.run(_produce(shell, asked, out, limit, seed, progress))
    shell.table("", ["", ">count"], [[name.replace("_", " "), f"{value}"] for name, value in counts.items()])
    shell.result({"out": str(out), **counts})
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
