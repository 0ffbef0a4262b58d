"""Light and colour of a picture, measured after a blur so that texture cannot buy contrast."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from actors.pixels import Pixels

COPY_SIDE = 96
BLUR = 0.02
"""Standard deviation of the blur, as a fraction of the longer side."""
HUES = 24


@dataclass(frozen=True)
class Tone:
    """Statistics of the blurred picture in CIE Lab: lightness and chroma 0..100, the rest 0..1."""

    mean: float
    spread: float
    """Between the 5th and the 95th percentile of lightness."""
    blown: float
    """Share of the picture lighter than L = 98 in the unblurred copy."""
    crushed: float
    """Share of the picture darker than L = 2 in the unblurred copy."""
    chroma: float
    hues: float
    """Spread of the coloured hues: 0 = one family, 1 = all around the circle."""


def tone(pixels: Pixels) -> Tone:
    """Measure light and colour. Pure."""
    copy = _small(pixels)
    sharp = cv2.cvtColor(copy, cv2.COLOR_RGB2Lab)
    lab = cv2.GaussianBlur(sharp, (0, 0), BLUR * max(copy.shape))
    low, high = np.percentile(lab[..., 0], (5, 95))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    return Tone(
        mean=float(lab[..., 0].mean()),
        spread=float(high - low),
        blown=float((sharp[..., 0] > 98).mean()),
        crushed=float((sharp[..., 0] < 2).mean()),
        chroma=float(chroma.mean()),
        hues=_hue_spread(lab, chroma),
    )


def _small(pixels: Pixels) -> NDArray[np.float32]:
    scale = min(1.0, COPY_SIDE / max(pixels.shape[:2]))
    size = tuple(max(8, round(side * scale)) for side in pixels.shape[1::-1])
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)


def _hue_spread(lab: NDArray[np.float32], chroma: NDArray[np.float32]) -> float:
    """Entropy of the hue histogram weighted by chroma, 0..1; 0 for a grey picture."""
    angle = np.arctan2(lab[..., 2], lab[..., 1])
    weight = np.where(chroma > 8, chroma, 0)
    if weight.sum() < 1:
        return 0.0
    share, _ = np.histogram(angle, HUES, (-np.pi, np.pi), weights=weight)
    share = share / share.sum()
    return float(-(share * np.log(share + 1e-9)).sum() / np.log(HUES))
