"""Which pairs are taken. Samples are decided in the order of their index, so timing changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.contracts import PairRecord
from actors.pixels import hash_distance
from configs.synthesis import SynthesisSettings
from train_jobs.synthesis.outcome import Made

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Taken:
    """How many pairs were taken so far."""

    pairs: int = 0
    hard: int = 0

    def json(self) -> dict[str, int]:
        """As it stands in the ledger."""
        return asdict(self)


class Selector:
    """Takes or turns away pairs, one after another; the lowest index of near-duplicates wins."""

    def __init__(self, settings: SynthesisSettings) -> None:
        self._settings = settings
        self._seen = _Hashes(settings.near_bits)
        self.taken = Taken()

    def resume(self, taken: Taken, hashes: Iterable[str]) -> None:
        """Go on behind pairs that were taken earlier."""
        self.taken = taken
        for phash in hashes:
            self._seen.add(phash)

    def decide(self, made: Made) -> str | None:
        """None when the pair is taken, else the reason against it."""
        reason = self._against(made)
        if reason is None:
            hard = made.gap < self._settings.hard_gap
            self.taken = Taken(self.taken.pairs + 1, self.taken.hard + hard)
            for phash in _phashes(made.record):
                self._seen.add(phash)
        return reason

    def _against(self, made: Made) -> str | None:
        if made.record.consistent is False and self._settings.inconsistent == "drop":
            return "inconsistent"
        hashes = _phashes(made.record)
        if len(hashes) == 2 and hash_distance(*hashes) <= self._settings.near_bits:
            return "alike"
        if made.gap >= self._settings.hard_gap and self._easy_are_enough():
            return "easy"
        if any(self._seen.near(phash) for phash in hashes):
            return "near_duplicate"
        return None

    def _easy_are_enough(self) -> bool:
        easy, pairs = self.taken.pairs - self.taken.hard, self.taken.pairs
        return easy + 1 > (1 - self._settings.hard_share) * (pairs + 1) + _ROUNDING


class _Hashes:
    """64-bit hashes, searched by Hamming distance: exact, one pass over an array."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._values: NDArray[np.uint64] = np.zeros(1024, np.uint64)
        self._count = 0

    def add(self, phash: str) -> None:
        if self._count == len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[self._count] = int(phash, 16)
        self._count += 1

    def near(self, phash: str) -> bool:
        if self._bits < 0:
            return False
        differing = np.bitwise_count(self._values[: self._count] ^ np.uint64(int(phash, 16)))
        return bool((differing <= self._bits).any())


def _phashes(record: PairRecord) -> list[str]:
    return [side.phash for side in (record.a, record.b) if side.phash]


def stored_hashes(row: dict[str, Any]) -> list[str]:
    """The perceptual hashes of a dataset's row."""
    return [side["phash"] for side in (row["a"], row["b"]) if side["phash"]]
