"""JSON Lines in the published sample form: one object a pair, pictures beside it.

    {"prompt": ..., "image_winner_path": ..., "image_loser_path": ...,
     "scores": {dimension: {"winner": ..., "loser": ...}}, "atelier": {...}}

Winner and loser are the pictures that win and lose in total (a draw goes to `a`), and `scores` holds these
two pictures' scores, so that a dimension in which the loser is better shows. `atelier` is the whole record.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

from actors.contracts import Dimension, PairRecord
from actors.errors import BadInput
from actors.pairs.dataset import Sample, record_of, sample_of
from actors.pairs.folder import Folder

FILE = "pairs.jsonl"
SUFFIX = ".jsonl"
MAX_LINE_BYTES = 4 * 1024 * 1024


def to_line(record: PairRecord) -> dict[str, Any]:
    """The published form of a pair."""
    first = record.labels.get(Dimension.TOTAL, 0.5) >= 0.5
    winner, loser = (record.a, record.b) if first else (record.b, record.a)
    return {
        "prompt": record.query.text,
        "image_winner_path": winner.path,
        "image_loser_path": loser.path,
        "scores": {
            dimension.value: _seen_from(first, record.labels[dimension], scores)
            for dimension, scores in record.scores.items()
            if dimension in record.labels and len(scores) == 2
        },
        "atelier": record.model_dump(mode="json"),
    }


def of_line(line: dict[str, Any]) -> PairRecord:
    """The pair that a published form holds.

    Raises:
        BadInput: it holds none, or its published fields say something else than the record.
    """
    if not isinstance(line.get("atelier"), dict):
        raise BadInput(
            "there is no object `atelier`; accepted: lines that `dataset export --form jsonl` wrote"
        )
    record = record_of(line["atelier"])
    published = {**to_line(record), "atelier": line["atelier"]}
    if differing := sorted(name for name, value in published.items() if line.get(name) != value):
        raise BadInput(f"{differing[0]} is not what `atelier` says; change both, or neither")
    return record


def write(samples: Iterable[Sample], folder: Folder) -> None:
    """Write `pairs.jsonl` and the pictures that it names."""
    with folder.writing(FILE) as file:
        for sample in samples:
            copy_pictures(sample, folder)
            file.write(line_of(to_line(sample.record)))


def read(folder: Folder, name: str, pictures: Folder) -> Iterator[Sample]:
    """The pairs of one file, with pictures out of `pictures`.

    Raises:
        BadInput: a line is wrong, or a picture; the message names the line.
    """
    for where, line in objects(folder, name):
        try:
            yield sample_of(of_line(line), pictures)
        except BadInput as error:
            raise BadInput(f"{where}: {error}") from None


def copy_pictures(sample: Sample, folder: Folder) -> None:
    """Put both pictures where the record says they are."""
    folder.write(sample.record.a.path, sample.a)
    folder.write(sample.record.b.path, sample.b)


def line_of(value: Any) -> bytes:
    """A value as one line of UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def objects(folder: Folder, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, object) of every line that is not blank.

    Raises:
        BadInput: a line is too long, or no JSON object.
    """
    with folder.opened(name) as file:
        for number, line in enumerate(_lines(file), start=1):
            where = f"{name}, line {number}"
            if len(line) > MAX_LINE_BYTES:
                raise BadInput(f"{where} has more than {MAX_LINE_BYTES} bytes; accepted: at most that")
            if line.strip():
                yield where, parse_object(line, where)


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """A JSON object out of a file.

    Raises:
        BadInput: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} is no JSON ({error}); accepted: one object") from None
    if not isinstance(value, dict):
        raise BadInput(f"{where} is no JSON object; accepted: one object")
    return value


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line


def _seen_from(first: bool, label: float, scores: dict[Any, float]) -> dict[str, float]:
    """Scores of the total's winner and loser; the record has them by who wins this dimension."""
    same = first == (label >= 0.5)
    winner, loser = ("winner", "loser") if same else ("loser", "winner")
    return {"winner": scores[winner], "loser": scores[loser]}
