"""The frozen evaluation set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from actors.contracts import Query, content_id
from actors.queries import load, parse

VERSION = "covers-1"


@dataclass(frozen=True)
class EvaluationSet:
    """Queries to measure on, and other queries that may be learnt from."""

    covers: tuple[Query, ...]
    real: tuple[Query, ...]
    learn: tuple[Query, ...]
    version: str


def packaged(covers: int, real: int) -> EvaluationSet:
    """The set shipped with Atelier: which queries are measured is fixed by their ids alone.

    `learn` never overlaps with what is measured.
    """
    folder = files("train_jobs.loop").joinpath("queries")
    all_covers = _shuffled(parse(folder.joinpath("covers.jsonl").read_text("utf-8"), "covers.jsonl"))
    all_real = _shuffled(parse(folder.joinpath("real.jsonl").read_text("utf-8"), "real.jsonl"))
    held_out = len(all_covers) // 2
    return EvaluationSet(
        covers=tuple(all_covers[: min(covers, held_out)]),
        real=tuple(all_real[:real]),
        learn=tuple(all_covers[held_out:]),
        version=VERSION,
    )


def of_file(path: Path) -> EvaluationSet:
    """A set made of a user's file: every query is measured, the packaged ones are learnt from."""
    return EvaluationSet(
        covers=tuple(load(path)),
        real=(),
        learn=packaged(1, 0).learn,
        version=content_id(path.read_text("utf-8")),
    )


def _shuffled(queries: Iterable[Query]) -> list[Query]:
    return sorted(queries, key=lambda query: content_id(VERSION, query.id))
