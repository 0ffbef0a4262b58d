"""The forms of a pair dataset that other programs take, and the way back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from actors.datasets import Dataset
from actors.errors import BadInput
from actors.pairs import jsonl, parquet, sharegpt, webdataset
from actors.pairs.dataset import Sample, read_samples, write_pairs
from actors.pairs.folder import FileMissing, Folder
from actors.pairs.jsonl import line_of, parse_object

MARKER = ".export.json"
"""Written last, hidden from readers that take every file of a folder: without it an export is unfinished."""
Progress = Callable[[str, int, int], None]
"""`progress(stage, done, total)`."""


@dataclass(frozen=True)
class Form:
    """One form: how it is written to a folder, and how one of its files is read."""

    suffix: str
    write: Callable[[Iterable[Sample], Folder], None]
    read: Callable[[Folder, str, Folder], Iterator[Sample]]
    """`read(folder, name, pictures)`; a form that holds its pictures itself ignores the last."""


FORMS = {
    "jsonl": Form(jsonl.SUFFIX, jsonl.write, jsonl.read),
    "parquet": Form(parquet.SUFFIX, parquet.write, parquet.read),
    "webdataset": Form(webdataset.SUFFIX, webdataset.write, webdataset.read),
    "sharegpt": Form(sharegpt.SUFFIX, sharegpt.write, sharegpt.read),
}


def export_pairs(dataset: str, form: str, out: str, progress: Progress, *, both_orders: bool = False) -> int:
    """Write a dataset in a form to a new folder and return the number of pairs; memory stays flat.

    Args:
        dataset: URI of a pair dataset.
        form: one of `FORMS`.
        out: URI of a folder that is new or empty.
        progress: called with `(stage, done, total)`.
        both_orders: of `sharegpt`: each pair twice, its pictures the other way round.

    Raises:
        BadInput: the form is not known, `out` is in use, or there is no dataset.
        DatasetCorrupt: a shard or a picture is not what the manifest or its record says.
        StageFailed: the storage refused it.
    """
    chosen = form_named(form)
    if both_orders and form != "sharegpt":
        raise BadInput(f"both orders are asked for in the form {form!r}; accepted: sharegpt")
    total, folder = len(Dataset(dataset)), Folder(out)
    folder.refuse_used("an export")
    write = functools.partial(sharegpt.write, both_orders=True) if both_orders else chosen.write
    write(counted(read_samples(dataset), "exporting pairs", total, progress), folder)
    folder.write(MARKER, line_of({"form": form, "pairs": total}))
    return total


def import_pairs(path: str, form: str, out: str, progress: Progress, *, pictures: str | None = None) -> int:
    """Write an export back as a new dataset of the very same records and return the number of pairs.

    Args:
        path: URI of an export's folder, which must be whole, or of one of its files, taken as it is.
        form: one of `FORMS`.
        out: URI of the dataset, new or empty.
        progress: called with `(stage, done, total)`.
        pictures: URI of the folder that picture paths are relative to; default: where the file is.

    Raises:
        BadInput: something is not as the form wants it; nothing is left at `out`.
        StageFailed: the storage refused it.
    """
    chosen, source = form_named(form), Folder(path)
    if source.is_folder:
        total, names = _marked(source, form), source.names(chosen.suffix)
    else:
        source, name = source.parent()
        total, names = 0, [name]
        if not source.has(name):
            raise FileMissing(
                f"there is nothing at {path}; accepted: an export's folder, or one of its files"
            )
    beside = Folder(pictures) if pictures else source
    samples = (sample for name in names for sample in chosen.read(source, name, beside))
    flow = counted(samples, "importing pairs", total, progress)
    return write_pairs(out, _whole(flow, total, path), {"imported_from": form})


def form_named(form: str) -> Form:
    """A form by its name.

    Raises:
        BadInput: there is none of this name.
    """
    if form not in FORMS:
        raise BadInput(f"the form {form!r} is not known; accepted: {', '.join(FORMS)}")
    return FORMS[form]


def counted(samples: Iterable[Sample], stage: str, total: int, progress: Progress) -> Iterator[Sample]:
    """The samples, with progress; a total of 0 means that it is not known."""
    progress(stage, 0, total)
    for done, sample in enumerate(samples, start=1):
        yield sample
        progress(stage, done, total or done)


def _marked(folder: Folder, form: str) -> int:
    """How many pairs the export holds."""
    try:
        marker = parse_object(folder.read(MARKER), MARKER)
    except FileMissing:
        raise BadInput(
            f"{folder.uri} is no finished export: it has no {MARKER}; export again, or name one of its files"
        ) from None
    if marker.get("form") != form:
        raise BadInput(
            f"{folder.uri} has the form {marker.get('form')!r}, not {form!r}; name that with --form"
        )
    pairs = marker.get("pairs")
    if not isinstance(pairs, int):
        raise BadInput(f"{folder.uri}/{MARKER} says pairs: {pairs!r}; accepted: a whole number")
    return pairs


def _whole(samples: Iterable[Sample], total: int, path: str) -> Iterator[Sample]:
    done = 0
    for sample in samples:
        done += 1
        yield sample
    if total and done != total:
        raise BadInput(f"{path} holds {done} pairs, its export wrote {total}; copy or export it again")
