"""The language of a strategy's `rules`: `when <condition> and <condition>: <clauses>`, one a line.

    when title: negative space
    when mood=calm|dreamy and shape=wide: pastel colours, soft light
    always: balanced details

Conditions: `title`, `no title`, `subjects=N`, `shape|mood|time|season|subject=<one>|<other>`. For each facet
the first rule that applies and names it decides, so specific rules stand above general ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from actors.context import Context
from actors.errors import BadInput
from actors.vocabulary import FACETS, Facet, read

_CHOICES = ("shape", "mood", "time", "season", "subject", "subjects")


@dataclass(frozen=True)
class Rule:
    """Conditions that must all hold, and the facet values that then apply."""

    conditions: tuple[tuple[str, frozenset[str]], ...]
    values: tuple[tuple[Facet, str], ...]

    def applies(self, context: Context) -> bool:
        """Whether every condition holds."""
        return all(_holds(name, accepted, context) for name, accepted in self.conditions)


@lru_cache(maxsize=512)
def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parse the rules of a strategy; blank lines and `#` comments are skipped.

    Raises:
        BadInput: a line is no rule; the message quotes it.
    """
    lines = (line.strip() for line in text.splitlines())
    return tuple(_parse(line) for line in lines if line and not line.startswith("#"))


def decide(rules: tuple[Rule, ...], context: Context) -> dict[Facet, str]:
    """The facet values that the rules give for a context."""
    decided: dict[Facet, str] = {}
    for rule in rules:
        if rule.applies(context):
            for facet, key in rule.values:
                decided.setdefault(facet, key)
    return decided


def clause_values(text: str) -> tuple[tuple[Facet, str], ...]:
    """The facet values that clauses name, in order."""
    reading = read(text) if text.strip() else None
    return tuple((facet, key) for facet in FACETS for key in reading.keys(facet)) if reading else ()


def _parse(line: str) -> Rule:
    found = re.fullmatch(r"(?:when\s+(?P<conditions>.+?)|always)\s*:\s*(?P<clauses>.+)", line)
    values = clause_values(found["clauses"]) if found else ()
    if not found or not values:
        raise BadInput(
            f"rule {line!r} is not understood; "
            "accepted: 'when <conditions>: <clauses>' or 'always: <clauses>'"
        )
    parts = re.split(r"\s+and\s+", found["conditions"]) if found["conditions"] else []
    return Rule(tuple(_condition(part.strip(), line) for part in parts), values)


def _condition(text: str, line: str) -> tuple[str, frozenset[str]]:
    if text in ("title", "no title"):
        return text, frozenset()
    name, equals, values = text.partition("=")
    if not equals or name not in _CHOICES:
        accepted = "title, no title, " + ", ".join(f"{choice}=..." for choice in _CHOICES)
        raise BadInput(f"condition {text!r} in rule {line!r} is not known; accepted: {accepted}")
    return name, frozenset(value.strip() for value in values.split("|"))


def _holds(name: str, accepted: frozenset[str], context: Context) -> bool:
    if name == "title":
        return context.titled
    if name == "no title":
        return not context.titled
    if name == "subjects":
        return str(len(context.subjects)) in accepted
    if name == "subject":
        return bool(accepted & set(context.subjects))
    return getattr(context, name) in accepted
