"""Pictures made worse in ways that nobody disputes. Pure."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from actors.pixels import Pixels, decode

_JPEG_QUALITY = 8
_NOISE = 44.0
"""Standard deviation in grey levels."""


def blur(pixels: Pixels, seed: int) -> Pixels:
    """Out of focus by about a sixtieth of the longer side."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), max(pixels.shape[:2]) / 60), np.uint8)


def noise(pixels: Pixels, seed: int) -> Pixels:
    """Strong sensor noise."""
    grain = np.random.default_rng(seed).normal(0.0, _NOISE, pixels.shape)
    return np.asarray(np.clip(pixels + grain, 0, 255), np.uint8)


def blocks(pixels: Pixels, seed: int) -> Pixels:
    """JPEG of a quality at which its blocks show."""
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return decode(bytes(data))


def overexposed(pixels: Pixels, seed: int) -> Pixels:
    """Two and a half times the light: what was bright is lost."""
    return np.asarray(np.clip(pixels.astype(np.float32) * 2.5, 0, 255), np.uint8)


DAMAGES: dict[str, Callable[[Pixels, int], Pixels]] = {
    "blur": blur,
    "noise": noise,
    "blocks": blocks,
    "overexposed": overexposed,
}
"""`damage(pixels [height, width, 3], seed)`, the same pixels for the same seed."""
