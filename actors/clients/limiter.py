"""How many attempts a service is given at once: one more after each round of successes, half after a 429."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Time and waiting, replaceable in tests."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Limiter:
    """Additive increase, multiplicative decrease between 1 and `most`. Belongs to one event loop."""

    def __init__(self, most: int, clock: Clock) -> None:
        self.limit = float(most)
        self._most = float(most)
        self._clock = clock
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pause_until = 0.0
        self._lowered_at = float("-inf")

    async def __aenter__(self) -> float:
        """Wait for a slot and for the end of a pause; gives the time at which the attempt starts."""
        while self._busy >= int(self.limit):
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake()
                raise
        self._busy += 1
        try:
            while (pause := self._pause_until - self._clock.now()) > 0:
                await self._clock.sleep(pause)
        except BaseException:
            self._release()
            raise
        return self._clock.now()

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def faster(self) -> None:
        """An attempt succeeded."""
        self.limit = min(self._most, self.limit + 1.0 / self.limit)
        self._wake()

    def slower(self, started: float, pause_s: float) -> None:
        """An attempt that began at `started` was answered 429: pause all, and halve once a round."""
        now = self._clock.now()
        self._pause_until = max(self._pause_until, now + pause_s)
        if started > self._lowered_at:
            self.limit = max(1.0, self.limit / 2)
            self._lowered_at = now

    def _release(self) -> None:
        self._busy -= 1
        self._wake()

    def _wake(self) -> None:
        free = int(self.limit) - self._busy
        while free > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                free -= 1
