"""How many proposals search at once."""

from __future__ import annotations

import math

WANTED = 2.5
"""Proposals under way that shall be expected to pass the gate. More would work from parents that are out of
date before they end; fewer would wait."""
GENERATIONS = 32
"""Validations one after the other that a budget shall last for at least: depth is worth more than width."""
MEMORY = 0.9
"""Weight of the past in the acceptance rate, a proposal."""
FIRST_RATE = 0.5


def width(limit: int, acceptance: float, validations: float | None) -> int:
    """Proposals to have under way: many where few are accepted, few where most are or the budget is small.

    Args:
        limit: most that are allowed, at least 1.
        acceptance: share of the latest proposals that passed the gate, 0..1.
        validations: whole validations that the budget still holds; None without a budget.
    """
    wanted = WANTED / acceptance if acceptance * limit > WANTED else limit
    if validations is not None:
        wanted = min(wanted, validations / GENERATIONS)
    return max(1, min(limit, math.ceil(wanted)))


def follow(acceptance: float, accepted: bool) -> float:
    """The acceptance rate after one more proposal."""
    return MEMORY * acceptance + (1 - MEMORY) * accepted
