"""One purse for all workers of a job: tokens and money are reserved here before a call is made.

What may have been spent is written down before it is: after a crash the purse goes on with the most that
can be gone, so a cap holds over any number of runs and crashes.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import fsspec

NAMESPACE = "atelier"
_BLOCK = 0.01
"""Share of a cap that is written down ahead, so that not every call writes."""


@dataclass(frozen=True)
class Amount:
    """Tokens, and money in billionths of the currency of the services' prices."""

    tokens: int = 0
    nano: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.nano + other.nano)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.nano - other.nano)


class Purse:
    """The books. `None` in a cap means there is none.

    Args:
        uri: file in which the highest possible spending stands.
        tokens: cap over input and output tokens.
        money: cap in the currency of the prices.
    """

    def __init__(self, uri: str, tokens: int | None, money: float | None) -> None:
        self._fs, self._path = fsspec.core.url_to_fs(uri)
        self._caps = {"tokens": tokens, "nano": None if money is None else int(money * 1e9)}
        self._spent = self._written = self._read()
        self._reserved: dict[str, Amount] = {}

    def reserve(self, tokens: int, nano: int) -> str:
        """Hold what a call may consume at most; the answer is a ticket, or empty when a cap forbids it."""
        most = self._possible() + Amount(tokens, nano)
        for name, cap in self._caps.items():
            if cap is not None and getattr(most, name) > cap:
                return ""
        if most.tokens > self._written.tokens or most.nano > self._written.nano:
            self._write(Amount(*(_ahead(getattr(most, name), cap) for name, cap in self._caps.items())))
        ticket = uuid.uuid4().hex
        self._reserved[ticket] = Amount(tokens, nano)
        return ticket

    def settle(self, ticket: str, tokens: int, nano: int) -> None:
        """Say what a reserved call consumed; a ticket that is not known changes nothing."""
        if self._reserved.pop(ticket, None) is not None:
            self._spent += Amount(tokens, nano)

    def spent(self) -> dict[str, float]:
        """What settled calls consumed, those of earlier runs at their highest."""
        return {"tokens": self._spent.tokens, "money": self._spent.nano / 1e9}

    def close(self) -> None:
        """Write down what is really spent; what is still reserved counts as spent."""
        self._write(self._possible())

    def _possible(self) -> Amount:
        return sum(self._reserved.values(), self._spent)

    def _read(self) -> Amount:
        try:
            return Amount(**json.loads(self._fs.cat_file(self._path)))
        except FileNotFoundError:
            return Amount()

    def _write(self, most: Amount) -> None:
        temporary = f"{self._path}.tmp"
        self._fs.makedirs(self._path.rsplit("/", 1)[0], exist_ok=True)
        self._fs.pipe_file(temporary, json.dumps(asdict(most)).encode())
        self._fs.mv(temporary, self._path)
        self._written = most


def _ahead(most: int, cap: int | None) -> int:
    """What is written down where `most` may be gone: a block more, and never more than the cap."""
    return most if cap is None else min(most + int(cap * _BLOCK), cap)


@asynccontextmanager
async def open_purse(uri: str, tokens: int | None, money: float | None) -> AsyncIterator[str]:
    """A purse as an actor on this node; yields the name under which clients find it."""
    import ray

    name = f"purse-{uuid.uuid4().hex[:12]}"
    node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    actor: Any = (
        ray.remote(Purse)
        .options(name=name, namespace=NAMESPACE, num_cpus=0, scheduling_strategy=node)
        .remote(uri, tokens, money)
    )
    try:
        yield name
    finally:
        with contextlib.suppress(ray.exceptions.RayError):
            await actor.close.remote()
        ray.kill(actor)


class PurseClient:
    """A purse as a worker reaches it, by name."""

    def __init__(self, name: str) -> None:
        import ray

        self._actor: Any = ray.get_actor(name, namespace=NAMESPACE)

    async def reserve(self, most: Amount) -> str:
        """See `Purse.reserve`."""
        ticket: str = await self._actor.reserve.remote(most.tokens, most.nano)
        return ticket

    async def settle(self, ticket: str, used: Amount) -> None:
        """See `Purse.settle`."""
        await self._actor.settle.remote(ticket, used.tokens, used.nano)
