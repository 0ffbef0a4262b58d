"""`atelier dataset verify | export | import`: pair datasets and the forms that other programs take."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cluster.console import Shell, command

app = typer.Typer()
datasets = typer.Typer(help="Check, export and import datasets of judged pairs.", no_args_is_help=True)
app.add_typer(datasets, name="dataset")


@datasets.callback()
def _group() -> None:
    """Check, export and import datasets of judged pairs."""


@command(datasets)
def verify(
    shell: Shell,
    dataset: Annotated[str, typer.Argument(help="Folder or URI of a pair dataset.")],
) -> None:
    """Check the hash of every shard and picture, and every record; exit code 1 when something is wrong."""
    from actors.pairs.verify import verify_pairs

    with shell.progress() as progress:
        found = verify_pairs(dataset, progress)
    told = vars(found)
    shell.result({"dataset": dataset, "sound": found.sound, **told})
    counts = [[name, str(told[name])] for name in ("shards", "pairs", "pictures", "bytes")]
    for name, counter in (
        ("kind", found.kinds),
        ("labelled by", found.labelled_by),
        ("label of", found.dimensions),
    ):
        counts += [[f"{name} {key}", str(count)] for key, count in sorted(counter.items())]
    shell.table("", ["", ">count"], counts)
    for problem in found.problems:
        shell.say(f"problem: {problem}")
    if more := found.problem_count - len(found.problems):
        shell.say(f"and {more} more problems")
    shell.say("sound" if found.sound else f"{found.problem_count} problems")
    if not found.sound:
        raise typer.Exit(1)


@command(datasets)
def export(
    shell: Shell,
    dataset: Annotated[str, typer.Argument(help="Folder or URI of a pair dataset.")],
    form: Annotated[str, typer.Option(help="jsonl, parquet, webdataset or sharegpt.")],
    out: Annotated[str, typer.Option(help="New or empty folder, or its URI.")],
    both_orders: Annotated[
        bool, typer.Option("--both-orders", help="sharegpt: each pair twice, pictures swapped.")
    ] = False,
) -> None:
    """Write a pair dataset in a form that other programs read."""
    from actors.pairs.forms import export_pairs

    with shell.progress() as progress:
        pairs = export_pairs(dataset, form, out, progress, both_orders=both_orders)
    shell.result({"out": out, "form": form, "pairs": pairs})
    shell.say(f"{pairs} pairs")
    shell.say(out)


@command(datasets, "import")
def import_(
    shell: Shell,
    path: Annotated[str, typer.Argument(help="An export's folder or file, or a published label file.")],
    form: Annotated[
        str, typer.Option(help="jsonl, parquet, webdataset, sharegpt; human labels: imagereward, hpdv2.")
    ],
    out: Annotated[str, typer.Option(help="The dataset: a new or empty folder, or its URI.")],
    pictures: Annotated[
        str | None, typer.Option(help="Folder that picture paths start from; default: where the file is.")
    ] = None,
) -> None:
    """Make a pair dataset of an export, or of published human labels and their pictures."""
    from actors.errors import BadInput
    from actors.pairs.forms import FORMS, import_pairs
    from actors.pairs.human import SOURCES, import_labels

    if form not in FORMS and form not in SOURCES:
        raise BadInput(f"--form {form!r} is not known; accepted: {', '.join([*FORMS, *SOURCES])}")
    with shell.progress() as progress:
        if form in FORMS:
            pairs = import_pairs(path, form, out, progress, pictures=pictures)
            shell.result({"out": out, "form": form, "pairs": pairs})
        else:
            if pictures is None:
                raise BadInput(
                    f"--form {form} needs --pictures: the folder that its picture paths start from"
                )
            imported = import_labels(path, form, pictures, out, progress)
            pairs = imported.pairs
            shell.result({"out": out, "form": form, **dataclasses.asdict(imported)})
            for reason, count in imported.rejected.items():
                shell.say(f"left out: {count} x {reason}, e.g. {imported.examples[reason]}")
    shell.say(f"{pairs} pairs")
    shell.say(out)
