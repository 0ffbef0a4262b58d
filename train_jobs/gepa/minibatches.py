"""Epoch-shuffled minibatches of the training examples."""

from __future__ import annotations

import random
from collections import Counter


class Minibatches:
    """Every example comes once an epoch; the last batch is filled up with the least used ones.

    Args:
        size: examples in a batch.
        examples: how many there are.
        rng: shuffles at the start of each epoch.
    """

    def __init__(self, size: int, examples: int, rng: random.Random) -> None:
        self.size = size
        self.examples = examples
        self._rng = rng
        self._epoch = -1
        self._order: list[int] = []

    def batch(self, iteration: int) -> list[int]:
        """The examples of an iteration; iterations count from 0 and go up."""
        start = iteration * self.size
        epoch = start // len(self._order) if self._order else 0
        if epoch > self._epoch:
            self._epoch = epoch
            self._order = self._shuffled()
        place = start % len(self._order)
        return self._order[place : place + self.size]

    def _shuffled(self) -> list[int]:
        order = list(range(self.examples))
        self._rng.shuffle(order)
        used = Counter(order)
        while len(order) % self.size:
            least = used.most_common()[-1][0]
            order.append(least)
            used[least] += 1
        return order
