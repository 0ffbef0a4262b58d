"""A seed strategy from what the PromptBank remembers: the value that did best in each situation. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actors.context import context_of
from actors.contracts import Memory, Query, Strategy
from actors.policy.rules import parse_rules
from actors.vocabulary import Facet, read, read_query
from train_jobs.gepa.edits import FRAMED, RULES, Conditions, Seen, shown_by, situation_of, with_rule, write
from train_jobs.gepa.studio import OPEN

TRIALS, GOOD = 2, 0.75
"""Memories that a value must have in a situation, and the mean score of its dimension there."""


def seed_from(memories: Sequence[Memory], start: Strategy) -> Strategy | None:
    """A strategy with a rule for each situation in which some value is known to do well.

    Args:
        memories: of any queries.
        start: its other texts are taken over, and its rules where the memories say nothing.

    Returns:
        None where the memories say nothing.
    """
    cells: dict[tuple[Conditions, Facet], dict[str, list[float]]] = {}
    for memory in memories:
        query = Query.of(memory.query, aspect=memory.aspect, lang=memory.lang)
        asked, written = read_query(query), read(memory.prompt)
        situation = situation_of(context_of(query))
        for facet in OPEN:
            values = written.keys(facet)
            if len(values) != 1 or asked.keys(facet):
                continue
            seen = Seen(situation, {facet: values[0]}, (facet,), memory.scores, memory.reward)
            score = shown_by(facet, seen)
            if score is not None:
                for conditions in _cells(situation, facet):
                    cells.setdefault((conditions, facet), {}).setdefault(values[0], []).append(score)
    rules = list(parse_rules(start.components.get(RULES, "")))
    found = False
    for (conditions, facet), tried in sorted(cells.items(), key=repr):
        means = {value: sum(s) / len(s) for value, s in tried.items() if len(s) >= TRIALS}
        best = max(means, key=lambda value: means[value], default=None)
        if best is not None and means[best] >= GOOD:
            rules, found = with_rule(rules, conditions, facet, best), True
    return Strategy.of({**start.components, RULES: write(rules)}) if found else None


def _cells(situation: dict[str, Any], facet: Facet) -> Iterable[Conditions]:
    """The conditions that a facet's choice hangs on in a situation."""
    if facet in FRAMED:
        title = ("title" if situation["titled"] else "no title", frozenset[str]())
        count = ("subjects", frozenset({str(len(situation["subjects"]))}))
        yield (title, ("shape", frozenset({situation["shape"]})), count)
        return
    for name in ("mood", "time", "season"):
        if situation[name]:
            yield ((name, frozenset({situation[name]})),)
            return
    for subject in situation["subjects"]:
        yield (("subject", frozenset({subject})),)
