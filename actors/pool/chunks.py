"""The unit of work of a pool, and the reader that cuts a stream into it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from actors.contracts import Failure


@dataclass(frozen=True)
class Chunk:
    """What one call to a replica carries."""

    method: str
    batches: tuple[Sequence[Any], ...]
    """One entry an item each."""
    constants: dict[str, Any]
    timeout_s: float
    idempotent: bool
    attempts: int = 0
    """How often a replica was given these items and failed."""

    def __len__(self) -> int:
        return len(self.batches[0])

    def split(self, size: int) -> list[Chunk]:
        """The same items in chunks of at most `size`."""
        starts = range(0, len(self), size)
        return [replace(self, batches=tuple(b[i : i + size] for b in self.batches)) for i in starts]

    def failed(self, failure: Failure) -> list[Failure]:
        """The failure of the call as the failure of each item."""
        ids = (str(getattr(item, "id", getattr(item, "sha256", ""))) for item in self.batches[0])
        return [failure.model_copy(update={"item_id": i, "attempts": max(1, self.attempts)}) for i in ids]


class Source:
    """Numbered runs of items of a sync or async stream."""

    def __init__(self, items: Iterable[Any] | AsyncIterable[Any], size: int) -> None:
        self._items = aiter(items) if isinstance(items, AsyncIterable) else _as_async(items)
        self._size = size
        self._read = 0
        self.exhausted = False

    async def read(self) -> tuple[int, list[Any]]:
        """The next items and the first one's index; fewer than `size` only at the end."""
        first = self._read
        taken: list[Any] = []
        while len(taken) < self._size and not self.exhausted:
            try:
                taken.append(await anext(self._items))
            except StopAsyncIteration:
                self.exhausted = True
        self._read += len(taken)
        return first, taken


async def _as_async(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
