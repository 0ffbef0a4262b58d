"""Reflection without a language model: rewrites a strategy's rules by what was measured. Pure.

Each example tells which dimension was weak, which facet shows in it, what was written there, and what the
situation was. An edit gives that facet the value that promises most in that situation, by all that the run
has measured in situations like it: a bandit with an upper confidence bound (Auer et al. 2002) for each.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.context import Context
from actors.contracts import derive_seed
from actors.policy.rules import Rule, parse_rules
from actors.vocabulary import FACETS, Facet, keys, phrase
from train_jobs.gepa.candidate import Candidate, key_of

RULES = "rules"
EDITS = 0.375
"""Situations that one proposal changes for each example that it saw; more would hide what helped."""
PRIOR, PRIOR_WEIGHT = 0.55, 1.0
"""Score that a value is expected to have before it was tried, and how many trials that is worth."""
CURIOSITY = 0.3
"""Width of the confidence bound after one trial."""
CLEAR = 0.03
"""By how much a value must promise more than the one that is written now."""
FINER = 0.2
"""Share of edits that are for one frame and one tone together."""
SHOWS: dict[str, tuple[Facet, ...]] = {
    "composition": ("layout", "layout", "density"),
    "color": ("palette",),
    "lighting": ("light",),
    "style_fit": ("style",),
    "legibility": ("layout", "palette", "light"),
    "technical": ("density", "style"),
}
"""Facets that show in a dimension; named twice = twice as likely."""
FRAMED: tuple[Facet, ...] = ("layout", "density")
"""Facets that hang on the frame; the others hang on the tone."""
RANKS = ("title", "no title", "shape", "subjects", "mood", "time", "season", "subject")
"""Conditions from strong to weak: rules of stronger ones stand above."""

Values = dict[Facet, str]
Conditions = tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True)
class Seen:
    """What an example showed."""

    situation: Mapping[str, Any]
    """`shape`, `titled`, `subjects`, `mood`, `time`, `season`."""
    written: Mapping[str, str]
    """Value of each facet in the prompt."""
    open: Sequence[str]
    """Facets that the query leaves to the strategy."""
    scores: Mapping[str, float]
    """By dimension."""
    worth: float
    """The example's score, 0..1."""


def situation_of(context: Context) -> dict[str, Any]:
    """A query's situation as JSON can hold it."""
    return {
        "shape": context.shape,
        "titled": context.titled,
        "subjects": list(context.subjects),
        "mood": context.mood,
        "time": context.time,
        "season": context.season,
    }


def edit(candidate: Candidate, rows: Sequence[Seen], history: Sequence[Seen], seed: int) -> dict[str, str]:
    """New rules. The same arguments give the same answer.

    Args:
        rows: what the minibatch showed.
        history: what other examples of the run showed, with this candidate or another.
        seed: of the choices.
    """
    rng = random.Random(derive_seed(seed, key_of(candidate), *(repr(row) for row in rows)))
    rules = list(parse_rules(candidate.get(RULES, "")))
    weak = sorted((row for row in rows if row.worth < 1.0), key=lambda row: row.worth + 0.3 * rng.random())
    done: set[tuple[Conditions, Facet]] = set()
    most = math.ceil(EDITS * len(rows))
    for row in weak:
        if len(done) == most:
            break
        facet = _facet(row, rng)
        if facet is None:
            continue
        conditions = situation_conditions(row.situation, facet, rng)
        value = _value(facet, row, (*history, *rows), rng)
        if value is None or (conditions, facet) in done:
            continue
        done.add((conditions, facet))
        rules = with_rule(rules, conditions, facet, value)
    return {RULES: write(rules)} if done else {}


def join(first: str, second: str) -> str:
    """Rules of two texts: what only one of them says, then what both say; the first one's come first."""
    mine, other = parse_rules(first), parse_rules(second)
    own = [rule for rule in mine if rule not in other]
    theirs = [rule for rule in other if rule not in mine]
    both = [rule for rule in mine if rule in other]
    merged: dict[Conditions, Values] = {}
    for rule in (*own, *theirs, *both):
        for facet, value in rule.values:
            merged.setdefault(rule.conditions, {}).setdefault(facet, value)
    joined: list[Rule] = []
    for conditions, values in reversed(merged.items()):  # each goes above those as strong as it
        for facet, value in values.items():
            joined = with_rule(joined, conditions, facet, value)
    return write(joined)


def with_rule(rules: Sequence[Rule], conditions: Conditions, facet: Facet, value: str) -> list[Rule]:
    """The rules with a value for a facet under conditions, in place of what they said there."""
    changed = list(rules)
    for place, rule in enumerate(changed):
        if rule.conditions == conditions:
            values = {**dict(reversed(rule.values)), facet: value}  # of two values the first one decides
            changed[place] = Rule(conditions, tuple((f, values[f]) for f in FACETS if f in values))
            return changed
    place = next((i for i, rule in enumerate(changed) if _rank(rule) >= _rank_of(conditions)), len(changed))
    changed.insert(place, Rule(conditions, ((facet, value),)))
    return changed


