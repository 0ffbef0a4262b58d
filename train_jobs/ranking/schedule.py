"""What a step trains, and how fast. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from configs.ranking import FreezingSettings, RateSettings


@dataclass(frozen=True)
class Stage:
    """How many of the last blocks of each tower train."""

    image_blocks: int
    text_blocks: int


def stage_at(step: int, steps_per_epoch: int, settings: FreezingSettings) -> Stage:
    """Heads alone for the first `head_epochs`, then the last blocks of the towers too."""
    if step < settings.head_epochs * steps_per_epoch:
        return Stage(0, 0)
    return Stage(settings.image_blocks, settings.text_blocks)


def rate_at(step: int, steps: int, settings: RateSettings) -> float:
    """Share 0..1 of the highest rates: a linear rise, then half a cosine down to `last`.

    Source: SGDR (Loshchilov & Hutter 2017) without restarts.
    """
    rising = max(1, round(settings.warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    way = min(1.0, (step - rising) / max(1, steps - rising))
    return settings.last + (1 - settings.last) * (1 + math.cos(math.pi * way)) / 2
