"""The page of a search of strategies. It speaks of plain members, so that any search can be shown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from markupsafe import Markup

from actors.contracts import Strategy
from actors.reporting.loop import Pair
from actors.reporting.page import render

WIDTH, HEIGHT = 860.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 18.0, 20.0, 34.0
LOOKS = {
    "seed": "line-raw",
    "mutation": "line-expander",
    "crossover": "line-shuffled",
    "merge": "line-suffix",
    "migrant": "line-raw",
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
    front = sorted((m for m in members if m.on_front), key=lambda m: -m.score)
    return render(
        "evolution.html.j2",
        summary=summary,
        looks={origin: LOOKS.get(origin, "line-raw") for origin in origins},
        counts={origin: sum(member.origin == origin for member in members) for origin in origins},
        stopped_early=sum(not member.complete for member in members),
        tree=lineage_chart(members),
        front=[(members.index(member), member, _depth(members, member)) for member in front[:12]],
        islands=len({member.island for member in members}),
        changes=changes(seed, best),
        samples=samples,
    )


def lineage_chart(members: Sequence[Shown]) -> Markup:
    """Every member at its calls and score, joined to its parents; the line is the best score so far."""
    parts = [Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img">').format(WIDTH, HEIGHT)]
    scores = [member.score for member in members]
    low, high = _round_range(min(scores), max(scores))
    most = max(1, max(member.calls for member in members))

    def x(calls: float) -> float:
        return _LEFT + calls / most * (WIDTH - _LEFT - _RIGHT)

    def y(score: float) -> float:
        return _TOP + (high - score) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    for step in range(5):
        value = low + (high - low) * step / 4
        parts.append(
            Markup(
                '<line class="grid" x1="{:g}" x2="{:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
                '<text x="{:g}" y="{label:.1f}" class="tick" text-anchor="end">{:.2f}</text>'
            ).format(_LEFT, WIDTH - _RIGHT, _LEFT - 8, value, y=y(value), label=y(value) + 4)
        )
        parts.append(
            Markup('<text x="{:.1f}" y="{:.1f}" class="tick" text-anchor="middle">{:.0f}</text>').format(
                x(most * step / 4), HEIGHT - 10, most * step / 4
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
    """Line by line what the search made of each text: component -> (`same`, `gone` or `new`, line)."""
    kinds = {" ": "same", "-": "gone", "+": "new"}
    found: dict[str, list[tuple[str, str]]] = {}
    for name, text in best.components.items():
        before = seed.components.get(name, "").splitlines()
        lines = difflib.ndiff(before, text.splitlines())
        found[name] = [(kinds[line[0]], line[2:]) for line in lines if line[0] in kinds]
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


def _depth(members: Sequence[Shown], member: Shown) -> int:
    """Generations from a seed, along the longest way."""
    depths: dict[int, int] = {}
    for place, each in enumerate(members):
        depths[place] = 1 + max((depths.get(parent, 0) for parent in each.parents), default=-1)
    return depths[members.index(member)]


def _round_range(low: float, high: float) -> tuple[float, float]:
    """A range of whole twentieths around scores."""
    bottom, top = int(low * 20) / 20, -int(-high * 20 - 1e-9 - 1) / 20
    return bottom, max(top, bottom + 0.05)