def write(rules: Sequence[Rule]) -> str:
    """The text that `parse_rules` reads."""
    return "".join(f"{_head(rule)}: {', '.join(_clauses(rule))}\n" for rule in rules)


def _facet(row: Seen, rng: random.Random) -> Facet | None:
    """A facet that shows in a weak dimension and is the strategy's to choose."""
    open_now = {dimension: [f for f in facets if f in row.open] for dimension, facets in SHOWS.items()}
    weak = [name for name, facets in open_now.items() if facets and row.scores.get(name, 1.0) < 1.0]
    if not weak:
        choices = [facet for facets in open_now.values() for facet in facets]
        return rng.choice(choices) if choices else None
    weights = [(1.02 - row.scores[name]) ** 2 for name in weak]
    return rng.choice(open_now[rng.choices(weak, weights)[0]])


def situation_conditions(situation: Mapping[str, Any], facet: Facet, rng: random.Random) -> Conditions:
    """Conditions under which a facet gets a value of its own: frame or tone, now and then both."""
    frame = _frame(situation, rng)
    tone = _tone(situation, rng)
    chosen = frame if facet in FRAMED else tone
    return (*frame, *tone) if rng.random() < FINER else chosen


def _frame(situation: Mapping[str, Any], rng: random.Random) -> Conditions:
    """The frame, with its title and its number of subjects or without."""
    parts: list[tuple[str, frozenset[str]]] = [("shape", frozenset({situation["shape"]}))]
    titled = ("title" if situation["titled"] else "no title", frozenset[str]())
    count = ("subjects", frozenset({str(len(situation["subjects"]))}))
    return tuple([titled, *parts, count] if rng.random() < 0.7 else [titled, *parts])


def _tone(situation: Mapping[str, Any], rng: random.Random) -> Conditions:
    """The mood, else time or season, else a subject; nothing where there is none."""
    for name in ("mood", "time", "season"):
        if situation[name]:
            return ((name, frozenset({situation[name]})),)
    subjects = sorted(situation["subjects"])
    return (("subject", frozenset({rng.choice(subjects)})),) if subjects else ()


def _value(facet: Facet, row: Seen, known: Sequence[Seen], rng: random.Random) -> str | None:
    """The value that promises more than the one written now; None where none does."""
    tried: dict[str, list[float]] = {}
    for other in known:
        value = other.written.get(facet)
        if value is not None and _alike(facet, row.situation, other.situation):
            score = shown_by(facet, other)
            if score is not None:
                tried.setdefault(value, []).append(score)
    now = row.written.get(facet)
    promise = {value: _promise(tried.get(value, [])) + 0.02 * rng.random() for value in keys(facet)}
    best = max(promise, key=lambda value: promise[value])
    if best == now or (now in tried and promise[best] < _mean(tried[now]) + CLEAR):
        return None
    return best


def _promise(scores: Sequence[float]) -> float:
    """Upper confidence bound of a value's mean score."""
    weight = len(scores) + PRIOR_WEIGHT
    return (sum(scores) + PRIOR * PRIOR_WEIGHT) / weight + CURIOSITY / math.sqrt(weight)


def _mean(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)


def shown_by(facet: Facet, seen: Seen) -> float | None:
    """Mean score of the dimensions in which a facet shows first of all."""
    scores = [
        seen.scores[name] for name, facets in SHOWS.items() if facets[0] == facet and name in seen.scores
    ]
    return _mean(scores) if scores else seen.worth


def _alike(facet: Facet, mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a facet's choice hangs on the same thing in two situations."""
    if facet in FRAMED:
        count = min(len(mine["subjects"]), 2) == min(len(other["subjects"]), 2)
        return count and all(mine[name] == other[name] for name in ("shape", "titled"))
    for name in ("mood", "time", "season"):
        if mine[name] or other[name]:
            return bool(mine[name] == other[name])
    return bool(set(mine["subjects"]) & set(other["subjects"]))


def _rank(rule: Rule) -> int:
    return _rank_of(rule.conditions)


def _rank_of(conditions: Conditions) -> int:
    """Where a rule stands: those of several conditions first, then by the strongest; `always` last."""
    if not conditions:
        return 2 * len(RANKS)
    strongest = min(RANKS.index(name) for name, _ in conditions)
    return strongest if len(conditions) > 1 else len(RANKS) + strongest


def _head(rule: Rule) -> str:
    if not rule.conditions:
        return "always"
    parts = [f"{name}={'|'.join(sorted(values))}" if values else name for name, values in rule.conditions]
    return f"when {' and '.join(parts)}"


def _clauses(rule: Rule) -> list[str]:
    return [phrase(facet, value, "en") for facet, value in rule.values]
