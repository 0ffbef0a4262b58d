"""`atelier score`: what the judge thinks of pictures that already exist."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console import BAD_INPUT, FAILED, Shell, command

if TYPE_CHECKING:
    from actors.artifacts import Artifacts
    from actors.contracts import Dimension, Failure, Judgement, Picture, Query

    Learned = dict[Dimension, float] | Failure

app = typer.Typer()
NEUTRAL = "cover"
"""The query of pictures that nobody named a query for: it names no subject, palette or style."""


@command(app)
def score(
    shell: Shell,
    pictures: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP files.", show_default=False)],
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="What the pictures were asked to be.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title that they should carry.")] = None,
) -> None:
    """Judge pictures by dimension and rank them."""
    from actors.contracts import Query
    from cluster.needs import refuse_incomplete

    Query.of(query or NEUTRAL, title=title)
    refuse_incomplete(shell.settings)
    with shell.progress() as progress:
        progress("judging", 0, len(pictures))
        rows = asyncio.run(_judge(shell, pictures, query or NEUTRAL, title))
        progress("judging", len(pictures), len(pictures))
    rows.sort(key=lambda row: -row["scores"]["total"] if "scores" in row else 1.0)
    for rank, row in enumerate((row for row in rows if "scores" in row), 1):
        row["rank"] = rank
    _show(shell, rows)
    shell.result({"query": query, "pictures": rows})
    if any("error" in row for row in rows):
        raise typer.Exit(BAD_INPUT if any(row.get("kind") == "BadInput" for row in rows) else FAILED)


async def _judge(shell: Shell, paths: list[Path], text: str, title: str | None) -> list[dict[str, Any]]:
    from actors.artifacts import Artifacts
    from actors.contracts import Query, nearest_aspect
    from actors.errors import BadInput
    from actors.hosts import in_process
    from actors.scorer.request import request_text

    artifacts = Artifacts(shell.settings.paths.artifacts)
    rows: list[dict[str, Any]] = [{"picture": str(path)} for path in paths]
    known: list[tuple[dict[str, Any], Picture, Query]] = []
    for path, row in zip(paths, rows, strict=True):
        try:
            picture = _stored(artifacts, path)
        except BadInput as error:
            row |= {"error": str(error), "kind": "BadInput"}
            continue
        row["sha256"] = picture.sha256
        known.append(
            (row, picture, Query.of(text, title=title, aspect=nearest_aspect(picture.width, picture.height)))
        )
    if known:
        async with in_process(shell.settings) as roles:
            shown, queries = [p for _, p, _ in known], [q for _, _, q in known]
            verdicts = await roles.judge.judge(shown, queries)
            texts = [request_text(query) for query in queries]
            learned: list[Learned] = [{}] * len(known)
            if roles.scorer:
                learned = await roles.scorer.score(shown, texts)
        for (row, _, _), verdict, scores in zip(known, verdicts, learned, strict=True):
            row |= _described(verdict, scores)
    return rows


def _stored(artifacts: Artifacts, path: Path) -> Picture:
    from actors.contracts import Picture
    from actors.errors import BadInput
    from actors.pixels import decode, encode_png

    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); accepted: a PNG, JPEG or WebP file"
        ) from None
    try:
        pixels = decode(data)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    digest = artifacts.put(encode_png(pixels))
    height, width = pixels.shape[:2]
    return Picture(sha256=digest, width=width, height=height, prompt_id="", seed=0, generator_version="file")


def _described(verdict: Judgement | Failure, learned: Learned) -> dict[str, Any]:
    from actors.contracts import Dimension, Failure

    for answer in (verdict, learned):
        if isinstance(answer, Failure):
            return {"error": answer.message, "kind": answer.kind}
    assert not isinstance(verdict, Failure) and not isinstance(learned, Failure)
    scores = {str(d): s for d in Dimension if (s := verdict.score(d)) is not None}
    scores.setdefault("total", 0.0)
    return {
        "scores": scores,
        "learned": {str(name): round(value, 4) for name, value in learned.items()},
        "gates": verdict.gates,
        "rationale": verdict.rationale,
        "judge": verdict.judge_version,
    }


def _show(shell: Shell, rows: list[dict[str, Any]]) -> None:
    from actors.contracts import Dimension

    present = [str(d) for d in Dimension if any(str(d) in row.get("scores", {}) for row in rows)]
    shown = []
    for row in rows:
        if "error" in row:
            shell.err.print(f"{row['error']}", style="red", markup=False, soft_wrap=True)
            continue
        scores = row["scores"]
        missed = [gate for gate, passed in row["gates"].items() if not passed]
        cells = [f"{scores[d]:.2f}" if d in scores else "-" for d in present]
        cells += [f"{row['learned']['total']:.2f}"] if "total" in row["learned"] else []
        shown.append([str(row["rank"]), row["picture"], *cells, ", ".join(missed)])
    if shown:
        scorer = [">learned"] if any("total" in row.get("learned", {}) for row in rows) else []
        names = [f">{name}" for name in present]
        shell.table("", [">rank", "picture", *names, *scorer, "missed"], shown)
