"""Which sequences are computed together, within a budget of padded tokens, and on which rank. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from actors.errors import BadInput


def micro_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """The fewest micro-batches whose padded size (sequences * the longest) is within the budget.

    Args:
        lengths: tokens of each sequence, 1 or more.
        budget: padded tokens a micro-batch may have; a sequence that is longer is alone in its own.

    Returns:
        Indices into `lengths`, each once; longest first, in and among the micro-batches. Deterministic.

    Raises:
        BadInput: a length or the budget is below 1.
    """
    for name, given in (("length", min(lengths, default=1)), ("token budget", budget)):
        if given < 1:
            raise BadInput(f"a {name} of {given}; accepted: 1 or more")
    batches: list[list[int]] = []
    # In falling order a batch's first sequence is its longest, and its neighbours waste the least padding.
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def spread_over_ranks(lengths: Sequence[int], budget: int, ranks: int) -> list[list[list[int]]]:
    """Micro-batches of every rank: as many on each, since the ranks meet in collectives.

    Micro-batches are split, the largest first, until each rank has as many; where there are too few
    sequences for that, some are empty. Those with the same position on different ranks are of like size, so
    that no rank waits long, and the ranks' padded totals differ by no more than the largest micro-batch.

    Args:
        lengths: tokens of each sequence of all ranks, 1 or more.
        budget: padded tokens a micro-batch may have.
        ranks: 1 or more.

    Returns:
        [rank][micro-batch] -> indices into `lengths`. Deterministic.

    Raises:
        BadInput: a number is below 1.
    """
    if ranks < 1:
        raise BadInput(f"{ranks} ranks; accepted: 1 or more")
    batches = micro_batches(lengths, budget)
    batches = _split(batches, lengths, -len(batches) % ranks)
    batches.sort(key=lambda batch: -_padded(batch, lengths))
    spread: list[list[list[int]]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for first in range(0, len(batches), ranks):
        for rank, batch in zip(
            sorted(range(ranks), key=loads.__getitem__), batches[first : first + ranks], strict=True
        ):
            spread[rank].append(batch)
            loads[rank] += _padded(batch, lengths)
    return spread


def _split(batches: list[list[int]], lengths: Sequence[int], more: int) -> list[list[int]]:
    """So many micro-batches more, halving the largest that can be; empty ones where none can."""
    single = [batch for batch in batches if len(batch) == 1]
    heap = [(-_padded(batch, lengths), batch) for batch in batches if len(batch) > 1]
    heapq.heapify(heap)
    for _ in range(more):
        batch = heapq.heappop(heap)[1] if heap else []
        middle = (len(batch) + 1) // 2
        for half in (batch[:middle], batch[middle:]) if batch else ([],):
            if len(half) > 1:
                heapq.heappush(heap, (-_padded(half, lengths), half))
            else:
                single.append(half)
    return single + [batch for _, batch in heap]


def _padded(batch: Sequence[int], lengths: Sequence[int]) -> int:
    return len(batch) * max((lengths[index] for index in batch), default=0)
