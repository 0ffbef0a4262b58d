"""Which call is made next, and where: calls wait for lanes, and lanes for calls."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from train_jobs.gepa.hosts import Host
from train_jobs.gepa.tasks import Evaluate, Propose, Task


@dataclass
class _Free:
    """Lanes of a host that have nothing to do."""

    host: Host
    evaluators: int
    proposers: int


@dataclass
class Lanes:
    """Waiting calls and free lanes. A call prefers its island's host, and takes any other before it waits."""

    _free: dict[str, _Free] = field(default_factory=dict)
    _evaluations: deque[Evaluate] = field(default_factory=deque)
    _reflections: deque[Propose] = field(default_factory=deque)

    def join(self, host: Host) -> None:
        """Have a host's lanes too."""
        self._free[host.name] = _Free(host, host.evaluators, host.proposers)

    def leave(self, host: Host) -> None:
        """Have them no more; what is under way there ends by itself."""
        self._free.pop(host.name, None)

    def wait(self, task: Task) -> None:
        """Put a call behind those of its kind."""
        if isinstance(task, Propose):
            self._reflections.append(task)
        else:
            self._evaluations.append(task)

    def next(self) -> tuple[Task, Host] | None:
        """A call and the host that is to make it, which then has a lane less; None where either lacks."""
        if self._reflections and (free := self._home(self._reflections[0], "proposers")):
            free.proposers -= 1
            return self._reflections.popleft(), free.host
        if self._evaluations and (free := self._home(self._evaluations[0], "evaluators")):
            free.evaluators -= 1
            return self._evaluations.popleft(), free.host
        return None

    def done(self, task: Task, host: Host) -> None:
        """A call has ended, and its lane is free."""
        if free := self._free.get(host.name):
            kind = "proposers" if isinstance(task, Propose) else "evaluators"
            setattr(free, kind, getattr(free, kind) + 1)

    @property
    def hosts(self) -> list[Host]:
        """Those that are there."""
        return [free.host for free in self._free.values()]

    @property
    def evaluators(self) -> int:
        """Lanes for evaluations in all."""
        return sum(host.evaluators for host in self.hosts)

    def _home(self, task: Task, kind: str) -> _Free | None:
        able = [free for free in self._free.values() if getattr(free, kind) > 0]
        return max(
            able, key=lambda free: (task.island in free.host.islands, getattr(free, kind)), default=None
        )
