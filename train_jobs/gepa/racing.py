"""Racing: a validation goes block by block, and stops where it can come to nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST_DEVIATION = 0.15
"""Of paired differences, where few examples happen to agree."""


def hopeless(
    child: Sequence[float], rival: Sequence[float], best: Sequence[float], deviations: float
) -> bool:
    """Whether a child that is validated in part cannot be expected to enter a front.

    It has beaten no front's best, and its mean is behind the pool's best member by more than chance explains.

    Args:
        child: its scores on the examples so far.
        rival: those of the pool's best member on the same examples.
        best: the fronts' best on the same examples.
        deviations: standard errors of the mean difference that are taken for chance.
    """
    if any(mine > front for mine, front in zip(child, best, strict=True)):
        return False
    differences = [mine - other for mine, other in zip(child, rival, strict=True)]
    n = len(differences)
    mean = sum(differences) / n
    spread = math.sqrt(sum((each - mean) ** 2 for each in differences) / max(1, n - 1))
    return mean + deviations * max(spread, LEAST_DEVIATION) / math.sqrt(n) < 0


def blocks(examples: Sequence[int], count: int) -> list[list[int]]:
    """The examples cut into at most `count` blocks of equal size, the last one may be shorter."""
    size = max(1, math.ceil(len(examples) / count))
    return [list(examples[start : start + size]) for start in range(0, len(examples), size)]
