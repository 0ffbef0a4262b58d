"""Technical faults of a picture: softness, noise, banding, clipped tones."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from actors.pixels import Pixels

SIDE = 256


@dataclass(frozen=True)
class Craft:
    """Each 0..1; `sharp` higher is better, the faults lower."""

    sharp: float
    """Steepest edges against the whole contrast of the picture."""
    noise: float
    """Median difference from the median-filtered picture, as a fraction of full scale."""
    banding: float
    """Emptiness of the histogram between the darkest and the lightest tone, 1 = two tones only."""
    clipped: float
    """Share of pixels with a channel that is pure white or pure black in all three."""


def craft(pixels: Pixels) -> Craft:
    """Measure technical faults. Pure."""
    gray = cv2.cvtColor(_centre(pixels), cv2.COLOR_RGB2GRAY)
    tones = _counts(gray)
    low, high = int(_quantile(tones, 0.01)), int(_quantile(tones, 0.99))
    contrast = max(12, high - low)
    slope = cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    noise = cv2.absdiff(gray, cv2.medianBlur(gray, 3))
    filled = np.count_nonzero(tones[low : high + 1])
    flat = pixels[::4, ::4].reshape(-1, 3)
    return Craft(
        sharp=min(1.0, _quantile(_counts(slope), 0.995) / contrast),
        noise=_quantile(_counts(noise), 0.5) / 255,
        banding=1 - int(filled) / max(1, high - low + 1),
        clipped=float(((flat.min(1) >= 254) | (flat.max(1) <= 1)).mean()),
    )


def _centre(pixels: Pixels) -> Pixels:
    """The picture brought to at most `SIDE` px: finer grain than that is texture, not fault."""
    scale = SIDE / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _counts(plane: NDArray[np.uint8]) -> NDArray[np.intp]:
    """How many pixels have each of the 256 values."""
    return np.asarray(cv2.calcHist([plane], [0], None, [256], [0, 256]), np.intp).ravel()


def _quantile(counts: NDArray[np.intp], share: float) -> float:
    """Of 8-bit values given by their counts, linear between neighbours as in `numpy.quantile`."""
    place = share * (int(counts.sum()) - 1)
    first, second = np.searchsorted(counts.cumsum(), (int(place), int(np.ceil(place))), side="right").tolist()
    return float(first + (second - first) * (place % 1))
