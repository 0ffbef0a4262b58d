"""Queries that no training has seen: other sentences, other titles, and a quarter of them with strangers."""

from __future__ import annotations

from collections.abc import Set
from importlib.resources import files
from typing import get_args

from actors.contracts import ASPECTS, Lang, Query
from actors.policy import grammar
from actors.vocabulary import read_query
from train_jobs.loop.evaluation_set import EvaluationSet, packaged

VERSION = "unseen-1"
STRANGE = 0.25
"""Share of queries that name a stranger."""
SEED = 20_261
"""Of the queries that published figures are measured on; choices are made on those of other seeds."""


def unseen(count: int, real: int, strangers: Set[str], seed: int = SEED) -> EvaluationSet:
    """`count` queries in sentences of their own, those without strangers first; `real` as packaged.

    Args:
        strangers: subjects that training never names.
    """
    folder = files("train_jobs.loop").joinpath("queries")
    sentences = grammar.read_sentences(folder.joinpath("unseen.yaml").read_text("utf-8"))
    wanted = {True: round(count * STRANGE) if strangers else 0}
    wanted[False] = count - wanted[True]
    found: dict[bool, list[Query]] = {True: [], False: []}
    index = 0
    while any(len(found[strange]) < wanted[strange] for strange in found):
        query = grammar.query(seed, index, list(ASPECTS), get_args(Lang), sentences)
        strange = names_any(query, strangers)
        if len(found[strange]) < wanted[strange]:
            found[strange].append(query)
        index += 1
    return EvaluationSet(
        covers=(*found[False], *found[True]),
        real=packaged(1, real).real,
        learn=packaged(1, 0).learn,
        version=VERSION,
    )


def names_any(query: Query, strangers: Set[str]) -> bool:
    """Whether a query names one of the strangers."""
    return bool(strangers & set(read_query(query).keys("subject")))
