"""Lexical index: BM25 over words and, for Chinese, characters and pairs of them. Exact, in memory.

BM25: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the
inverse document frequency log(1 + (N - df + 0.5) / (df + 0.5)), which is never negative.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_HAN = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"[{_HAN}]+|[^\W{_HAN}]+")
_IS_HAN = re.compile(rf"[{_HAN}]")
_WORTH_COMPACTING = 64


def terms(text: str) -> Iterator[str]:
    """Words in lower case; a run of Chinese (or kana) as its characters and pairs of neighbours."""
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_HAN.match(run):
            yield from run
            yield from (run[i : i + 2] for i in range(len(run) - 1))
        else:
            yield run


@dataclass
class _Posting:
    """The slots that hold a term, and how often."""

    slots: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    living: int = 0
    """How many of the slots hold a document that was not removed."""


class LexicalIndex:
    """Texts under ids, found by the words they share with a query."""

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        self._k1 = k1
        self._b = b
        self._reset()

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, id: str) -> bool:
        return id in self._slot_of

    def add(self, id: str, text: str) -> None:
        """Index a text. An id that is known already gets the new text."""
        if id in self._slot_of:
            self.remove(id)
        self._insert(id, Counter(terms(text)))

    def remove(self, id: str) -> None:
        """Forget a text.

        Raises:
            KeyError: the id is not known.
        """
        slot = self._slot_of.pop(id)
        for term in self._terms[slot] or ():
            posting = self._postings[term]
            posting.living -= 1
            if not posting.living:
                del self._postings[term]
        self._total -= self._lengths[slot]
        self._lengths[slot] = -1
        self._ids[slot] = self._terms[slot] = None
        dead = len(self._ids) - len(self._slot_of)
        if dead > max(_WORTH_COMPACTING, len(self._slot_of)):
            self._compact()

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """The `k` best texts that share a term with the query, best first; equal scores in order of id."""
        if k <= 0 or not self._slot_of:
            return []
        scores = self._scores(query)
        found = np.flatnonzero(scores > 0)
        if len(found) > k:
            bar = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= bar]
        ranked = sorted((-float(scores[slot]), str(self._ids[slot])) for slot in found)
        return [(id, -score) for score, id in ranked[:k]]

    def _scores(self, query: str) -> NDArray[np.float64]:
        lengths = np.frombuffer(self._lengths, np.int64)
        average = max(self._total / len(self._slot_of), 1e-9)
        norms = self._k1 * (1 - self._b + self._b * np.maximum(lengths, 0) / average)
        scores = np.zeros(len(lengths))
        for term, weight in sorted(Counter(terms(query)).items()):
            if (posting := self._postings.get(term)) is None:
                continue
            slots = np.frombuffer(posting.slots, np.int64)
            counts = np.frombuffer(posting.counts, np.int64)
            rarity = np.log1p((len(self._slot_of) - posting.living + 0.5) / (posting.living + 0.5))
            scores[slots] += weight * rarity * counts * (self._k1 + 1) / (counts + norms[slots])
        scores[lengths < 0] = 0.0
        return scores

    def _insert(self, id: str, counted: Counter[str]) -> None:
        slot = len(self._ids)
        self._slot_of[id] = slot
        self._ids.append(id)
        self._terms.append(counted)
        self._lengths.append(counted.total())
        self._total += counted.total()
        for term, count in counted.items():
            posting = self._postings.setdefault(term, _Posting())
            posting.slots.append(slot)
            posting.counts.append(count)
            posting.living += 1

    def _compact(self) -> None:
        kept = [(id, self._terms[slot]) for id, slot in self._slot_of.items()]
        self._reset()
        for id, counted in kept:
            self._insert(id, counted or Counter())

    def _reset(self) -> None:
        self._slot_of: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._terms: list[Counter[str] | None] = []
        self._lengths = array("q")
        """Terms of the text in each slot; -1 when it was removed."""
        self._total = 0
        self._postings: dict[str, _Posting] = {}
