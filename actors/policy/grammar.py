"""Queries and prompts made in mass by a template grammar. Pure: the same numbers give the same text."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

import yaml

from actors.contracts import Lang, Query, derive_seed
from actors.policy.expander import write
from actors.vocabulary import Facet, keys, phrases, read_query

T = TypeVar("T")
Sentences = Mapping[str, Any]
"""By language: the forms of a query with subjects, with subjects and a title, with a title alone; the words
that titles are made of; and what joins the parts."""

ASKED: dict[Facet, float] = {"style": 0.45, "palette": 0.35, "mood": 0.35, "season": 0.25, "time": 0.25}
"""How often a query names a value of the facet."""
SUBJECTS = (0.06, 0.6, 0.34)
"""Shares of queries with no, one and two subjects."""
TITLED = 0.35
"""Share of queries with a title. A query without a subject always has one."""
PINNED: tuple[Facet, ...] = ("style", "palette", "layout", "light", "density")
"""What a prompt of the grammar pins down where the query leaves it open."""


def turn(values: Sequence[T], index: int, *name: object) -> T:
    """The value that a stratified stream has at an index: every block of `len(values)` holds each once."""
    block, place = divmod(index, len(values))
    order = random.Random(derive_seed(*name, block)).sample(range(len(values)), len(values))
    return values[order[place]]


def share(shares: Mapping[str, float], dice: random.Random) -> str:
    """One of the names, as often as its share."""
    return dice.choices(list(shares), list(shares.values()))[0]


def query(
    seed: int, index: int, aspects: Sequence[str], langs: Sequence[Lang], sentences: Sentences | None = None
) -> Query:
    """The query of an index: stratified over subject, style, palette, aspect and language.

    Args:
        sentences: None = those of `grammar.yaml`.
    """
    sentences = sentences or _shipped()
    dice = random.Random(derive_seed(seed, "query", index))
    lang = turn(langs, index, seed, "lang")
    count = dice.choices((0, 1, 2), SUBJECTS)[0]
    subjects = [turn(keys("subject"), index, seed, "subject", n) for n in range(count)]
    extras = [
        dice.choice(phrases(facet, turn(keys(facet), index, seed, facet), lang))
        for facet, often in ASKED.items()
        if dice.random() < often
    ]
    dice.shuffle(extras)
    rules = sentences[lang]
    title = _title(lang, rules, dice) if not count or dice.random() < TITLED else None
    text = _text(lang, rules, dict.fromkeys(subjects), extras, title, dice)
    aspect = turn(aspects, index, seed, "aspect")
    return Query.of(text, aspect=aspect, title=title, seed=derive_seed(seed, "query seed", index), lang=lang)


def prompt(asked: Query, seed: int, index: int) -> str:
    """A prompt for a query that pins what the query leaves open, at random and stratified."""
    named = read_query(asked)
    values = {
        facet: turn(keys(facet), index, seed, "pinned", facet) for facet in PINNED if not named.keys(facet)
    }
    return write(asked, values)


def read_sentences(text: str) -> Sentences:
    """The sentences of a YAML file like `grammar.yaml`."""
    sentences: Sentences = yaml.safe_load(text)
    return sentences


def _text(
    lang: Lang,
    rules: Mapping[str, Any],
    subjects: Mapping[str, None],
    extras: Sequence[str],
    title: str | None,
    dice: random.Random,
) -> str:
    what = rules["both"].join(dice.choice(phrases("subject", key, lang)) for key in subjects)
    forms = rules["forms"] if title is None else rules["titled"] if what else rules["bare"]
    text = dice.choice(forms).format(what=what, extras=rules["join"].join(extras), title=title)
    comma: str = rules["join"]
    return comma.join(part for part in map(str.strip, text.split(comma.strip())) if part)


def _title(lang: Lang, rules: Mapping[str, Any], dice: random.Random) -> str:
    return (" " if lang == "en" else "").join(dice.choice(part) for part in rules["titles"])


@lru_cache(maxsize=1)
def _shipped() -> Sentences:
    return read_sentences(files("actors.policy").joinpath("grammar.yaml").read_text("utf-8"))
