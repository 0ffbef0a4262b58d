"""Every decision about one picture, taken before a pixel is drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Jitter:
    """How far a layout that nobody asked for strays from its ideal."""

    dx: float
    dy: float
    """Displacement of the focal mass, fractions of the frame."""
    scale: float
    """Of the focal mass, at most 1."""


@dataclass(frozen=True)
class Scene:
    """A decided picture: `render` needs nothing else."""

    aspect: str
    seed: int
    subjects: tuple[str, ...]
    palette: str
    palette_mix: str | None
    """A second palette that muddies an open choice of palette."""
    style: str
    layout: str
    layout_jitter: Jitter | None
    """None when the prompt asked for the layout."""
    season: str | None
    time: str
    light: str
    """A key of the vocabulary, or `flat` or `harsh`, which only an open choice draws."""
    density: str
    """A key of the vocabulary, or `cluttered`, which only an open choice draws."""
    mood: str | None
    title: str | None
    ignored: tuple[str, ...] = ()
    """`facet:key` of what an overloaded prompt asked for in vain."""
    notes: tuple[str, ...] = ()
