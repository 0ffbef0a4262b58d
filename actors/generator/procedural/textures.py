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


def _plane(values: NDArray[np.float32]) -> Plane:
    plane: Plane = np.clip(values, 0, 255).astype(np.uint8)
    return plane


@lru_cache(maxsize=32)
def noise(h: int, w: int, cells: int, seed: int) -> Plane:
    """Smooth noise with about `cells` bumps along the short side, standard deviation about 40."""
    return _noise(h, w, cells, seed)


def _noise(h: int, w: int, cells: int, seed: int) -> Plane:
    unit = min(h, w)
    rows, columns = max(2, round(cells * h / unit)), max(2, round(cells * w / unit))
    field = np.random.default_rng(seed).normal(0.0, 1.0, (rows, columns)).astype(np.float32)
    way = cv2.INTER_AREA if rows > h else cv2.INTER_CUBIC
    field = cv2.resize(field, (w, h), interpolation=way)
    field *= 40.0 / max(1e-6, float(field.std()))
    return _plane(field + 128)


@lru_cache(maxsize=48)
def cloudy(h: int, w: int, cells: int, seed: int) -> Plane:
    """Noise of several scales, from `cells` bumps upwards."""
    total = np.zeros((h, w), np.float32)
    for octave in range(4):
        total += (_noise(h, w, cells << octave, seed + octave).astype(np.float32) - 128) * 0.55**octave
    total *= 42.0 / max(1e-6, float(total.std()))
    return _plane(total + 128)


@lru_cache(maxsize=16)
def paper(h: int, w: int) -> Plane:
    """The tooth of paper: fine fibres with a little cloud."""
    fine = _noise(h, w, 420, 11).astype(np.float32)
    long = _noise(h, w, 150, 12).astype(np.float32)
    return _plane(0.55 * fine + 0.45 * long)


@lru_cache(maxsize=16)
def wobble(h: int, w: int, strength: float, seed: int) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """Fixed-point maps for `cv2.remap` that shake every edge by about `strength` of the short side."""
    px = strength * min(h, w) / 40
    shift = []
    for k in (0, 1):
        broad = _noise(h, w, 11, seed + 10 * k).astype(np.float32) - 128
        fine = _noise(h, w, 48, seed + 10 * k + 5).astype(np.float32) - 128
        shift.append((broad + 0.3 * fine) * px)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    coarse, part = cv2.convertMaps(x + shift[0], y + shift[1], cv2.CV_16SC2)
    return coarse, part


@lru_cache(maxsize=16)
def bare_edge(h: int, w: int) -> Plane:
    """255 on an irregular margin that a wash never reached, 0 inside."""
    unit = min(h, w)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / unit
    inward = np.minimum(np.minimum(x, w / unit - x), np.minimum(y, h / unit - y))
    ragged = (cloudy(h, w, 5, 90).astype(np.float32) - 128) / 42
    return _plane((0.021 + 0.007 * ragged - inward) / 0.006 * 255 + 128)


@lru_cache(maxsize=16)
def vignette(h: int, w: int) -> Plane:
    """255 in the middle, about 90 in the corners."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    r2 = ((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) * 2
    return _plane(270 - 150 * r2)


@lru_cache(maxsize=16)
def halftone(h: int, w: int) -> Plane:
    """A screen of dots at 45 degrees: threshold values 0..255."""
    unit = min(h, w) / 86
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / unit
    a, b = (x + y) * np.pi / 2**0.5, (x - y) * np.pi / 2**0.5
    return _plane(127.5 + 127.5 * np.sin(a) * np.sin(b))
