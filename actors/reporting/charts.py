"""Charts as inline SVG that follow the page's colours, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 860.0, 340.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 18.0, 22.0, 34.0


def share_curves(
    xs: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    marker: float | None = None,
    end: float = 1.0,
) -> Markup:
    """Lines of shares (0..1) over `xs`, one a key; the class `line-<key>` gives its colour.

    Args:
        xs: 0..`end`.
        marker: where a vertical line stands.
        end: right end of the axis.
    """
    parts = [Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img">').format(WIDTH, HEIGHT)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_gridline(tick))
        parts.append(
            Markup('<text x="{:.1f}" y="{:.1f}" class="tick" text-anchor="{}">{}</text>').format(
                _x(tick), HEIGHT - 12, "end" if tick == 1 and end > 1 else "middle", _number(tick * end)
            )
        )
    if marker is not None:
        parts.append(
            Markup('<line class="marker" x1="{0:.1f}" x2="{0:.1f}" y1="{1:g}" y2="{2:g}"/>').format(
                _x(marker / end), _TOP, HEIGHT - _BOTTOM
            )
        )
    for key, ys in curves.items():
        points = " ".join(f"{_x(x / end):.1f},{_y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        parts.append(Markup('<polyline class="line line-{}" points="{}"/>').format(key, points))
    return Markup("").join([*parts, Markup("</svg>")])


def smoothed(values: Sequence[float], width: int = 10) -> list[float]:
    """Means over the last `width` values."""
    windows = (values[max(0, i - width + 1) : i + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _gridline(share: float) -> Markup:
    return Markup(
        '<line class="grid" x1="{:g}" x2="{:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<text x="{:g}" y="{label:.1f}" class="tick" text-anchor="end">{:.0f}%</text>'
    ).format(_LEFT, WIDTH - _RIGHT, _LEFT - 8, 100 * share, y=_y(share), label=_y(share) + 4)


def _number(value: float) -> str:
    return f"{value:g}" if value < 1000 else f"{value:,.0f}"


def _x(value: float) -> float:
    return _LEFT + value * (WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)
