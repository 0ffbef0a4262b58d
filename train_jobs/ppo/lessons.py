"""What winners teach: for each query, the values that its prompt pinned down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from actors.contracts import DistillRecord, Query
from actors.errors import BadInput
from actors.policy.tiny.tokens import OPEN, WRITTEN
from actors.vocabulary import Facet, read, read_query


@dataclass(frozen=True)
class Lesson:
    """A query and what to pin down for it."""

    query: Query
    values: dict[Facet, str]


WINNERS = "distill/records.jsonl"
"""What a search leaves in its run's folder."""


def lesson_of(record: DistillRecord) -> Lesson:
    """What a winner's prompt says that its query does not."""
    asked, written = read_query(record.query), read(record.prompt.text)
    found = {facet: written.keys(facet) for facet in WRITTEN if not asked.keys(facet)}
    if found.get("time") == ():
        found["time"] = (OPEN,)
    return Lesson(record.query, {facet: values[0] for facet, values in found.items() if len(values) == 1})


def read_records(path: Path) -> list[DistillRecord]:
    """What a search's winners, and the lessons of a loop's practice, have said.

    Args:
        path: a run of `evolve` or `loop`, or a file of records, a JSON line each.

    Raises:
        BadInput: a file cannot be read, a line is no record, or there is none.
    """
    records = [record for file in _files(path) for record in _read(file)]
    if not records:
        raise BadInput(f"{path} holds no record: a policy cannot be warmed up with nothing; run evolve first")
    return records


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    lessons = sorted(path.glob("practice/lessons-*.jsonl"))
    search = path / "search" if (path / "search" / WINNERS).exists() else path
    return [search / WINNERS, *lessons]


def _read(path: Path) -> list[DistillRecord]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); accepted: the {WINNERS} of `atelier evolve`"
        ) from None
    records: list[DistillRecord] = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(DistillRecord.model_validate_json(line))
        except ValidationError as error:
            problem = " ".join(str(error).split())
            raise BadInput(f"{path}, line {number}: no DistillRecord ({problem})") from None
    return records


def distinct(lessons: Sequence[Lesson]) -> list[Lesson]:
    """One of each query and answer: a winner drawn twice is no more right than one drawn once."""
    return list({(each.query.id, *sorted(each.values.items())): each for each in lessons}.values())
