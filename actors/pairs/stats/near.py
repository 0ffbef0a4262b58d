"""How many pictures look alike."""

from __future__ import annotations

import numpy as np

from actors.contracts import PairRecord
from actors.pairs.stats.parts import CardPart, share
from actors.pairs.stats.sketch import Lowest
from actors.pixels import hash_distance

_SAMPLED = 8192
_BLOCK = 256


class Alike(CardPart):
    """Pictures whose perceptual hashes differ in at most `bits` bits."""

    bits: int
    pairs: float | None
    """Share of pairs whose own two pictures are alike, of those with hashes."""
    pictures: float | None
    """Share of the searched pictures that are like another of them."""
    searched: int
    """Distinct pictures with a hash; a sample where they are more than 8,192, which finds fewer alike."""


class AlikeTally:
    """Counts behind `Alike`."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._hashed = self._alike = 0
        self._pictures: Lowest[int] = Lowest(_SAMPLED)

    def add(self, record: PairRecord) -> None:
        """Count one pair."""
        for side in (record.a, record.b):
            if side.phash:
                self._pictures.add(side.sha256, int(side.phash, 16))
        if record.a.phash and record.b.phash:
            self._hashed += 1
            self._alike += hash_distance(record.a.phash, record.b.phash) <= self._bits

    def done(self) -> Alike:
        """The numbers so far; compares every two of the sample, 0.3 s at most."""
        hashes = np.array(self._pictures.values(), np.uint64)
        alike = 0
        for start in range(0, len(hashes), _BLOCK):
            bits = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ hashes)
            alike += int(np.count_nonzero(np.count_nonzero(bits <= self._bits, axis=1) > 1))
        return Alike(
            bits=self._bits,
            pairs=share(self._alike, self._hashed),
            pictures=share(alike, len(hashes)),
            searched=len(hashes),
        )
