"""The words that queries and prompts use, and how they are found in a text.

Whoever reads a text (policy, generator, judge, reward) reads it with `read`; what they make of the
words is their own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

import yaml

from actors.contracts import Lang, Query

Facet = Literal["subject", "palette", "style", "layout", "season", "time", "mood", "light", "density"]
FACETS: tuple[Facet, ...] = get_args(Facet)

_TITLE = re.compile(
    r"《([^《》]{1,200})》|“([^“”]{1,200})”|「([^「」]{1,200})」|\"([^\"]{1,200})\"|(?<!\w)'([^']{2,200})'(?!\w)"
)
_NEGATION_EN = re.compile(r"\b(?:no|without|not|avoid|never)\s+(?:any\s+|a\s+|an\s+|the\s+)?$", re.IGNORECASE)
_NEGATION_ZH = re.compile(r"(?:不要有|不要|没有|不含|避免|无)$")
_CLAUSE = re.compile(r"[,，;；。\n]|\.(?=\s|$)")
_LATIN_WORD = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'-]*")
_HAN = re.compile(r"[\u3400-\u9fff]+")


@dataclass(frozen=True)
class Mention:
    """One facet word found in a text, at `text[start:end]`."""

    facet: Facet
    key: str
    start: int
    end: int
    negated: bool = False


@dataclass(frozen=True)
class Reading:
    """What a text says: its facet words in order, its title, and the words nobody knows."""

    text: str
    mentions: tuple[Mention, ...]
    title: str | None
    unknown: tuple[str, ...]
    clauses: tuple[str, ...]

    def keys(self, facet: Facet, *, negated: bool = False) -> tuple[str, ...]:
        """The distinct keys of a facet, in order of first mention."""
        found = (m.key for m in self.mentions if m.facet == facet and m.negated == negated)
        return tuple(dict.fromkeys(found))

    def first(self, facet: Facet) -> str | None:
        """The first key of a facet, or None."""
        keys = self.keys(facet)
        return keys[0] if keys else None


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load(files("actors").joinpath("vocabulary.yaml").read_text("utf-8"))
    return table


def keys(facet: Facet) -> tuple[str, ...]:
    """All keys of a facet, in the vocabulary's order."""
    return tuple(_table()[facet])


@cache
def kinds() -> dict[str, str]:
    """What each subject is by its nature: sky, water, plant, ..."""
    return {subject: kind for kind, subjects in _table()["kind"].items() for subject in subjects}


def phrase(facet: Facet, key: str, lang: Lang) -> str:
    """The canonical words for a key.

    Raises:
        KeyError: the facet has no such key.
    """
    words: str = _table()[facet][key][lang][0]
    return words


def phrases(facet: Facet, key: str, lang: Lang) -> tuple[str, ...]:
    """Every way to say a key."""
    return tuple(_table()[facet][key][lang])


@cache
def _english() -> tuple[re.Pattern[str], dict[str, tuple[Facet, str]]]:
    lookup: dict[str, tuple[Facet, str]] = {}
    for facet in FACETS:
        for key, words in _table()[facet].items():
            for alias in words["en"]:
                lookup.setdefault(_fold(alias), (facet, key))
    longest_first = sorted(lookup, key=len, reverse=True)
    body = "|".join(re.escape(alias).replace(r"\ ", r"[\s-]+") for alias in longest_first)
    return re.compile(rf"(?<![A-Za-z])({body})(?:'s|es|s)?(?![A-Za-z])", re.IGNORECASE), lookup


@cache
def _chinese() -> tuple[re.Pattern[str], dict[str, tuple[Facet, str] | None]]:
    lookup: dict[str, tuple[Facet, str] | None] = dict.fromkeys(_table()["decoy"]["zh"])
    for facet in FACETS:
        for key, words in _table()[facet].items():
            for alias in words["zh"]:
                lookup.setdefault(alias, (facet, key))
    return re.compile("|".join(sorted(map(re.escape, lookup), key=len, reverse=True))), lookup


def _fold(alias: str) -> str:
    return re.sub(r"[\s-]+", " ", alias.lower())


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


@cache
def _stop(lang: Lang) -> tuple[str, ...]:
    return tuple(sorted(_table()["stop"][lang], key=len, reverse=True))


def _unknown_words(rest: str) -> tuple[str, ...]:
    stop = set(_stop("en"))
    words = [word for word in _LATIN_WORD.findall(rest) if word.lower() not in stop]
    for run in _HAN.findall(rest):
        for filler in _stop("zh"):
            run = run.replace(filler, " ")
        words.extend(part[i : i + 2] for part in run.split() for i in range(0, len(part), 2))
    return tuple(words)


def _english_mentions(text: str) -> Iterator[Mention]:
    pattern, lookup = _english()
    for found in pattern.finditer(text):
        facet, key = lookup[_fold(found[1])]
        yield Mention(facet, key, *found.span(), bool(_NEGATION_EN.search(text[: found.start()])))


def _chinese_mentions(text: str) -> Iterator[Mention]:
    pattern, lookup = _chinese()
    for found in pattern.finditer(text):
        if word := lookup[found[0]]:
            yield Mention(*word, *found.span(), bool(_NEGATION_ZH.search(text[: found.start()])))


@lru_cache(maxsize=8192)
def read(text: str) -> Reading:
    """Find the facet words, the quoted title and the unknown words of a text, Chinese or English.

    Pure. Words inside a quoted title are the title's, never facets.
    """
    title = None
    rest = text
    for found in _TITLE.finditer(text):
        title = title or next(group for group in found.groups() if group).strip()
        rest = _blank(rest, *found.span())
    parts = (" ".join(part.split()) for part in _CLAUSE.split(rest))
    clauses = tuple(part for part in parts if part.strip(" .!?！？、:："))
    if title:
        clauses += (title,)
    mentions = [*_english_mentions(rest), *_chinese_mentions(rest)]
    for mention in mentions:
        rest = _blank(rest, mention.start, mention.end)
    mentions.sort(key=lambda mention: mention.start)
    return Reading(text, tuple(mentions), title, _unknown_words(rest), clauses)


def read_query(query: Query) -> Reading:
    """`read` of a query's text, with the title given apart taking precedence over a quoted one."""
    reading = read(query.text)
    if query.title is None or query.title == reading.title:
        return reading
    return Reading(reading.text, reading.mentions, query.title, reading.unknown, reading.clauses)
