"""The curve of a policy's training as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.reporting.charts import smoothed

_SMOOTH = 10
_PANELS = (
    ("earned", ("admission", "reward", "intent")),
    ("entropy, nats a token", ("entropy",)),
    ("KL to the warm start, nats an answer", ("kl",)),
    ("stopped by the clip, share of tokens", ("clipped_high", "clipped_low")),
    ("tokens an answer", ("length",)),
    ("critic's explained variance", ("explained_variance",)),
)


def draw_curves(curve: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of what was earned and of what keeps the training healthy, by step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 3).flat, _PANELS, strict=True):
        for name in names:
            rows = [(row["step"], row[name]) for row in curve if name in row]
            if not rows:  # as of a critic, where there is none
                axes.set_visible(False)
                continue
            steps, values = zip(*rows, strict=True)
            (line,) = axes.plot(steps, values, alpha=0.25)
            axes.plot(steps, smoothed(values, _SMOOTH), color=line.get_color(), label=name.replace("_", " "))
        axes.set(title=title, xlabel="step")
        if title == "earned":
            axes.set(ylim=(0, 1.02))
        if len(names) > 1:
            axes.legend(fontsize=8, loc="best" if title != "earned" else "center right")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def ends(curve: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Means over the first and the last tenth of a training's curve, five steps at least."""
    width = max(5, len(curve) // 10)
    names = ("admission", "reward", "intent", "entropy", "kl", "length", "idle")
    return {
        when: {name: sum(row[name] for row in rows) / len(rows) for name in names}
        for when, rows in (("first", curve[:width]), ("last", curve[-width:]))
    }
