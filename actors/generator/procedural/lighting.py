"""Light as a last pass over the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from actors.generator.procedural import textures
from actors.generator.procedural.layouts import Arrangement
from actors.generator.procedural.palettes import Tones
from actors.generator.procedural.pen import Image
from actors.generator.procedural.scene import Scene
from actors.generator.procedural.styles import times


def light_up(canvas: Image, scene: Scene, arrangement: Arrangement, tones: Tones) -> Image:
    """The picture in the scene's light."""
    h, w = canvas.shape[:2]
    v = np.arange(256) / 255.0
    if scene.light == "soft":
        canvas = cv2.LUT(canvas, _table(0.1 + 0.84 * v))
    elif scene.light == "bright":
        canvas = cv2.LUT(canvas, _table(np.minimum(1, 1.02 * v**0.84 + 0.03)))
    elif scene.light == "dramatic":
        canvas = cv2.LUT(canvas, _table(v + 0.22 * np.sin(2 * np.pi * (v - 0.5)) * 0.5 - 0.03))
        canvas = times(canvas, textures.vignette(h, w))
    elif scene.light == "glow":
        canvas = _bloom(canvas, arrangement, tones)
    elif scene.light == "flat":
        canvas = cv2.LUT(canvas, _table(0.3 + 0.42 * v))
    elif scene.light == "harsh":
        canvas = cv2.LUT(canvas, _table(np.clip((v - 0.32) * 1.9 + 0.3, 0, 1)))
    return canvas


def _bloom(canvas: Image, a: Arrangement, tones: Tones) -> Image:
    """A dim picture lit from its focal mass, whose bright parts bleed."""
    h, w = canvas.shape[:2]
    x, y = np.meshgrid(np.linspace(0, a.width, 40), np.linspace(0, a.height, 40))
    r2 = (x - a.focus[0]) ** 2 + (y - a.focus[1] + 0.06) ** 2
    fall = np.exp(-r2 / (2 * (0.36 * a.height**0.3) ** 2))
    plane = cv2.resize((176 + 79 * fall).astype(np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)
    lit = times(canvas, plane)
    small = cv2.resize(canvas, (max(2, w // 8), max(2, h // 8)), interpolation=cv2.INTER_AREA)
    small = times(small, cv2.resize((255 * fall).astype(np.uint8), small.shape[1::-1]))
    soft = cv2.GaussianBlur(small, (0, 0), min(h, w) / 8 * 0.045)
    warm = cv2.multiply(soft, (*(c / 255 * 0.42 for c in tones.light), 0.0))
    spread = cv2.resize(warm, (w, h), interpolation=cv2.INTER_LINEAR)
    out: Image = cv2.bitwise_not(cv2.multiply(cv2.bitwise_not(lit), cv2.bitwise_not(spread), scale=1 / 255))
    return out


def _table(curve: NDArray[np.float64]) -> Image:
    table: Image = np.round(np.clip(curve, 0, 1) * 255).astype(np.uint8)
    return table
