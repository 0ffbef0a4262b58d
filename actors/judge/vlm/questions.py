"""What a vision model is asked about a query, and how its answer is read."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined, Template

from actors.contracts import Dimension, Query
from actors.vocabulary import phrase, read_query

Task = Literal["judge", "compare"]
SCALE = 10.0
_FILES = ("judge.md.j2", "judge.schema.json", "compare.md.j2", "compare.schema.json")


@dataclass(frozen=True)
class Question:
    """Instructions, and the schema of the answer: only what the query names is asked about."""

    text: str
    """Nothing in it comes from the user."""
    schema: dict[str, Any]
    request: dict[str, str]
    """What the user asked for, as material."""


def ask_about(query: Query, task: Task) -> Question:
    """The question for a query."""
    reading = read_query(query)
    schema = copy.deepcopy(_schema(task))
    properties = schema["properties"]
    subjects = reading.keys("subject")
    named = {
        "legibility": reading.title is not None,
        "title_readable": reading.title is not None,
        "subjects_present": bool(subjects),
        "others_present": bool(reading.unknown),
        "palette_matches": bool(reading.keys("palette")),
    }
    for name in (name for name, there in named.items() if not there):
        properties.pop(name, None)
    if "subjects_present" in properties:
        properties["subjects_present"]["properties"] = {key: {"type": "boolean"} for key in subjects}
        properties["subjects_present"]["required"] = list(subjects)
    schema["required"] = list(properties)
    text = _template(task).render(
        title=reading.title is not None,
        subjects=[f"{key} ({phrase('subject', key, 'en')})" for key in subjects],
        others=bool(reading.unknown),
        palette=[phrase("palette", key, "en") for key in reading.keys("palette")],
        fields=list(properties),
    )
    request = {"request": query.text, "frame": query.aspect}
    return Question(text, schema, request | ({"title": reading.title} if reading.title else {}))


def scores_of(answer: Mapping[str, Any]) -> dict[Dimension, float | None]:
    """Scores 0..1 by dimension; None for what was not asked."""
    return {d: answer[d] / SCALE if d.value in answer else None for d in Dimension}


def gates_of(answer: Mapping[str, Any]) -> dict[str, bool]:
    """The named checks of intent that the answer holds."""
    gates = {f"subject:{key}": seen for key, seen in answer.get("subjects_present", {}).items()}
    for field, gate in (
        ("others_present", "subject:others"),
        ("title_readable", "title"),
        ("palette_matches", "palette"),
    ):
        if field in answer:
            gates[gate] = answer[field]
    return gates


def merge_orders(
    forward: Mapping[str, Any], backward: Mapping[str, Any]
) -> tuple[dict[Dimension, float], bool]:
    """Probability 0..1 that the first picture wins, averaged over both orders, and whether the orders agree.

    They agree when both prefer the same picture in total, or both see a tie.
    """
    wins = {
        d: (forward[d] + SCALE - backward[d]) / (2 * SCALE)
        for d in Dimension
        if d in forward and d in backward
    }
    there, back = forward[Dimension.TOTAL] - SCALE / 2, SCALE / 2 - backward[Dimension.TOTAL]
    return wins, (there > 0) == (back > 0) and (there < 0) == (back < 0)


@cache
def digest() -> str:
    """Eight hex digits over the prompts and schemas: another wording is another judge."""
    return hashlib.sha256("".join(map(_file, _FILES)).encode("utf-8")).hexdigest()[:8]


def _file(name: str) -> str:
    return files("actors.judge.vlm").joinpath(name).read_text("utf-8")


@cache
def _schema(task: Task) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(_file(f"{task}.schema.json"))
    return schema


@cache
def _template(task: Task) -> Template:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return environment.from_string(_file(f"{task}.md.j2"))
