"""Light as a last pass over the picture."""

from __future__ import annotations

import cv2
import numpy as np

from actors.generator.procedural import textures
from actors.generator.procedural.layouts import Arrangement
from actors.generator.procedural.palettes import Tones
from actors.generator.procedural.pen import Image
from actors.generator.procedural.scene import Scene
from actors.generator.procedural.styles import times


def light_up(canvas: Image, scene: Scene, arrangement: Arrangement, tones: Tones) -> Image:
    """The picture in the scene's light."""
    h, w = canvas.shape[:2]
    v = np.arange(256, dtype=np.float32) / 255
    if scene.light == "soft":
        canvas = cv2.LUT(canvas, _table(0.1 + 0.84 * v))
    elif scene.light == "bright":
        canvas = cv2.LUT(canvas, _table(np.minimum(1, 1.06 * v**0.82 + 0.02)))
    elif scene.light == "dramatic":
        canvas = cv2.LUT(canvas, _table(v + 0.22 * np.sin(2 * np.pi * (v - 0.5)) * 0.5 - 0.03))
        canvas = times(canvas, textures.vignette(h, w))
    elif scene.light == "glow":
        small = cv2.resize(canvas, (max(1, w // 8), max(1, h // 8)), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(cv2.LUT(small, _table(np.clip(v * 1.6 - 0.6, 0, 1))), (0, 0), min(h, w) / 8 * 0.05)
        canvas = cv2.add(canvas, cv2.convertScaleAbs(cv2.resize(small, (w, h)), alpha=0.7))
    elif scene.light == "flat":
        canvas = cv2.LUT(canvas, _table(0.3 + 0.42 * v))
    elif scene.light == "harsh":
        canvas = cv2.LUT(canvas, _table(np.clip((v - 0.32) * 1.9 + 0.3, 0, 1)))
    return canvas


def _table(curve: np.ndarray) -> Image:  # type: ignore[type-arg]
    table: Image = np.round(np.clip(curve, 0, 1) * 255).astype(np.uint8)
    return table
