"""Queries on file: JSON Lines, one query a line."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from actors.contracts import Query
from actors.errors import BadInput

_FIELDS = {"id", "lang", "query", "aspect", "source", "title", "seed"}


def load(path: Path) -> list[Query]:
    """Read a JSON Lines file of queries: `query` is needed; `id, lang, aspect, title, seed` are optional.

    Raises:
        BadInput: the file is missing, or a line is not acceptable; the message names file and line.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); accepted: a UTF-8 JSON Lines file") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> list[Query]:
    """`load` of a text."""
    queries: list[Query] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            queries.append(_query(line, f"{name}, line {number}"))
    ids = [query.id for query in queries]
    if len(set(ids)) != len(ids):
        twice = sorted({i for i in ids if ids.count(i) > 1})[:3]
        raise BadInput(f"{name}: ids occur twice: {', '.join(twice)}; accepted: one query an id")
    if not queries:
        raise BadInput(f"{name}: no queries; accepted: one JSON object a line with a `query`")
    return queries


def _query(line: str, where: str) -> Query:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}: not JSON ({error}); accepted: one JSON object a line") from None
    if not isinstance(data, dict) or not isinstance(data.get("query"), str):
        raise BadInput(f"{where}: no text field `query`; accepted: an object with `query`")
    if unknown := set(data) - _FIELDS:
        raise BadInput(
            f"{where}: unknown field {sorted(unknown)[0]!r}; accepted: {', '.join(sorted(_FIELDS))}"
        )
    rest = {key: data[key] for key in ("aspect", "title", "seed", "lang", "id") if data.get(key) is not None}
    try:
        return Query.of(data["query"], **rest)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"])).replace("text", "query")
        raise BadInput(f"{where}: {field}: {problem['msg']}") from None
