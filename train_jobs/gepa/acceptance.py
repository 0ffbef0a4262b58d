"""Whether a child passes the gate of its minibatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

AcceptanceName = Literal["strict_improvement", "improvement_or_equal"]


def accepts(
    rule: AcceptanceName, before: Sequence[float], after: Sequence[float], tolerance: float = 0.0
) -> bool:
    """Compare a child's scores with those of its parent on the same examples.

    Args:
        before: the parent's scores.
        after: the child's.
        tolerance: by how much the child's sum may stay behind and still count as equal to the parent's: what
            a noisy judge changes by itself. Under `strict_improvement` it must be ahead by as much.
    """
    gain = sum(after) - sum(before)
    return gain > tolerance if rule == "strict_improvement" else gain >= -tolerance
