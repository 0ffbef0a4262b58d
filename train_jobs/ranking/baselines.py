"""What a scorer has to beat: chance, sharpness alone, and the judge's sub-scores. Pure.

Each gives differences in total, a less b: a pair above zero is said to be won by a.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from actors.contracts import Dimension, PairRecord
from actors.errors import BadInput
from actors.pixels import Pixels


def random_baseline(n: int, seed: int) -> NDArray[np.float64]:
    """Differences of `n` pairs by chance, [n]."""
    return np.random.default_rng(seed).standard_normal(n)


def laplacian_variance(pixels: Pixels) -> float:
    """Sharpness of a picture, uint8 [H, W, 3] RGB: variance of the Laplacian of its grey, 0 and up.

    The difference of two pictures is the baseline's: it knows damage from none and nothing of taste.

    Raises:
        BadInput: not such an array.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise BadInput(f"an array of shape {pixels.shape}, {pixels.dtype}; accepted: uint8 [H, W, 3], RGB")
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def judge_features(record: PairRecord) -> float | None:
    """Mean difference of the judge's scores over the dimensions but the total; None where there is none.

    Scores are stored by winner and loser, so a dimension whose label is a tie though its scores differ says
    nothing: whose score is whose is not known.
    """
    found = [
        difference
        for name in record.labels
        if name != Dimension.TOTAL and (difference := _difference(record, name)) is not None
    ]
    return float(np.mean(found)) if found else None


def _difference(record: PairRecord, name: Dimension) -> float | None:
    scores, label = record.scores.get(name, {}), record.labels[name]
    if "winner" not in scores or "loser" not in scores:
        return None
    gap = scores["winner"] - scores["loser"]
    if gap == 0 or label == 0.5:
        return 0.0 if gap == 0 else None
    return gap if label > 0.5 else -gap
