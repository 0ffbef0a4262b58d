"""Arithmetic on single colours: RGB triples of 0..255 floats."""

from __future__ import annotations

RGB = tuple[float, float, float]


def hexed(code: str) -> RGB:
    """`#rrggbb` as a colour."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def mix(a: RGB, b: RGB, t: float) -> RGB:
    """`a` at t=0, `b` at t=1."""
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


def luma(c: RGB) -> float:
    """Perceived lightness, 0..1 (Rec. 601 on encoded values)."""
    return (0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]) / 255


def scaled(c: RGB, gain: float) -> RGB:
    """Brighter (gain > 1) or darker, clipped."""
    return min(255.0, c[0] * gain), min(255.0, c[1] * gain), min(255.0, c[2] * gain)


def apart(c: RGB, ground: RGB, least: float, lift: bool = False) -> RGB:
    """The colour moved towards black or white until its lightness differs from the ground's by `least`.

    It moves away from the ground, unless there is no room on that side; with `lift` rather up than down.
    """
    here, there = luma(c), luma(ground)
    if abs(here - there) >= least:
        return c
    up = here >= there if abs(here - there) > 0.04 else there < 0.5
    up = up or (lift and there + least < 0.93)
    if up and there + least > 0.98:
        up = False
    if not up and there - least < 0.02:
        up = True
    target = there + least if up else there - least
    pole: RGB = (255.0, 255.0, 255.0) if up else (0.0, 0.0, 0.0)
    t = (target - here) / ((1.0 if up else 0.0) - here or 1.0)
    return mix(c, pole, min(1.0, max(0.0, t)))
