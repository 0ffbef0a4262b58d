"""Noise that is the same picture at every size. Made once a process and size."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
"""[h, w], 128 is neutral."""

_CELLS: Final = 1024
"""Finest grain: cells along the short side."""


@lru_cache(maxsize=64)
def noise(h: int, w: int, cells: int, seed: int) -> Plane:
    """Smooth noise with about `cells` bumps along the short side, standard deviation about 40."""
    unit = min(h, w)
    rows, columns = max(2, round(cells * h / unit)), max(2, round(cells * w / unit))
    field = np.random.default_rng(seed).normal(0.0, 1.0, (rows, columns)).astype(np.float32)
    way = cv2.INTER_AREA if rows > h else cv2.INTER_CUBIC
    field = cv2.resize(field, (w, h), interpolation=way)
    field *= 40.0 / max(1e-6, float(field.std()))
    return np.clip(field + 128, 0, 255).astype(np.uint8)


@lru_cache(maxsize=32)
def cloudy(h: int, w: int, cells: int, seed: int) -> Plane:
    """Noise of several scales, from `cells` bumps upwards."""
    total = np.zeros((h, w), np.float32)
    for octave in range(4):
        total += (noise(h, w, cells << octave, seed + octave).astype(np.float32) - 128) * 0.55**octave
    total *= 42.0 / max(1e-6, float(total.std()))
    return np.clip(total + 128, 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def paper(h: int, w: int) -> Plane:
    """The tooth of paper: fine fibres with a little cloud."""
    fine = noise(h, w, 420, 11).astype(np.float32)
    long = noise(h, w, 150, 12).astype(np.float32)
    return np.clip(0.55 * fine + 0.45 * long, 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def wobble(h: int, w: int, strength: float, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Fixed-point maps for `cv2.remap` that shake every edge by about `strength` of the short side."""
    px = strength * min(h, w) / 40
    shift = []
    for k in (0, 1):
        broad = noise(h, w, 26, seed + 10 * k).astype(np.float32) - 128
        fine = noise(h, w, 90, seed + 10 * k + 5).astype(np.float32) - 128
        shift.append((broad + 0.5 * fine) * px)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    coarse, part = cv2.convertMaps(x + shift[0], y + shift[1], cv2.CV_16SC2)
    return coarse, part


@lru_cache(maxsize=16)
def vignette(h: int, w: int) -> Plane:
    """255 in the middle, about 90 in the corners."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    r2 = ((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) * 2
    return np.clip(275 - 190 * r2, 0, 255).astype(np.uint8)


@lru_cache(maxsize=16)
def halftone(h: int, w: int) -> Plane:
    """A screen of dots at 45 degrees: threshold values 0..255."""
    unit = min(h, w) / 86
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / unit
    a, b = (x + y) * np.pi / 2**0.5, (x - y) * np.pi / 2**0.5
    return np.clip(127.5 + 127.5 * np.sin(a) * np.sin(b), 0, 255).astype(np.uint8)
