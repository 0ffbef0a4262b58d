"""The anchors file: JSON Lines of pairs with human labels, or of a judge's recorded scores."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from actors.contracts import Aspect, CleanText, Contract, Dimension, Query, UnitFloat
from actors.errors import BadInput

FORMS = (
    "one JSON object a line: a pair {id, query, a, b, labels}, "
    "or recorded scores {task, uid, model, human, judges}"
)


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(
            f"path {path!r} leads out of the file's folder; accepted: a path relative to the file"
        )
    return path


class AnchorQuery(Contract):
    """What the two pictures were asked to be."""

    text: CleanText
    aspect: Aspect = "1:1"
    title: CleanText | None = None

    def query(self) -> Query:
        """As the rooms speak of it."""
        return Query.of(self.text, aspect=self.aspect, title=self.title)


class PairAnchor(Contract):
    """Two pictures of one query, and which one people prefer."""

    id: str
    group: str = ""
    """The request; pairs of one group stay together. Default: the pair's own id."""
    query: AnchorQuery
    a: Annotated[str, AfterValidator(_inside)]
    """Path of the picture, relative to the file."""
    b: Annotated[str, AfterValidator(_inside)]
    labels: dict[Dimension, UnitFloat] = Field(min_length=1)
    """Probability that a wins, by people; 0.5 is a tie."""
    raters: tuple[dict[Dimension, UnitFloat], ...] = ()
    """Each rater's own labels, always in the same order of raters."""


Points = Annotated[float, Field(ge=0.0, le=10.0)]


class SubScores(Contract):
    """One judge's answer about one picture, 0..10."""

    SC: tuple[Points, ...] = Field(min_length=1)
    """Semantic consistency."""
    PQ: tuple[Points, ...] = Field(min_length=1)
    """Perceptual quality."""


class RecordedAnchor(Contract):
    """One picture that judges have scored before, and what people said of it."""

    task: str
    uid: str
    """Pictures of one (task, uid) answer the same request."""
    model: str
    human: tuple[tuple[UnitFloat, UnitFloat], ...] = Field(min_length=1)
    """Each rater's [SC, PQ]."""
    judges: dict[str, SubScores | None]
    """Null where the answer could not be read; absent where the judge was not asked."""


Anchors = list[PairAnchor] | list[RecordedAnchor]
Anchor = TypeVar("Anchor", bound=Contract)


def load_anchors(path: Path) -> Anchors:
    """Read an anchors file; its first line tells which of the two forms it has.

    Raises:
        BadInput: the file cannot be read, or a line is not acceptable; the message names the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); accepted: a UTF-8 JSON Lines file") from None
    rows = [
        (f"{path}, line {n}", _object(line, f"{path}, line {n}"))
        for n, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not rows:
        raise BadInput(f"{path}: no anchors; accepted: {FORMS}")
    if "judges" in rows[0][1]:
        return [_of(RecordedAnchor, row, where) for where, row in rows]
    pairs = [_of(PairAnchor, row, where) for where, row in rows]
    seen: set[str] = set()
    for (where, _), pair in zip(rows, pairs, strict=True):
        if pair.id in seen:
            raise BadInput(f"{where}: id {pair.id!r} occurs twice; accepted: one pair an id")
        seen.add(pair.id)
    return pairs


def _object(line: str, where: str) -> dict[str, object]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: not JSON ({error}); accepted: {FORMS}") from None
    if not isinstance(data, dict):
        raise BadInput(f"{where}: {type(data).__name__}, not an object; accepted: {FORMS}")
    return data


def _of(model: type[Anchor], row: dict[str, object], where: str) -> Anchor:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise BadInput(f"{where}: {field}: {message}; accepted: {FORMS}") from None
