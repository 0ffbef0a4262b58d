"""Cutting a stream of samples into files of limited size, without holding it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from actors.pairs.dataset import Sample

RECORD_BYTES = 4096
"""What a record counts beside its pictures."""


def by_size(samples: Iterable[Sample], limit: int) -> Iterator[tuple[int, Iterator[Sample]]]:
    """(number, samples) of consecutive samples of at most `limit` bytes together, but one at least.

    As with `itertools.groupby`, a group must be used up before the next is asked for.
    """
    group, size = 0, 0

    def number(sample: Sample) -> int:
        nonlocal group, size
        added = len(sample.a) + len(sample.b) + RECORD_BYTES
        if size and size + added > limit:
            group, size = group + 1, 0
        size += added
        return group

    return itertools.groupby(samples, key=number)
