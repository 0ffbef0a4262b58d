"""Seven ways to lay a layer on the canvas: what a style is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from actors.generator.procedural import textures
from actors.generator.procedural.colours import RGB, mix
from actors.generator.procedural.palettes import Tones
from actors.generator.procedural.pen import Image


@dataclass(frozen=True)
class Layer:
    """One drawn layer: premultiplied colour and coverage, and what the brush may know about it."""

    image: Image
    bounds: tuple[int, int, int, int]
    depth: float
    mist: float
    focal: bool
    tones: Tones


def over(canvas: Image, rgb: Image, alpha: Image) -> None:
    """Lay premultiplied colour on the canvas, in place."""
    rest = cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGB)
    cv2.multiply(canvas, rest, dst=canvas, scale=1 / 255)
    cv2.add(canvas, rgb, dst=canvas)


def times(image: Image, plane: Image, scale: float = 1 / 255) -> Image:
    """Every channel of an image times a plane."""
    out: Image = cv2.multiply(image, cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB), scale=scale)
    return out


def _fade(rgb: Image, alpha: Image, colour: RGB, strength: float) -> Image:
    """Premultiplied colour that fades downwards into another."""
    h, w = alpha.shape
    column = (np.linspace(0, 1, h) ** 1.2 * strength * 255).astype(np.uint8)[:, None]
    veil = np.ascontiguousarray(np.broadcast_to(column, (h, w)))
    kept = times(rgb, cv2.bitwise_not(veil))
    haze = cv2.merge([cv2.multiply(alpha, veil, scale=c / 255 / 255) for c in colour])
    out: Image = cv2.add(kept, haze)
    return out


class Brush:
    """Flat vector art: the plain way. Other styles change what they must."""

    sky_steps: Final[int] = 0
    mist = 0.5
    """Of the mist a layer asks for."""

    def ground(self, canvas: Image, tones: Tones, horizon: float) -> None:
        """Paint the sky, its last colour reached at `horizon` (fraction of the height)."""
        gradient(canvas, tones, horizon)

    def lay(self, canvas: Image, layer: Layer) -> None:
        """Lay one layer on the canvas, in place."""
        x0, y0, x1, y1 = layer.bounds
        if x1 <= x0 or y1 <= y0:
            return
        part = layer.image[y0:y1, x0:x1]
        rgb, alpha = cv2.cvtColor(part, cv2.COLOR_RGBA2RGB), cv2.extractChannel(part, 3)
        if layer.mist and self.mist:
            rgb = _fade(rgb, alpha, layer.tones.sky[2], layer.mist * self.mist)
        self.apply(canvas, canvas[y0:y1, x0:x1], rgb, alpha, layer)

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        """Lay the drawn part over its ground, in place."""
        over(ground, rgb, alpha)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        """What happens to the whole picture in the end."""
        return canvas


def gradient(canvas: Image, tones: Tones, horizon: float, bend: float = 1.0) -> None:
    """Fill with the sky's gradient from the top to the horizon and its last colour below."""
    h, w = canvas.shape[:2]
    v = np.clip(np.linspace(0, 1, h) / max(0.05, horizon), 0, 1) ** bend
    column = np.stack([np.interp(v, (0, 0.5, 1), [stop[c] for stop in tones.sky]) for c in range(3)], 1)
    canvas[:] = np.round(column).astype(np.uint8)[:, None, :]


class Minimal(Brush):
    """One flat ground and few flat shapes."""

    mist = 0.0

    def ground(self, canvas: Image, tones: Tones, horizon: float) -> None:
        canvas[:] = np.round(mix(tones.sky[1], tones.sky[2], 0.35)).astype(np.uint8)


class Flat(Brush):
    """Vector bands of sky, two-tone shapes."""

    def ground(self, canvas: Image, tones: Tones, horizon: float) -> None:
        h, w = canvas.shape[:2]
        steps = 6
        v = np.floor(np.clip(np.linspace(0, 1, h) / max(0.05, horizon), 0, 0.999) * steps) / (steps - 1)
        column = np.stack([np.interp(v, (0, 0.5, 1), [stop[c] for stop in tones.sky]) for c in range(3)], 1)
        canvas[:] = np.round(column).astype(np.uint8)[:, None, :]


