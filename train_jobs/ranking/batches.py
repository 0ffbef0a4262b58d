"""Which pairs are seen together: batches of like length, so that little is padded. Pure.

A picture's length is its number of patches. Rows of a micro batch are padded to its longest, and the two
pictures of a pair are never parted, so a pair is as long as the longer of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actors.contracts import derive_seed
from actors.errors import BadInput

WINDOW = 16
"""Batches, at least, that are sorted by length together. More pad less, and shuffle less."""
Indices = tuple[int, ...]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """The pairs of one step, as many for every rank."""

    ranks: tuple[Indices, ...]
    """Indices of each rank's pairs."""

    @property
    def pairs(self) -> Indices:
        """Indices of all the pairs."""
        return tuple(chain.from_iterable(self.ranks))


def plan(lengths: ArrayLike, batch: int, ranks: int, seed: int, epoch: int) -> list[Batch]:
    """The batches of an epoch: every pair once, in an order of its own, which depends on nothing else.

    Pairs are shuffled, sorted by length within windows of `WINDOW` batches and more, and cut; the batches of
    all windows are shuffled again. What is left over becomes a last, short batch. If the pairs cannot be
    divided over the ranks, at most `ranks - 1` of them are dropped: they are counted off where the last
    epoch stopped, so none is dropped again before all others were.

    Args:
        lengths: of the two pictures of each pair, int [pairs, 2], 1 and up.
        batch: pairs in a batch over all ranks, a multiple of `ranks`.
        ranks: processes that train together.
        seed: of the run.
        epoch: 0 and up.

    Raises:
        BadInput: the batch cannot be divided over the ranks, or there are fewer pairs than ranks.
    """
    longest = _longest(lengths)
    if ranks < 1 or batch < 1 or batch % ranks:
        raise BadInput(
            f"a batch of {batch} pairs for {ranks} ranks; accepted: a multiple of the ranks, e.g. "
            f"{max(1, round(batch / max(1, ranks))) * max(1, ranks)}"
        )
    if len(longest) < ranks:
        raise BadInput(f"{len(longest)} pairs for {ranks} ranks; accepted: one pair a rank at least")
    rng = np.random.default_rng(derive_seed(seed, "batches", epoch))
    full: list[Integers] = []
    short: list[Integers] = []
    for window in _windows(rng.permutation(_kept(len(longest), ranks, epoch)), batch):
        by_length = window[np.argsort(longest[window], kind="stable")]
        # Taken out anywhere, lest the short batch always hold the longest pictures.
        place = batch * int(rng.integers(len(window) // batch + 1))
        rest = len(window) % batch
        if rest:
            short.append(by_length[place : place + rest])
            by_length = np.delete(by_length, slice(place, place + rest))
        full += list(by_length.reshape(-1, batch))
    shuffled = [full[place] for place in rng.permutation(len(full))]
    return [_dealt(members, ranks) for members in (*shuffled, *short)]


def micro(indices: Sequence[int], lengths: ArrayLike, max_tokens: int) -> list[Indices]:
    """Cut a rank's pairs, in order, into micro batches whose gradients are accumulated.

    Args:
        indices: the rank's pairs.
        lengths: of the two pictures of every pair, int [pairs, 2].
        max_tokens: patches of a micro batch, padding included: 2 x pairs x longest. A pair that has more
            is a micro batch of its own.
    """
    cut: list[list[int]] = []
    most = 0
    for index, longest in zip(indices, _longest(np.asarray(lengths)[list(indices)]).tolist(), strict=True):
        most = max(most, longest)
        if not cut or 2 * (len(cut[-1]) + 1) * most > max_tokens:
            cut.append([])
            most = longest
        cut[-1].append(index)
    return [tuple(members) for members in cut]


def padding_waste(batches: Iterable[Batch], lengths: ArrayLike) -> float:
    """Share 0..1 of the tokens that are padding, each rank's pictures padded to its longest."""
    rows, longest = np.asarray(lengths, np.int64), _longest(lengths)
    members = [np.asarray(rank, np.int64) for batch in batches for rank in batch.ranks if rank]
    padded = sum(2 * len(rank) * int(longest[rank].max()) for rank in members)
    return 1.0 - sum(int(rows[rank].sum()) for rank in members) / padded if padded else 0.0


def _longest(lengths: ArrayLike) -> Integers:
    """[pairs], of each the longer picture's length."""
    rows = np.asarray(lengths)
    if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu" or (rows < 1).any():
        raise BadInput(f"lengths of shape {rows.shape}, {rows.dtype}; accepted: int [pairs, 2] of 1 and up")
    longest: Integers = rows.max(axis=1).astype(np.int64)
    return longest


def _kept(pairs: int, ranks: int, epoch: int) -> Integers:
    """The pairs of an epoch: all but a few, which move on from epoch to epoch."""
    surplus = pairs % ranks
    return np.delete(np.arange(pairs), (epoch * surplus + np.arange(surplus)) % pairs)


def _windows(order: Integers, batch: int) -> list[Integers]:
    """Parts of at least `WINDOW` whole batches, alike in size: a small last one would be padded a lot."""
    whole = max(1, len(order) // batch)
    parts = np.array_split(np.arange(whole), max(1, whole // WINDOW))
    return np.split(order, [batch * int(part[0]) for part in parts[1:]])


def _dealt(members: Integers, ranks: int) -> Batch:
    """Neighbours in length stay on one rank."""
    return Batch(tuple(tuple(int(index) for index in share) for share in np.split(members, ranks)))
