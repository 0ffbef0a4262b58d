"""What calibration buys on recorded anchors: `python -m benchmarks.calibration ANCHORS.jsonl`. Prints JSON.

Means and standard deviations over `SEEDS` splits, none of them chosen. `half` fits on one half of the
requests and measures the other; `crossed` does it both ways, as the report does. `ece_floor` is the error
that perfectly honest probabilities would show on so many pairs, by chance alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from actors.contracts import Dimension
from actors.judge.calibration.anchors import RecordedAnchor, load_anchors
from actors.judge.calibration.bradley_terry import fit
from actors.judge.calibration.measure import JudgedPair
from actors.judge.calibration.recorded import calibrate_recorded, judges_of, recorded_pairs
from actors.judge.calibration.reliability import bins, error_of, shares_right
from actors.judge.calibration.split import folds_of
from configs.calibration import CalibrationSettings

SEEDS = range(20)


def half(pairs: Sequence[JudgedPair], room: CalibrationSettings, seed: int) -> dict[str, float]:
    """Fit on one half, measure the other."""
    folds = folds_of((pair.group for pair in pairs), 2, seed)
    fitted = [pair for pair in pairs if folds[pair.group] == 0]
    others = [pair for pair in pairs if folds[pair.group] == 1]
    labels = [pair.label for pair in others]
    model = fit([pair.features for pair in fitted], [pair.label for pair in fitted], l2=room.l2)
    after = model.probability([pair.features for pair in others])
    said = np.asarray([pair.said for pair in others])
    honest = (np.random.default_rng(seed).random(len(after)) < after).astype(float)
    return {
        "accuracy_before": float(shares_right(said, labels).mean()),
        "accuracy_after": float(shares_right(after, labels).mean()),
        "ece_before": error_of(bins(said, labels)),
        "ece_after": error_of(bins(after, labels)),
        "ece_floor": error_of(bins(after, honest)),
    }


def crossed(anchors: Sequence[RecordedAnchor], judge: str, seed: int) -> dict[str, float]:
    """The report's own numbers."""
    started = time.perf_counter()
    report = calibrate_recorded(anchors, judge, CalibrationSettings(seed=seed))
    before, after = report.before, report.after
    return {
        "accuracy_before": before.accuracy or 0.0,
        "accuracy_after": after.accuracy or 0.0,
        "ece_before": before.ece or 0.0,
        "ece_after": after.ece or 0.0,
        "confident_half_after": after.confident_half or 0.0,
        "largest_distance_from_half": after.spread or 0.0,
        "told_from_chance": float(report.dimensions[Dimension.TOTAL].distinguishable),
        "gate_passed": float(report.gate.passed),
        "seconds": time.perf_counter() - started,
    }


def summed(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each number."""
    return {
        name: {
            "mean": round(float(np.mean([run[name] for run in runs])), 4),
            "sd": round(float(np.std([run[name] for run in runs])), 4),
        }
        for name in runs[0]
    }


def main() -> None:
    """Command line."""
    anchors = [row for row in load_anchors(Path(sys.argv[1])) if isinstance(row, RecordedAnchor)]
    room = CalibrationSettings()
    found = {}
    for judge in judges_of(anchors):
        pairs = [
            pair
            for pair in recorded_pairs(anchors, judge, room.raw_slope)
            if pair.dimension == Dimension.TOTAL and pair.label != 0.5
        ]
        found[judge] = {
            "pairs": len(pairs),
            "half": summed([half(pairs, room, seed) for seed in SEEDS]),
            "crossed": summed([crossed(anchors, judge, seed) for seed in SEEDS]),
        }
    print(json.dumps({"splits": len(SEEDS), "load": os.getloadavg()[0], "judges": found}, indent=1))


if __name__ == "__main__":
    main()
