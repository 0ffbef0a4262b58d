"""Ctrl-C and SIGTERM as a request to stop, for jobs that finish what they have begun."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Stop:
    """Whether a job shall stop, and which signal said so (0 = none)."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    signal: int = 0


def stop_on_signals(say: Callable[[str], None]) -> Stop:
    """The first signal asks the running loop's job to stop; a second one ends it at once."""
    stop, loop, task = Stop(), asyncio.get_running_loop(), asyncio.current_task()

    def ask(number: int) -> None:
        if stop.signal and task is not None:
            task.cancel()
            return
        stop.signal = number
        stop.event.set()
        say("stopping: what is under way is finished and kept; once more ends at once")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
    return stop
