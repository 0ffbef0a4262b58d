"""Seven ways to lay a layer on the canvas: what a style is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from actors.generator.procedural import textures
from actors.generator.procedural.art import Dice
from actors.generator.procedural.colours import RGB, luma, mix
from actors.generator.procedural.layouts import Arrangement
from actors.generator.procedural.palettes import Tones
from actors.generator.procedural.pen import Image, Pen


@dataclass(frozen=True)
class Layer:
    """One drawn layer: premultiplied colour and coverage, and what the brush may know about it."""

    image: Image
    bounds: tuple[int, int, int, int]
    depth: float
    """0 at the horizon to 1 for what floats in front of everything and has no contour."""
    mist: float
    focal: bool
    tones: Tones


def over(canvas: Image, rgb: Image, alpha: Image) -> None:
    """Lay premultiplied colour on the canvas, in place."""
    cv2.multiply(canvas, cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2RGB), dst=canvas, scale=1 / 255)
    cv2.add(canvas, rgb, dst=canvas)


def times(image: Image, plane: Image) -> Image:
    """Every channel of an image times a plane, 255 = 1."""
    out: Image = cv2.multiply(image, cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    return out


def darken(canvas: Image, plane: Image, strength: float) -> None:
    """Darken the canvas where the plane is high, in place."""
    dim = cv2.cvtColor(cv2.convertScaleAbs(plane, alpha=-strength, beta=255), cv2.COLOR_GRAY2RGB)
    cv2.multiply(canvas, dim, dst=canvas, scale=1 / 255)


def stain(canvas: Image, plane: Image, colour: RGB, strength: float = 1.0) -> None:
    """Mix a colour into the canvas where the plane is high, in place."""
    alpha = cv2.convertScaleAbs(plane, alpha=strength) if strength != 1.0 else plane
    over(canvas, cv2.merge([cv2.convertScaleAbs(alpha, alpha=c / 255) for c in colour]), alpha)


def blurred(plane: Image, sigma: float, shrink: int) -> Image:
    """A plane blurred by `sigma` px, worked on a copy `shrink` times smaller."""
    h, w = plane.shape
    small = cv2.resize(plane, (max(1, w // shrink), max(1, h // shrink)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(0.3, sigma / shrink))
    out: Image = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    return out


def _fade(rgb: Image, alpha: Image, colour: RGB, strength: float) -> Image:
    """Premultiplied colour that fades downwards into another."""
    h, w = alpha.shape
    column = (np.linspace(0, 1, h) ** 1.2 * strength * 255).astype(np.uint8)[:, None]
    veil = np.ascontiguousarray(np.broadcast_to(column, (h, w)))
    kept = times(rgb, cv2.bitwise_not(veil))
    haze = cv2.multiply(alpha, veil, scale=1 / 255)
    out: Image = cv2.add(kept, cv2.merge([cv2.convertScaleAbs(haze, alpha=c / 255) for c in colour]))
    return out


def gradient(canvas: Image, tones: Tones, a: Arrangement) -> None:
    """Fill with the sky's gradient from the top to the horizon, along the slope of a diagonal layout."""
    h, w = canvas.shape[:2]
    rows, columns = (72, 72) if a.slope else (h, 1)
    y = np.linspace(0, a.height, rows)[:, None]
    x = np.linspace(0, a.width, columns)[None, :] if a.slope else np.full((1, 1), a.width / 2)
    v = np.clip((y - a.slope * (x - a.width / 2)) / max(0.05, a.horizon), 0, 1)
    field = np.stack([np.interp(v, (0, 0.5, 1), [stop[c] for stop in tones.sky]) for c in range(3)], 2)
    if a.slope:
        canvas[:] = cv2.resize(np.round(field).astype(np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)
    else:
        canvas[:] = np.round(field).astype(np.uint8)


class Brush:
    """The plain way. A style changes what it must."""

    mist = 0.5
    """Of the mist a layer asks for."""

    def __init__(self, turn: int) -> None:
        """`turn` (0..3) says which way round the textures lie, so that pictures differ."""
        self._flip = (None, 0, 1, -1)[turn]

    def cloud(self, h: int, w: int, cells: int, seed: int) -> Image:
        """Cloudy noise, turned this picture's way."""
        plane = textures.cloudy(h, w, cells, seed)
        return plane if self._flip is None else cv2.flip(plane, self._flip)

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        """Paint the empty sky, in place."""
        gradient(canvas, tones, a)

    def lay(self, canvas: Image, layer: Layer) -> None:
        """Lay one layer on the canvas, in place."""
        x0, y0, x1, y1 = layer.bounds
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


class Minimal(Brush):
    """One flat ground and few flat shapes."""

    mist = 0.0

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        canvas[:] = np.round(mix(tones.sky[1], tones.sky[0], 0.15)).astype(np.uint8)


class Flat(Brush):
    """Bands of sky, two-tone shapes."""

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        steps = 6
        top, middle, low = tones.sky
        canvas[:] = np.round(top).astype(np.uint8)
        pen = Pen.over(canvas, min(canvas.shape[:2]))
        for i in range(1, steps):
            v = i / (steps - 1)
            y = a.horizon * i / steps
            tilt = a.slope * (a.width / 2 + 0.1)
            colour = mix(top, middle, v * 2) if v < 0.5 else mix(middle, low, v * 2 - 1)
            left, right = (-0.1, y - tilt), (a.width + 0.1, y + tilt)
            pen.fill([left, right, (a.width + 0.1, a.height + 2), (-0.1, a.height + 2)], colour)


class PaperCut(Brush):
    """Sheets of coloured paper, each with its shadow on the one below."""

    mist = 0.0

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        low = tones.sky[2]
        canvas[:] = np.round(low).astype(np.uint8)
        unit = min(canvas.shape[:2])
        sheets = 2 if a.quiet else 4
        phase = float(dice.uniform(0, 6.28))
        for i in range(sheets):
            k = i / max(1, sheets - 1)
            image = np.zeros((*canvas.shape[:2], 4), np.uint8)
            pen = Pen.over(image, unit)
            x = np.linspace(-0.1, a.width + 0.1, 30)
            edge = a.horizon * (0.82 - 0.62 * k) + 0.05 * np.sin(x * 2.6 + phase + 0.9 * i) * a.height**0.5
            edge += a.slope * (x - a.width / 2)
            line = [*np.stack((x, edge), 1).tolist(), (a.width + 0.1, -0.1), (-0.1, -0.1)]
            colour = (
                mix(tones.sky[1], low, 1 - 2 * k - 0.25)
                if k < 0.4
                else mix(tones.sky[1], tones.sky[0], (k - 0.3) / 0.7)
            )
            pen.fill(line, tuple(min(255.0, max(0.0, c)) for c in colour))  # type: ignore[arg-type]
            self.lay(canvas, Layer(image, pen.bounds, 0.0, 0.0, False, tones))

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        unit = min(h, w)
        small = cv2.resize(
            layer.image[..., 3], (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA
        )
        small = cv2.GaussianBlur(small, (0, 0), max(0.3, unit * 0.0028))
        d = 0.004 * unit * (1.25 if layer.focal else 0.9)
        shift = np.array([[1, 0, d * 0.6], [0, 1, d]])
        small = cv2.warpAffine(
            small, shift, (small.shape[1], small.shape[0]), borderMode=cv2.BORDER_REPLICATE
        )
        darken(canvas, cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR), 0.46)
        over(ground, rgb, alpha)
        edge = cv2.subtract(
            alpha,
            cv2.warpAffine(
                alpha,
                np.array([[1, 0, unit * 0.003], [0, 1, unit * 0.004]]),
                alpha.shape[::-1],
                borderMode=cv2.BORDER_REPLICATE,
            ),
        )
        stain(ground, edge, (255.0, 255.0, 255.0), 0.3)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        return times(canvas, cv2.convertScaleAbs(textures.paper(h, w), alpha=0.2, beta=229))


class Retro(Brush):
    """A sunburst, few inks, halftone in the shadows, plates that do not quite register."""

    mist = 0.0

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        gradient(canvas, tones, a)
        if a.quiet:
            return
        unit = min(canvas.shape[:2])
        rays = np.zeros(canvas.shape[:2], np.uint8)
        pen = Pen.over(rays[..., None], unit)
        x, y = a.focus[0], a.horizon
        n, turn = 14, float(dice.uniform(0, 0.4))
        for i in range(n):
            p, q = (turn + (2 * i + j) * np.pi / n for j in (0, 1))
            pen.fill(
                [(x, y), (x + 4 * np.cos(p), y + 4 * np.sin(p)), (x + 4 * np.cos(q), y + 4 * np.sin(q))],
                (255.0, 0.0, 0.0),
            )
        stain(canvas, rays, tones.light if luma(tones.sky[1]) < 0.8 else tones.second, 0.24)

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        over(ground, rgb, alpha)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        unit = min(h, w)
        grey = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
        screen = cv2.convertScaleAbs(textures.halftone(h, w), alpha=0.62, beta=34)
        dots = cv2.convertScaleAbs(cv2.subtract(screen, grey), alpha=7.0)
        darken(canvas, dots, 0.24)
        if max(tones.main) - min(tones.main) > 24:
            d = max(1, round(unit * 0.0035))
            canvas[:, d:, 0] = canvas[:, :-d, 0].copy()
            canvas[d:, :, 2] = canvas[:-d, :, 2].copy()
            canvas = cv2.transform(canvas, np.diag((0.98, 0.94, 0.85)))
        lifted = cv2.convertScaleAbs(canvas, alpha=0.9, beta=20)
        return times(lifted, cv2.convertScaleAbs(textures.noise(h, w, 420, 3), alpha=0.32, beta=208))


class Watercolour(Brush):
    """Transparent washes with unsteady, darker edges on grained paper."""

    mist = 1.0

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        gradient(canvas, tones, a)
        h, w = canvas.shape[:2]
        blooms = cv2.convertScaleAbs(cv2.subtract(self.cloud(h, w, 3, 40), 118), alpha=2.3)
        stain(canvas, blooms, (253.0, 251.0, 246.0), 0.5)

    def lay(self, canvas: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        coarse, part = textures.wobble(h, w, 0.0045, 1 + 40 * int(layer.depth * 1.6))
        image = cv2.remap(layer.image, coarse, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rgb, alpha = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB), cv2.extractChannel(image, 3)
        _, y0, _, y1 = layer.bounds
        if layer.mist:
            rgb[y0:y1] = _fade(rgb[y0:y1], alpha[y0:y1], layer.tones.sky[2], 0.7 * layer.mist)
        unit = min(h, w)
        pool = cv2.convertScaleAbs(self.cloud(h, w, 4, 21 + 7 * int(layer.depth * 1.6)), alpha=0.75, beta=112)
        pool = cv2.min(pool, 250 if layer.focal else 236)
        rim = cv2.subtract(alpha, blurred(alpha, 0.009 * unit, 2))
        over(canvas, times(rgb, pool), cv2.multiply(alpha, pool, scale=1 / 255))
        if layer.depth < 1:
            darken(canvas, rim, 0.62)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        lifted = cv2.convertScaleAbs(canvas, alpha=0.9, beta=24)
        stain(lifted, textures.bare_edge(h, w), (252.0, 249.0, 243.0))
        return times(lifted, cv2.convertScaleAbs(textures.paper(h, w), alpha=0.3, beta=216))


class InkPainting(Brush):
    """Washes that thin out into the paper, inside dry brushed contours."""

    mist = 1.0

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        h, w = canvas.shape[:2]
        gradient(canvas, tones, a)
        wash = canvas.copy()
        canvas[:] = (243, 237, 223)
        fall = np.clip(np.linspace(150, 40, h), 0, 255).astype(np.uint8)[:, None]
        plane = cv2.multiply(
            np.ascontiguousarray(np.broadcast_to(fall, (h, w))), self.cloud(h, w, 2, 60), scale=1 / 120
        )
        over(canvas, times(wash, plane), plane)

    def lay(self, canvas: Image, layer: Layer) -> None:
        h, w = canvas.shape[:2]
        unit = min(h, w)
        coarse, part = textures.wobble(h, w, 0.0045, 301)
        image = cv2.remap(layer.image, coarse, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rgb, alpha = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB), cv2.extractChannel(image, 3)
        thin = cv2.convertScaleAbs(
            self.cloud(h, w, 3, 71 + 5 * int(layer.depth * 1.6)), alpha=0.8, beta=128 if layer.focal else 66
        )
        y0, y1 = layer.bounds[1], layer.bounds[3]
        if layer.mist or not layer.focal:
            fade = np.full((h, 1), 255, np.float32)
            fade[y0:y1, 0] = np.linspace(255, 255 * (1 - max(0.45, layer.mist)), y1 - y0)
            fade[y1:] = fade[max(0, y1 - 1)]
            thin = cv2.multiply(
                thin, np.ascontiguousarray(np.broadcast_to(fade.astype(np.uint8), (h, w))), scale=1 / 255
            )
        wash = cv2.multiply(alpha, thin, scale=1 / 255)
        over(canvas, times(rgb, thin), wash)
        if layer.depth >= 1:
            return
        contour = cv2.subtract(alpha, blurred(alpha, 0.007 * unit, 2))
        dry = cv2.convertScaleAbs(cv2.subtract(textures.noise(h, w, 60, 9), 78), alpha=3.2)
        ink = cv2.multiply(contour, dry, scale=1.9 / 255)
        stain(canvas, ink, mix(layer.tones.dark, (20.0, 20.0, 20.0), 0.4), 0.55 + 0.4 * layer.depth)

    def finish(self, canvas: Image, tones: Tones) -> Image:
        h, w = canvas.shape[:2]
        return times(canvas, cv2.convertScaleAbs(textures.paper(h, w), alpha=0.2, beta=229))


class Gradient(Brush):
    """A mesh of colours for sky, smooth light in every shape, a glow around the focal mass."""

    mist = 1.0

    def ground(self, canvas: Image, tones: Tones, a: Arrangement, dice: Dice) -> None:
        h, w = canvas.shape[:2]
        top, middle, low = (np.array(stop) for stop in tones.sky)
        pale = luma(tones.sky[1]) > 0.55
        warm = np.array(
            mix(tones.second, tones.light, 0.65) if pale else mix(tones.second, tones.sky[1], 0.45)
        )
        rows = [top, top * 0.5 + middle * 0.5, middle, middle * 0.4 + low * 0.6, low, low]
        mesh = np.stack([np.stack([row] * 4) for row in rows]).astype(np.float32)
        for _ in range(2):
            i, j = int(dice.integers(0, 4)), int(dice.integers(0, 4))
            mesh[i, j] = mesh[i, j] * 0.55 + warm * 0.45
        field = cv2.resize(mesh, (48, 48), interpolation=cv2.INTER_CUBIC)
        canvas[:] = cv2.resize(np.clip(field, 0, 255), (w, h), interpolation=cv2.INTER_LINEAR).astype(
            np.uint8
        )

    def apply(self, canvas: Image, ground: Image, rgb: Image, alpha: Image, layer: Layer) -> None:
        h, w = alpha.shape
        if layer.focal:
            self._halo(canvas, layer)
        ramp = np.linspace(0.3, -0.22, h)[:, None] + np.linspace(0.06, -0.06, w)[None, :]
        light = np.clip(ramp * 255, 0, 255).astype(np.uint8)
        dark = np.clip(255 + ramp * 255, 0, 255).astype(np.uint8)
        lift = cv2.multiply(alpha, light, scale=1 / 255)
        body = times(times(rgb, dark), cv2.bitwise_not(light))
        over(ground, cv2.add(body, cv2.cvtColor(lift, cv2.COLOR_GRAY2RGB)), alpha)

    def _halo(self, canvas: Image, layer: Layer) -> None:
        unit = min(canvas.shape[:2])
        glow = blurred(layer.image[..., 3], unit * 0.045, 8)
        stain(canvas, glow, layer.tones.light, 0.34)


BRUSHES: Final[dict[str, type[Brush]]] = {
    "watercolour": Watercolour,
    "minimal": Minimal,
    "paper_cut": PaperCut,
    "flat": Flat,
    "retro": Retro,
    "ink_painting": InkPainting,
    "gradient": Gradient,
}
