"""How fast one host is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.clients.limiter import Clock


class Pace:
    """At most `at_once` requests, whose starts are at least `spacing_s` seconds apart."""

    def __init__(self, at_once: int, spacing_s: float, clock: Clock) -> None:
        self.spacing_s = spacing_s
        self._clock = clock
        self._slots = asyncio.Semaphore(at_once)
        self._turn = asyncio.Lock()
        self._not_before = float("-inf")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a request may start; hold one of the slots until it is done."""
        async with self._slots:
            async with self._turn:
                while (wait := self._not_before - self._clock.now()) > 0:
                    await self._clock.sleep(wait)
                self._not_before = self._clock.now() + self.spacing_s
            yield

    def slow_down(self, spacing_s: float) -> None:
        """Never closer together than this."""
        self.spacing_s = max(self.spacing_s, spacing_s)

    def pause(self, seconds: float) -> None:
        """No request to the host within the next seconds."""
        self._not_before = max(self._not_before, self._clock.now() + seconds)
