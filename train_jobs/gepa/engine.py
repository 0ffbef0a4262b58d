"""The asynchronous engine: keeps all lanes busy and tells the search of each result as it comes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from actors.errors import StageFailed
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.errors import RunDiffers
from train_jobs.gepa.hosts import Host, Lost
from train_jobs.gepa.journal import LOG, OWN, RESULTS, Journal, read_lines, read_results, record_of
from train_jobs.gepa.lanes import Lanes
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.tasks import Evaluate, Proposed, Result, Task

LOOK_S = 0.5
"""Time between two looks at what ends a run from outside."""
LOSSES = 3
"""Times that one call may lose its worker; then it is the call that fails."""


@dataclass
class Work:
    """What the evaluation lanes did."""

    wall_s: float = 0.0
    busy_s: float = 0.0
    offered_s: float = 0.0
    """Lanes times the time they were there."""

    @property
    def use(self) -> float:
        """Share of the lanes' time that was work, 0..1."""
        return self.busy_s / self.offered_s if self.offered_s else 0.0


class Engine:
    """Drives an archipelago to its end.

    Args:
        archipelago: not started yet.
        folder: the run's, or None to keep nothing. What is in it is gone on with.
        failure_score: of an example whose call was given up.
        outside: asked now and then why the run should end; empty = go on.
        advanced: called after the search was told of a result.
    """

    def __init__(
        self,
        archipelago: Archipelago,
        folder: Path | None = None,
        *,
        failure_score: float = 0.0,
        outside: Callable[[], str] = lambda: "",
        advanced: Callable[[], None] = lambda: None,
    ) -> None:
        self.work = Work()
        self.replaying = False
        """Whether the search is being told what it knew before the run was interrupted."""
        self._archipelago, self._folder = archipelago, folder
        self._failure_score = failure_score
        self._outside, self._advanced = outside, advanced
        self._lanes = Lanes()
        self._known: dict[str, Result] = {}
        self._log: Journal | None = None
        self._own: Journal | None = None
        self._losses: Counter[str] = Counter()
        self._answers: asyncio.Queue[tuple[str, Result] | Exception | None] = asyncio.Queue()
        self._calls: set[asyncio.Task[None]] = set()
        self._failures: list[str] = []
        self._successes = 0
        self._looked = 0.0

    def join(self, host: Host) -> None:
        """Use a host from now on."""
        self._lanes.join(host)
        self._dispatch()

    def leave(self, host: Host) -> None:
        """Use a host no more."""
        self._lanes.leave(host)

    async def run(self, hosts: Sequence[Host]) -> None:
        """Go on to the end.

        Raises:
            RunDiffers: the folder's log is of another search.
            StageFailed: all first examples failed, or the folder is in use, damaged or full.
        """
        self._archipelago.start()
        try:
            if self._folder is not None:
                self._log = Journal(self._folder / LOG)
                self._own = Journal(self._folder / RESULTS / f"{OWN}.jsonl")
                self._known = read_results(self._folder)
                self._replay(self._folder / LOG)
            else:
                self._enqueue(self._archipelago.take())
            await self._drive(hosts)
        finally:
            for journal in (self._log, self._own):
                if journal is not None:
                    journal.close()

    async def _drive(self, hosts: Sequence[Host]) -> None:
        began = self._looked = time.monotonic()
        for host in hosts:
            self.join(host)
        ticker = asyncio.create_task(self._tick())
        try:
            while not self._archipelago.stopped:
                answer = await self._answers.get()
                if isinstance(answer, Exception):
                    raise answer
                if answer is not None:
                    self._learn(*answer)
        finally:
            ticker.cancel()
            for call in self._calls:
                call.cancel()
            await asyncio.gather(ticker, *self._calls, return_exceptions=True)
            self.work.wall_s = time.monotonic() - began

    def _learn(self, name: str, result: Result) -> None:
        """Write down that the search is told of a result, then tell it."""
        self._check(result)
        if self._log is not None:
            self._log.append({"take": name})
        self._archipelago.learn(name, result)
        self._enqueue(self._archipelago.take())
        self._dispatch()
        self._advanced()

    def _replay(self, log: Path) -> None:
        """Tell the search once more what it was told, in the same order."""
        self.replaying = True
        outstanding: dict[str, Task] = {}
        for line in read_lines(log):
            outstanding |= {task.name: task for task in self._archipelago.take()}
            name = line["take"]
            if name not in outstanding or name not in self._known:
                raise RunDiffers(
                    f"{log} tells of the call {name}, which this search does not ask for or whose result is "
                    "gone; accepted: a folder with all its files, the same settings, seeds and examples"
                )
            del outstanding[name]
            result = self._known.pop(name)
            self._successes += isinstance(result, Outcome) and not result.failure
            self._archipelago.learn(name, result)
        self.replaying = False
        self._enqueue([*outstanding.values(), *self._archipelago.take()])

    def _enqueue(self, tasks: Sequence[Task]) -> None:
        """Have calls made, but those whose result is on disk already."""
        for task in tasks:
            if task.name in self._known:
                self._answers.put_nowait((task.name, self._known.pop(task.name)))
            else:
                self._lanes.wait(task)

    def _dispatch(self) -> None:
        while found := self._lanes.next():
            call = asyncio.create_task(self._call(*found))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, task: Task, host: Host) -> None:
        began = time.monotonic()
        try:
            try:
                answer = await host.run(task)
            finally:
                if isinstance(task, Evaluate):
                    self.work.busy_s += time.monotonic() - began
                self._lanes.done(task, host)
            if isinstance(answer, Lost):
                self._lost(task, answer)
            else:
                self._answers.put_nowait((task.name, answer))
        except Exception as error:  # no result can stand for it, e.g. a full disk: it ends the run
            self._answers.put_nowait(error)
            return
        self._dispatch()

    def _lost(self, task: Task, lost: Lost) -> None:
        """Make a call again whose worker died before it wrote the result down, or give it up."""
        self._losses[task.name] += lost.counts
        if self._folder is not None:
            written = read_results(self._folder)
            self._known |= {name: written[name] for name in (task.name,) if name in written}
        if task.name in self._known or (lost.again and self._losses[task.name] < LOSSES):
            self._enqueue([task])
            return
        reason = (
            f"lost its worker {LOSSES} times; the last time: {lost.reason}" if lost.again else lost.reason
        )
        result: Result = Proposed({}, failure=reason)
        if isinstance(task, Evaluate):
            result = Outcome(self._failure_score, failure=reason)
        if self._own is not None:
            self._own.append(record_of(task.name, result))
        self._answers.put_nowait((task.name, result))

    def _check(self, result: Result) -> None:
        """Stop where nothing at all works: a search would only pay for failures."""
        if not isinstance(result, Outcome):
            return
        if not result.failure:
            self._successes += 1
        elif not self._successes:
            self._failures.append(result.failure)
            if len(self._failures) >= self._archipelago.validation:
                raise StageFailed(
                    f"each of the first {len(self._failures)} examples failed; the first: {self._failures[0]}"
                )

    async def _tick(self) -> None:
        """Look now and then whether the run is to end."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            self.work.offered_s += self._lanes.evaluators * (now - self._looked)
            self._looked = now
            if reason := self._outside():
                self._archipelago.stop(reason)
                self._answers.put_nowait(None)
