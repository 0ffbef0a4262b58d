"""Which requests are fitted on and which are left unseen. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def folds_of(groups: Iterable[str], folds: int, seed: int) -> dict[str, int]:
    """Group -> fold, drawn by seed, all folds alike in size. Pairs of one group are never in two folds."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[i]: place % folds for place, i in enumerate(order)}
