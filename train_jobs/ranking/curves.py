"""The curve of a training run as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.reporting.charts import smoothed

_SMOOTH = 5


def draw_curves(curve: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG: loss, accuracy in training by dimension, accuracy on the validation pairs by dimension."""
    from matplotlib.figure import Figure

    rows = [row for row in curve if "loss" in row]
    watched = [row for row in curve if "validation" in row]
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    loss, training, validation = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]
    loss.plot(epochs, [row["loss"] for row in rows], alpha=0.25, color="tab:blue")
    loss.plot(epochs, smoothed([row["loss"] for row in rows], _SMOOTH), color="tab:blue")
    loss.set(title="loss", xlabel="epoch", ylim=(0, None))
    for name in _names(rows, "accuracies"):
        seen = [(row["epoch"], row["accuracies"][name]) for row in rows if name in row["accuracies"]]
        training.plot([x for x, _ in seen], smoothed([y for _, y in seen], 4 * _SMOOTH), **_look(name))
    training.set(title="pair accuracy, training", xlabel="epoch", ylim=(0.45, 1.0))
    for name in _names(watched, "validation"):
        seen = [(row["epoch"], row["validation"][name]) for row in watched if name in row["validation"]]
        validation.plot([x for x, _ in seen], [y for _, y in seen], marker=".", **_look(name))
    validation.set(title="pair accuracy, validation", xlabel="epoch", ylim=(0.45, 1.0))
    figure.legend(*validation.get_legend_handles_labels(), fontsize=8, loc="outside right center")
    for axes in (loss, training, validation):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def _names(rows: Sequence[Mapping[str, Any]], field: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[field] if name != "mean"))


def _look(name: str) -> dict[str, Any]:
    return {"label": name.replace("_", " "), "linewidth": 2.2 if name == "total" else 1.0}
