"""A sample of what went by that does not depend on the order it went by in."""

from __future__ import annotations

import hashlib
from heapq import heapify, heapreplace
from typing import Generic, TypeVar

T = TypeVar("T")
_SPACE = 2**64


class Lowest(Generic[T]):
    """The `limit` names of lowest hash, each with a value: a uniform sample of the distinct names.

    The bottom-k sketch (Cohen and Kaplan 2007): any order of the same names keeps the same sample, and the
    highest hash kept tells how many distinct names there were.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[int, T] = {}
        self._highest: list[int] = []
        self.complete = True
        """Whether nothing had to be left out, so that the sample is all there was."""

    def add(self, name: str, value: T) -> None:
        """Offer a name; the value of a name that is kept already stays as it is."""
        key = int.from_bytes(hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest(), "big")
        if key in self._kept:
            return
        if len(self._kept) < self._limit:
            self._kept[key] = value
            self._highest.append(-key)
            if len(self._kept) == self._limit:
                heapify(self._highest)
            return
        self.complete = False
        if -key > self._highest[0]:
            del self._kept[-heapreplace(self._highest, -key)]
            self._kept[key] = value

    def values(self) -> list[T]:
        """The sampled values, in the order of their hashes."""
        return [self._kept[key] for key in sorted(self._kept)]

    def distinct(self) -> int:
        """How many distinct names were offered: exact while `complete`, else within 1/sqrt(limit) of it."""
        if self.complete:
            return len(self._kept)
        return round((self._limit - 1) * _SPACE / -self._highest[0])