class PaperCut(Brush):
    """Sheets of coloured paper, each with its shadow on the one below."""

    mist = 0.0

    def ground(self, canvas: Image, tones: Tones, horizon: float) -> None:
        gradient(canvas, tones, horizon)

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        unit = min(h, w)
        x0, y0, x1, y1 = layer.bounds
        full = layer.image[..., 3]
        small = cv2.resize(full, (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA)
        k = max(3, int(unit * 0.007) | 1)
        small = cv2.GaussianBlur(small, (0, 0), k / 2.2)
        d = 0.016 * unit / 4
        small = cv2.warpAffine(small, np.array([[1, 0, d * 0.7], [0, 1, d]]), (small.shape[1], small.shape[0]), borderMode=cv2.BORDER_REPLICATE)
        shadow = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
        dim = cv2.convertScaleAbs(shadow, alpha=-0.5, beta=255)
        cv2.multiply(canvas, cv2.cvtColor(dim, cv2.COLOR_GRAY2RGB), dst=canvas, scale=1 / 255)
        over(ground, rgb, alpha)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        grain = cv2.convertScaleAbs(textures.paper(h, w), alpha=0.22, beta=226)
        return times(canvas, grain)


class Retro(Brush):
    """Few inks, halftone in the shadows, plates that do not quite register."""

    def ground(self, canvas: Image, tones: Tones, horizon: float) -> None:
        gradient(canvas, tones, horizon)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
        dots = cv2.compare(cv2.add(cv2.convertScaleAbs(textures.halftone(h, w), alpha=0.5), 40), grey, cv2.CMP_GT)
        ink = cv2.convertScaleAbs(cv2.bitwise_not(dots), alpha=0.28, beta=184)
        out = times(canvas, ink)
        cream = np.full_like(out, (250, 238, 212))
        out = cv2.multiply(out, cream, scale=1 / 255)
        grain = cv2.convertScaleAbs(textures.noise(h, w, 500, 3), alpha=0.3, beta=215)
        return times(out, grain)


class Watercolour(Brush):
    """Transparent washes with shaking, darker edges on grained paper."""

    mist = 1.0

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        coarse, part = textures.wobble(h, w, 0.007, 1 + int(layer.depth * 3))
        image = cv2.remap(layer.image, coarse, part, cv2.INTER_LINEAR)
        alpha = cv2.extractChannel(image, 3)
        pigment = cv2.convertScaleAbs(textures.cloudy(h, w, 5, 21 + int(layer.depth * 3)), alpha=0.4, beta=178)
        wash = cv2.multiply(alpha, pigment, scale=1 / 255)
        rgb = times(cv2.cvtColor(image, cv2.COLOR_RGBA2RGB), pigment)
        sigma = 0.008 * min(h, w)
        inner = cv2.resize(cv2.GaussianBlur(cv2.resize(alpha, (w // 2, h // 2)), (0, 0), sigma / 2), (w, h))
        rim = cv2.subtract(alpha, inner)
        over(canvas, rgb, wash)
        dark = cv2.convertScaleAbs(rim, alpha=-0.55, beta=255)
        cv2.multiply(canvas, cv2.cvtColor(dark, cv2.COLOR_GRAY2RGB), dst=canvas, scale=1 / 255)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        grain = cv2.convertScaleAbs(textures.paper(h, w), alpha=0.3, beta=218)
        lit = cv2.addWeighted(canvas, 0.88, np.full_like(canvas, 255), 0.12, 0)
        return times(lit, grain)


class InkPainting(Brush):
    """Washes that fade into the paper, dry edges."""

    mist = 1.0

    def ground(self, canvas: Image, tones: Tones, horizon: float) -> None:
        gradient(canvas, tones, horizon)
        paper = np.full_like(canvas, (244, 238, 224))
        cv2.addWeighted(canvas, 0.4, paper, 0.6, 0, dst=canvas)

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        coarse, part = textures.wobble(h, w, 0.011, 5)
        image = cv2.remap(layer.image, coarse, part, cv2.INTER_LINEAR)
        alpha = cv2.extractChannel(image, 3)
        rgb = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
        sigma = 0.022 * min(h, w)
        inner = cv2.resize(cv2.GaussianBlur(cv2.resize(alpha, (w // 4, h // 4)), (0, 0), sigma / 4), (w, h))
        thin = cv2.convertScaleAbs(inner, alpha=-0.5, beta=255)
        dry = cv2.convertScaleAbs(textures.noise(h, w, 160, 9), alpha=0.5, beta=170)
        thin = cv2.multiply(thin, dry, scale=1 / 255)
        wash = cv2.multiply(alpha, thin, scale=1 / 255)
        over(canvas, times(rgb, thin), wash)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        grain = cv2.convertScaleAbs(textures.paper(h, w), alpha=0.22, beta=226)
        return times(canvas, grain)


class Gradient(Brush):
    """Smooth light in every shape, a glow around the focal mass."""

    mist = 1.0

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        h, w = alpha.shape
        column = np.linspace(70, -50, h)[:, None]
        ramp = np.broadcast_to(column, (h, w))
        light = np.ascontiguousarray(np.clip(ramp, 0, 255).astype(np.uint8))
        dark = np.ascontiguousarray(np.clip(255 + ramp, 0, 255).astype(np.uint8))
        lift = cv2.cvtColor(cv2.multiply(alpha, light, scale=1 / 255), cv2.COLOR_GRAY2RGB)
        if layer.focal:
            self._halo(canvas, layer)
        over(ground, cv2.add(times(rgb, dark), cv2.subtract(lift, rgb // 4)), alpha)

    def _halo(self, canvas: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        small = cv2.resize(layer.image[..., 3], (max(1, w // 8), max(1, h // 8)), interpolation=cv2.INTER_AREA)
        glow = cv2.resize(cv2.GaussianBlur(small, (0, 0), min(h, w) * 0.006), (w, h), interpolation=cv2.INTER_LINEAR)
        cv2.add(canvas, cv2.cvtColor(cv2.convertScaleAbs(glow, alpha=0.22), cv2.COLOR_GRAY2RGB), dst=canvas)


BRUSHES: Final[dict[str, Brush]] = {
    "watercolour": Watercolour(),
    "minimal": Minimal(),
    "paper_cut": PaperCut(),
    "flat": Flat(),
    "retro": Retro(),
    "ink_painting": InkPainting(),
    "gradient": Gradient(),
}
