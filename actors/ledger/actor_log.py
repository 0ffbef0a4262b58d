"""The shared ledger: one named, detached Ray actor owns the SQLite file; `ActorLog` is its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from actors.contracts import Event, content_id
from actors.errors import StageFailed, TimedOut
from actors.ledger.sql_log import SqlLog

NAMESPACE = "atelier"


class LedgerActor:
    """The owner of one database. Its process may die at any time: what it acknowledged is on disk."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._log: SqlLog | None = None

    async def append(self, events: Sequence[Event]) -> list[int]:
        """See `EventLog.append`."""
        return await self._opened().append(events)

    async def read(self, offset: int, limit: int, kinds: Collection[str] | None) -> list[tuple[int, Event]]:
        """See `EventLog.read`."""
        return await self._opened().read(offset, limit, kinds)

    async def tail(self) -> int:
        """See `EventLog.tail`."""
        return await self._opened().tail()

    def _opened(self) -> SqlLog:
        # Not in the constructor: an error there kills the actor, here it reaches the caller.
        if self._log is None:
            self._log = SqlLog(self._url)
        return self._log


class ActorLog:
    """See `EventLog`. Any number of processes may hold one; calls outlive restarts of the actor.

    The first one in a cluster starts the actor on the head node, where the file then is.
    """

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        self.url = _absolute(url)
        self.name = f"ledger-{content_id(self.url)}"
        self._timeout_s = timeout_s
        self._actor = _start(self.name, self.url)

    async def append(self, events: Sequence[Event]) -> list[int]:
        """See `EventLog.append`.

        Raises:
            TimedOut: no answer; the events may be written or not, and appending them again is harmless.
        """
        offsets: list[int] = await self._answer(self._actor.append.remote(list(events)))
        return offsets

    async def read(
        self, offset: int, limit: int, kinds: Collection[str] | None = None
    ) -> list[tuple[int, Event]]:
        """See `EventLog.read`."""
        wanted = None if kinds is None else list(kinds)
        found: list[tuple[int, Event]] = await self._answer(self._actor.read.remote(offset, limit, wanted))
        return found

    async def tail(self) -> int:
        """See `EventLog.tail`."""
        last: int = await self._answer(self._actor.tail.remote())
        return last

    async def close(self) -> None:
        """Nothing to free: the actor stays for the others."""

    async def _answer(self, reference: Any) -> Any:
        import ray

        future: Awaitable[Any] = asyncio.wrap_future(reference.future())
        try:
            return await asyncio.wait_for(future, self._timeout_s)
        except TimeoutError:
            raise TimedOut(
                f"the ledger's actor {self.name!r} ({self.url}) gave no answer within {self._timeout_s:g} s; "
                "is its node up? Raise ledger.timeout_s if it is only slow"
            ) from None
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise StageFailed(f"the ledger's actor {self.name!r} ({self.url}) is gone: {error}") from None


def _start(name: str, url: str) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Appends are idempotent, so Ray may repeat any call until the restarted actor answers.
    return ray.remote(LedgerActor).options(
        name=name,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(_head_node(), soft=False),
    ).remote(url)  # fmt: skip


def _head_node() -> str:
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    head = [node["NodeID"] for node in nodes if "node:__internal_head__" in node["Resources"]]
    return str((head or [node["NodeID"] for node in nodes])[0])


def _absolute(url: str) -> str:
    """The actor's working directory is not the client's."""
    parsed = sa.make_url(url)
    if parsed.database and parsed.database != ":memory:":
        parsed = parsed.set(database=str(Path(parsed.database).absolute()))
    return parsed.render_as_string(hide_password=False)
