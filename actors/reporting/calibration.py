"""The page of a judge's calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from actors.judge.calibration.reliability import Bin
from actors.judge.calibration.report import CalibrationReport
from actors.reporting.page import render

WIDTH, HEIGHT = 620.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 36.0, 22.0, 40.0
_LARGEST = 15.0
"""Radius of a bin that holds every pair."""
LOOKS = {"before": "line-raw", "after": "line-expander_bank"}
"""CSS class of each series."""


def calibration_page(report: CalibrationReport, *, profile: str) -> str:
    """HTML of a calibration report, in both languages."""
    return render(
        "calibration.html.j2",
        report=report,
        profile=profile,
        looks=LOOKS,
        chart=reliability_chart({"before": report.before.bins, "after": report.after.bins}),
    )


def reliability_chart(series: dict[str, Sequence[Bin]]) -> Markup:
    """Confidence (50 to 100%) against the share that was right, one disc a bin by its share of pairs."""
    parts = [Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img">').format(WIDTH, HEIGHT)]
    parts += [_gridline(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    parts += [
        Markup('<text x="{:.1f}" y="{:.1f}" class="tick" text-anchor="middle">{:.0f}%</text>').format(
            _x(tick), HEIGHT - 14, 100 * tick
        )
        for tick in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ]
    parts.append(
        Markup('<line class="marker" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
            _x(0.5), _y(0.5), _x(1.0), _y(1.0)
        )
    )
    parts += [_points(key, found) for key, found in series.items()]
    return Markup("").join([*parts, Markup("</svg>")])


def _points(key: str, found: Sequence[Bin]) -> Markup:
    total = max(1, sum(each.n for each in found))
    path = " ".join(f"{_x(each.confidence):.1f},{_y(each.accuracy):.1f}" for each in found)
    discs = [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill="currentColor" fill-opacity=".75"/>').format(
            _x(each.confidence), _y(each.accuracy), 2.5 + _LARGEST * math.sqrt(each.n / total)
        )
        for each in found
    ]
    line = Markup('<polyline class="line {}" style="stroke-width:1.5;opacity:.5" points="{}"/>').format(
        LOOKS[key], path
    )
    return Markup('{}<g class="{}">{}</g>').format(line, LOOKS[key], Markup("").join(discs))


def _gridline(share: float) -> Markup:
    return Markup(
        '<line class="grid" x1="{:g}" x2="{:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text x="{:g}" y="{label:.1f}" class="tick" text-anchor="end">{:.0f}%</text>'
    ).format(_LEFT, WIDTH - _RIGHT, _LEFT - 8, 100 * share, y=_y(share), label=_y(share) + 4)


def _x(confidence: float) -> float:
    return _LEFT + (confidence - 0.5) * 2 * (WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)
