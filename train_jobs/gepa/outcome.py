"""What one metric call gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Split = Literal["train", "validation"]
"""Scores of the two never mix: each is asked for, kept and counted under its own name."""


@dataclass(frozen=True)
class Outcome:
    """The answer for one candidate on one example."""

    score: float
    """Higher is better; finite."""
    objectives: Mapping[str, float] | None = None
    """Score by objective, where the adapter tells them."""
    output: Any = None
    trace: Any = None
    """What reflection reads; only training examples have one."""
    failure: str = ""
    """Why the example has no real score; `score` is then the adapter's lowest."""
