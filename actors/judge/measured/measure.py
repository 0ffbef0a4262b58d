"""The pure core: pixels, what was recognised in them and the query -> a judgement by dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from actors.contracts import Dimension, Judgement, Query
from actors.judge.measured.brief import Brief, Wanted
from actors.judge.measured.craft import Craft, craft
from actors.judge.measured.recogniser import Recognition
from actors.judge.measured.title import TitleFound, find_title
from actors.judge.measured.tone import Tone, tone
from actors.pixels import Pixels
from actors.vocabulary import Reading, read_query

TITLE_BAR = 0.57
"""Likeness at which a title counts as readable."""
UNKNOWN_WORDS = 2
"""Words outside the vocabulary that a query may hold beside a known subject or a title: adjectives, places.
More of them, or any without either, ask for what this judge cannot see, so it does not admit."""
SEASON_SHARE = 0.35
"""Weight of a named season in `style_fit`; its marks are small."""
TIME_SHARE = 0.6
"""Weight of a named time of day in `lighting`."""


@dataclass(frozen=True)
class Evidence:
    """All that was measured in a picture, before the query's wishes are applied."""

    seen: Recognition
    tone: Tone
    craft: Craft
    title: TitleFound | None
    """None when the query has no title."""


def measure(
    pixels: Pixels, query: Query, seen: Recognition, brief: Brief, weights: Mapping[str, float], version: str
) -> Judgement:
    """Judge one picture. Pure."""
    reading = read_query(query)
    wanted = brief.wanted(reading, query.aspect)
    title = find_title(pixels, reading.title) if reading.title else None
    evidence = Evidence(seen, tone(pixels), craft(pixels), title)
    gates = _gates(evidence, reading)
    scores: dict[Dimension, float | None] = {
        Dimension.COMPOSITION: _belief(seen.chance("layout", wanted.layouts)),
        Dimension.COLOR: _color(evidence, wanted),
        Dimension.LIGHTING: _lighting(evidence, wanted),
        Dimension.STYLE_FIT: _style(evidence, wanted),
        Dimension.INTENT_MATCH: min(gates.values(), default=None),
        Dimension.LEGIBILITY: None if title is None else _legibility(title),
        Dimension.TECHNICAL: _technical(evidence),
    }
    scores[Dimension.TOTAL] = _total(scores, weights)
    return Judgement(
        scores=scores,
        confidence=_confidence(evidence, gates),
        rationale=_rationale(scores, wanted),
        gates={name: value >= 0.5 for name, value in gates.items()},
        judge_version=version,
    )


def _ramp(value: float, half: float, width: float) -> float:
    """Logistic: 0.5 at `half`, 0.88 one `width` above it."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, 2 * (value - half) / width))))


def _belief(chance: float) -> float:
    """A recognised probability as a score: 0.05 for surely not, 0.97 for surely."""
    chance = min(1 - 1e-4, max(1e-4, chance))
    return 0.05 + 0.92 * _ramp(math.log(chance / (1 - chance)), 0.0, 1.6)


def _gates(evidence: Evidence, reading: Reading) -> dict[str, float]:
    """Evidence 0..1 for each element of intent that the query names; 0.5 is the threshold."""
    subjects = evidence.seen.subjects
    negated = reading.keys("subject", negated=True)
    gates = {f"subject:{key}": subjects[key] for key in reading.keys("subject")}
    gates |= {f"absent:{key}": 1 - subjects[key] for key in negated if key not in reading.keys("subject")}
    if evidence.title is not None:
        gates["title"] = _ramp(evidence.title.match, TITLE_BAR, 0.05)
    if len(reading.unknown) > (UNKNOWN_WORDS if reading.keys("subject") or reading.title else 0):
        gates["subject:unknown"] = 0.0
    if palettes := reading.keys("palette"):
        gates["palette"] = evidence.seen.chance("palette", frozenset(palettes))
    return gates


def _color(evidence: Evidence, wanted: Wanted) -> float:
    muddy = evidence.seen.facets["palette"]["muddy"]
    return _belief(evidence.seen.chance("palette", wanted.palettes)) * (1 - 0.3 * muddy)


def _lighting(evidence: Evidence, wanted: Wanted) -> float:
    score = _belief(evidence.seen.chance("light", wanted.lights))
    if wanted.times:
        score *= _belief(evidence.seen.chance("time", wanted.times)) ** TIME_SHARE
    veiled = _ramp(evidence.tone.spread, 5.0, 4.0)
    return score * veiled * (1 - _ramp(evidence.tone.blown, 0.75, 0.1))


def _style(evidence: Evidence, wanted: Wanted) -> float:
    score = _belief(evidence.seen.chance("style", wanted.styles))
    if wanted.seasons:
        score *= _belief(evidence.seen.chance("season", wanted.seasons)) ** SEASON_SHARE
    return score


def _legibility(title: TitleFound) -> float:
    """Readable, in contrast, large enough and on quiet ground: the weakest decides most."""
    parts = (
        _ramp(title.match, TITLE_BAR, 0.05),
        _ramp(title.contrast, 0.3, 0.1),
        _ramp(title.size, 0.03, 0.01),
        0.4 + 0.6 * title.quiet,
    )
    return 0.97 * float(min(parts) ** 0.7 * math.prod(parts) ** 0.075)


def _technical(evidence: Evidence) -> float:
    """Soft, noisy, banded or clipped pictures lose; a clean one has about 0.95."""
    made = evidence.craft
    sound = _ramp(made.sharp, 0.12, 0.06)
    sound *= 1 - _ramp(made.noise, 0.035, 0.01)
    sound *= 1 - _ramp(made.banding, 0.96, 0.02)
    return 0.97 * sound * (1 - _ramp(made.clipped, 0.6, 0.15))


def _total(scores: Mapping[Dimension, float | None], weights: Mapping[str, float]) -> float:
    present = [(weights.get(name, 0.0), score) for name, score in scores.items() if score is not None]
    whole = sum(weight for weight, _ in present)
    if not whole:
        return 0.0
    return math.exp(sum(weight * math.log(max(score, 1e-6)) for weight, score in present) / whole)


def _confidence(evidence: Evidence, gates: Mapping[str, float]) -> float:
    """How decided the recogniser is: the mean of its strongest beliefs, and of the gates."""
    beliefs = [max(evidence.seen.facets[facet].values()) for facet in ("layout", "palette", "light", "style")]
    beliefs += [abs(2 * value - 1) for value in gates.values()]
    return min(1.0, max(0.0, sum(beliefs) / len(beliefs)))


def _rationale(scores: Mapping[Dimension, float | None], wanted: Wanted) -> str:
    """One sentence that names the weakest dimension and what the house wanted there."""
    present = {name: score for name, score in scores.items() if score is not None and name != Dimension.TOTAL}
    weakest = min(present, key=lambda name: present[name])
    asked = {
        Dimension.COMPOSITION: ("layout", wanted.layouts),
        Dimension.COLOR: ("palette", wanted.palettes),
        Dimension.LIGHTING: ("light", wanted.lights),
        Dimension.STYLE_FIT: ("style", wanted.styles),
    }
    reason = f"weakest: {weakest} {present[weakest]:.2f}"
    if weakest in asked:
        facet, accepted = asked[weakest]
        reason += f"; {facet} wanted: {', '.join(sorted(accepted))}"
    return reason
