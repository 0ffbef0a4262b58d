"""The page of a search of strategies. It speaks of plain members, so that any search can be shown."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

from markupsafe import Markup

from actors.contracts import Strategy
from actors.errors import BadInput
from actors.policy.rules import parse_rules
from actors.reporting.loop import Pair
from actors.reporting.page import render

WIDTH, HEIGHT = 860.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 18.0, 20.0, 34.0
LOOKS = {
    "seed": "line-raw",
    "mutation": "line-expander",
    "crossover": "line-shuffled",
    "merge": "line-suffix",
    "migrant": "line-migrant",
}
"""CSS class of each way in which a member came to be."""


class Shown(Protocol):
    """A member of a search."""

    @property
    def parents(self) -> tuple[int, ...]: ...

    @property
    def origin(self) -> str: ...

    @property
    def island(self) -> int: ...

    @property
    def score(self) -> float: ...

    @property
    def complete(self) -> bool: ...

    @property
    def on_front(self) -> bool: ...

    @property
    def calls(self) -> int: ...


def evolution_page(
    summary: Mapping[str, Any],
    members: Sequence[Shown],
    seed: Strategy,
    best: Strategy,
    samples: Sequence[Pair] = (),
) -> str:
    """HTML of a search, in both languages.

    Args:
        summary: `summary.json` of the run: `search`, `seed`, `best`, `gain`.
        members: candidates of all islands; parents are places in the list.
        seed: the strategy that the search began with.
        best: the one that it ended with.
        samples: draws of the same queries and seeds with either.
    """
    origins = list(dict.fromkeys(member.origin for member in members))
    top = max((i for i, m in enumerate(members) if m.complete), key=lambda i: members[i].score, default=None)
    front = (i for i, m in enumerate(members) if m.on_front and i != top)
    places = [i for i in (top,) if i is not None] + sorted(front, key=lambda i: -members[i].score)
    depths = _depths(members)
    return render(
        "evolution.html.j2",
        summary=summary,
        looks={origin: LOOKS.get(origin, "line-raw") for origin in origins},
        counts={origin: sum(member.origin == origin for member in members) for origin in origins},
        stopped_early=sum(not member.complete for member in members),
        tree=lineage_chart(members),
        front=[(place, members[place], depths[place]) for place in places[:12]],
        islands=len({member.island for member in members}),
        changes=changes(seed, best),
        samples=samples,
    )


def lineage_chart(members: Sequence[Shown]) -> Markup:
    """Every member at its calls and score, joined to its parents; the line is the best score so far."""
    parts = [Markup('<svg class="chart lineage" viewBox="0 0 {:g} {:g}" role="img">').format(WIDTH, HEIGHT)]
    scores = [member.score for member in members]
    ticks = _round_ticks(min(scores), max(scores), 0.01)
    low, high = ticks[0], ticks[-1]
    most = max(1, max(member.calls for member in members))

    def x(calls: float) -> float:
        return _LEFT + calls / most * (WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _TOP + (high - score) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    for value in ticks:
        parts.append(
            Markup(
                '<line class="grid" x1="{:g}" x2="{:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text x="{:g}" y="{label:.1f}" class="tick" text-anchor="end">{:.2f}</text>'
            ).format(_LEFT, WIDTH - _RIGHT, _LEFT - 8, value, y=y(value), label=y(value) + 4)
        )
    for calls in _round_ticks(0, most, 1):
        if calls <= most:
            anchor = "end" if x(calls) > WIDTH - 2 * _RIGHT else "middle"
            parts.append(
                Markup('<text x="{:.1f}" y="{:.1f}" class="tick" text-anchor="{}">{:.0f}</text>').format(
                    x(calls), HEIGHT - 10, anchor, calls
                )
            )
    for member in members:
        for parent in member.parents:
            parts.append(
                Markup(
                    '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}" stroke="currentColor" '
                    'stroke-width="1" stroke-opacity=".28"/>'
                ).format(
                    x(members[parent].calls),
                    y(members[parent].score),
                    x(member.calls),
                    y(member.score),
                    LOOKS.get(member.origin, "line-raw"),
                )
            )
    parts.append(_best_line(members, x, y))
    for place, member in enumerate(members):
        parts.append(
            Markup(
                '<circle cx="{:.1f}" cy="{:.1f}" r="{:g}" class="{}" fill="{}" stroke="currentColor" '
                'stroke-width="1.5" fill-opacity=".85"><title>{} · {:.3f}</title></circle>'
            ).format(
                x(member.calls),
                y(member.score),
                4.5 if member.on_front else 2.5,
                LOOKS.get(member.origin, "line-raw"),
                "currentColor" if member.complete else "none",
                place,
                member.score,
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def changes(seed: Strategy, best: Strategy) -> dict[str, list[tuple[str, str]]]:
    """Line by line what the search made of each text: component -> (`same`, `gone` or `new`, line).

    A rule that only names the same things in another order is the same.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for name, text in best.components.items():
        before, after = seed.components.get(name, "").splitlines(), text.splitlines()
        meaning: Callable[[str], Hashable] = _meaning if name == "rules" else str
        match = difflib.SequenceMatcher(
            a=[meaning(line) for line in before], b=[meaning(line) for line in after], autojunk=False
        )
        lines: list[tuple[str, str]] = []
        for kind, a, b, c, d in match.get_opcodes():
            if kind == "equal":
                lines += [("same", line) for line in after[c:d]]
            else:
                lines += [("gone", line) for line in before[a:b]] + [("new", line) for line in after[c:d]]
        found[name] = lines
    return {name: lines for name, lines in found.items() if any(kind != "same" for kind, _ in lines)}


def _best_line(members: Sequence[Shown], x: Any, y: Any) -> Markup:
    points: list[str] = []
    best = None
    for member in sorted((m for m in members if m.complete), key=lambda m: m.calls):
        if best is None or member.score > best:
            if best is not None:
                points.append(f"{x(member.calls):.1f},{y(best):.1f}")
            best = member.score
            points.append(f"{x(member.calls):.1f},{y(best):.1f}")
    if best is not None:
        points.append(f"{x(max(m.calls for m in members)):.1f},{y(best):.1f}")
    return Markup('<polyline class="line line-expander_bank" points="{}"/>').format(" ".join(points))


def _depths(members: Sequence[Shown]) -> list[int]:
    """Generations of each member from a seed, along the longest way."""
    depths = [0] * len(members)
    settled = False
    while not settled:  # more than once where a child was admitted before its parent
        settled = True
        for place, member in enumerate(members):
            depth = 1 + max((depths[parent] for parent in member.parents), default=-1)
            settled = settled and depth == depths[place]
            depths[place] = depth
    return depths


def _meaning(line: str) -> Hashable:
    """What a rule says; a line that is none says its words."""
    try:
        return parse_rules(line) or line
    except BadInput:
        return line


def _round_ticks(low: float, high: float, least: float) -> list[float]:
    """Round numbers, at least two and `least` apart, from not above `low` to not below `high`."""
    rough = max((high - low) / 6, least)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]
