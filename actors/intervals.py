"""How sure a measured share is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from actors.contracts import Draw


def wilson(successes: float, n: float, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a share (Wilson, 1927); (0, 1) without data."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def admission_interval(draws: Sequence[Draw]) -> tuple[float, float]:
    """95% interval of the share of draws that are admitted, where each query has some of them."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for draw in draws:
        groups[draw.query_id].append(draw.admitted)
    return clustered(list(groups.values()))


def clustered(groups: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """95% interval of the share that succeeds, where tries of one group may go alike: Wilson's, for as many
    independent tries as tell as much (Kish, Survey Sampling, 1965), at most all of them.

    Args:
        groups: the tries of each, one or more.
    """
    tries, n = sum(map(len, groups)), len(groups)
    share = sum(map(sum, groups)) / max(1, tries)
    if n < 2 or share in (0, 1):
        return wilson(share * n, n)  # nothing shows how much they go alike
    apart = sum((sum(group) - share * len(group)) ** 2 for group in groups) * n / (n - 1) / tries**2
    alone = share * (1 - share) / (tries - 1)
    effective = tries * min(1.0, alone / apart) if apart else float(tries)
    return wilson(share * effective, effective)
