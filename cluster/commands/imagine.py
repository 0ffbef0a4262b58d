"""`atelier imagine`: one query in, the best picture out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.console import Cell, Progress, Shell, command

if TYPE_CHECKING:
    from actors.artifacts import Artifacts
    from actors.contracts import Draw, Query

app = typer.Typer()
MAX_DRAWS = 64


@command(app)
def imagine(
    shell: Shell,
    query: Annotated[str, typer.Argument(help="What to make, in Chinese or English.", show_default=False)],
    n: Annotated[int, typer.Option("--n", "-n", help=f"Draws to make, 1 to {MAX_DRAWS}.")] = 4,
    aspect: Annotated[str, typer.Option(help="Width to height: 1:1, 3:4, 9:16, 4:3 or 16:9.")] = "3:4",
    title: Annotated[str | None, typer.Option(help="Title to typeset on the picture.")] = None,
    seed: Annotated[int, typer.Option(help="Same query and seed, same pictures.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default runs/<id>.")] = None,
) -> None:
    """Make a query into pictures and hand out the best one.

    Example: atelier imagine "水边的灯塔，黄昏" --title "归航" --aspect 9:16 -n 8
    """
    from actors.contracts import Query
    from actors.errors import BadInput, StageFailed

    if not 1 <= n <= MAX_DRAWS:
        raise BadInput(f"--n {n} is out of range; accepted: 1 to {MAX_DRAWS}")
    asked = Query.of(query, aspect=aspect, title=title, seed=seed)
    from cluster.needs import refuse_incomplete

    settings = shell.settings
    refuse_incomplete(settings)
    with shell.progress() as progress:
        progress("loading the studio", 0, 1)
        from actors.artifacts import Artifacts
        from actors.studio import best

        draws = asyncio.run(_draw(shell, asked, n, progress))
        artifacts = Artifacts(settings.paths.artifacts)
        folder = out or _new_folder(shell)
        chosen = best(draws)
        result = save(shell, folder, asked, draws, chosen, artifacts)
    _show(shell, result)
    shell.result(result)
    if chosen is None:
        raise StageFailed(next((d.failure.message for d in draws if d.failure), "no draw came out"))


async def _draw(shell: Shell, query: Query, n: int, progress: Progress) -> list[Draw]:
    from actors.hosts import in_process
    from actors.policy.expander import default_strategy
    from actors.studio import Studio

    async with in_process(shell.settings) as roles:
        progress("loading the studio", 1, 1)
        progress("drawing and judging", 0, n)
        studio = Studio(roles, shell.settings.reward)
        draws = (await studio.imagine([query], default_strategy(), n=n, seed=query.seed))[0]
        progress("drawing and judging", n, n)
        return draws


def save(
    shell: Shell, folder: Path, query: Query, draws: list[Draw], chosen: Draw | None, artifacts: Artifacts
) -> dict[str, Any]:
    """Write pictures, `sheet.png`, `report.html` and `result.json`; return what `result.json` holds."""
    from actors.pixels import decode, encode_png
    from actors.reporting.imagine import imagine_page
    from actors.reporting.views import view
    from actors.runs import versions
    from actors.sheet import contact_sheet

    settings = shell.settings
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    views, pixels, labels = [], [], []
    for draw in draws:
        link = ""
        if draw.picture is not None:
            data = artifacts.get(draw.picture.sha256)
            link = f"pictures/draw-{draw.index + 1:02d}.{draw.picture.media_type.removeprefix('image/')}"
            (folder / link).write_bytes(data)
            pixels.append(decode(data))
            labels.append(
                f"#{draw.index + 1}  {draw.reward.value:.2f}" if draw.reward else f"#{draw.index + 1}"
            )
        views.append(view(query, draw, settings.reward, link or None, link))
    if pixels:
        sheet = contact_sheet(pixels, labels, columns=min(4, len(pixels)))
        (folder / "sheet.png").write_bytes(encode_png(sheet))
    best_index = draws.index(chosen) if chosen is not None else None
    used = dict(chosen.reward.versions) if chosen is not None and chosen.reward else versions()
    page = imagine_page(query, views, best_index, profile=settings.profile, versions=used)
    (folder / "report.html").write_text(page, "utf-8")
    result = {
        "query": query.model_dump(),
        "out": str(folder),
        "best": str(folder / views[best_index].link) if best_index is not None else None,
        "admitted": chosen.admitted if chosen else False,
        "draws": [
            {**draw.model_dump(mode="json"), "file": shown.link or None, "causes": list(shown.causes)}
            for draw, shown in zip(draws, views, strict=True)
        ],
    }
    _write_json(folder / "result.json", result)
    return result


def _show(shell: Shell, result: dict[str, Any]) -> None:
    rows: list[list[Cell]] = []
    for draw in result["draws"]:
        reward, scores = draw["reward"], (draw["judgement"] or {}).get("scores", {})
        present = {name: score for name, score in scores.items() if score is not None and name != "total"}
        weakest = min(present, key=lambda name: present[name], default=None)
        rows.append(
            [
                str(draw["index"] + 1),
                ("yes", "green") if reward and reward["admitted"] else "no",
                f"{reward['value']:.3f}" if reward else "-",
                f"{weakest} {present[weakest]:.2f}" if weakest else "-",
                ", ".join(draw["causes"]) or (draw["failure"] or {}).get("message", ""),
            ]
        )
    shell.table("", [">draw", "admitted", ">reward", "weakest dimension", "why not"], rows)
    if result["best"]:
        shell.say(f"report  {result['out']}/report.html")
        shell.say(f"best    {result['best']}")


def _new_folder(shell: Shell) -> Path:
    from actors.runs import Run

    return Run.create(shell.settings, "imagine").path


def _write_json(path: Path, data: Any) -> None:
    import json

    path.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", "utf-8")
