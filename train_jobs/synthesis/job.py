"""Synthesis as a job: samples stream through the stages, are decided in order, and are written in shards.

Every shard is leased, made, written under a temporary name, renamed, listed in the manifest, and then
done in the ledger. A run that was killed goes on behind the last shard that is done; what it makes is
what the first run would have made.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.contracts import PairRecord
from actors.errors import StageFailed
from actors.ledger import EventLog, new_id
from train_jobs.synthesis import ledger
from train_jobs.synthesis.ledger import Counts
from train_jobs.synthesis.outcome import Failed, Outcome, Refused
from train_jobs.synthesis.samples import Sample, Spec
from train_jobs.synthesis.selection import Selector
from train_jobs.synthesis.store import PairStore

Progress = Callable[[str, int, int], None]
Run = Callable[[Sequence[Sample]], Awaitable[list[Outcome]]]
"""The stages: one outcome a sample, in order."""
_RECENT = 200
_CAPPED = "SpendCapReached"
_AHEAD = 1.1
"""Samples begun for each that is still expected to be needed."""


@dataclass
class _Shard:
    """Samples `first` to `end - 1`, and what is decided about them."""

    first: int
    end: int
    outcomes: list[Outcome] = field(default_factory=list)
    records: list[PairRecord] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)


@dataclass
class Synthesis:
    """One run."""

    spec: Spec
    run_stages: Run
    store: PairStore
    log: EventLog
    pairs: int
    """Accepted pairs that the dataset shall have."""
    progress: Progress = lambda stage, done, total: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it and the run begins nothing more, finishes what is under way, and keeps it."""

    async def run(self) -> dict[str, Any]:
        """Make pairs until there are enough; the answer is the summary.

        Raises:
            BadInput: the ledger is another spec's.
            StageFailed: the storage refuses a write, a pool has lost all its replicas, or most samples fail.
                What is finished stays finished.
        """
        began = time.perf_counter()
        await self._resume()
        try:
            await self._make()
        finally:
            await asyncio.to_thread(self.store.keep_unfinished, self._unfinished())
        enough = self._selector.taken.pairs >= self.pairs
        missing = await asyncio.to_thread(self.store.sweep) if enough else 0
        return self._summary(time.perf_counter() - began, missing)

    async def _resume(self) -> None:
        settings = self.spec.settings
        self._owner = new_id()
        past = await ledger.read_past(self.log, self.spec.id)
        self._counts, self._redone, self._resumed = past.counts, len(past.leased), past.taken.pairs
        self._selector = Selector(settings)
        await asyncio.to_thread(self.store.begin, past.next)
        self._selector.resume(past.taken, await asyncio.to_thread(lambda: list(self.store.hashes())))
        self._next = self._decided = past.next
        self._pictures, self._capped = past.pictures, ""
        self._outcomes = await asyncio.to_thread(self.store.take_unfinished)
        self._shards: deque[_Shard] = deque()
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._under_way: dict[asyncio.Task[list[Outcome]], int] = {}
        self.progress("pairs", past.taken.pairs, self.pairs)
        await self.log.append([ledger.started(self.spec.id, self._owner, self.pairs)])

    async def _make(self) -> None:
        try:
            while self._selector.taken.pairs < self.pairs:
                while self._may_begin():
                    await self._begin()
                await self._decide()
                if not self._under_way:
                    if self._selector.taken.pairs < self.pairs and not self._may_begin():
                        return
                    continue
                finished, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    del self._under_way[task]
                    self._take(task.result())
                await self._decide()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _may_begin(self) -> bool:
        settings = self.spec.settings
        active = sum(self._under_way.values())
        begun = self._next - self._decided
        rate = (self._selector.taken.pairs + 1) / (self._decided + 1)
        needed = _AHEAD * (self.pairs - self._selector.taken.pairs) / rate + settings.chunk
        return (
            not self.stop.is_set()
            and active + settings.chunk <= max(settings.in_flight, settings.chunk)
            and begun < min(settings.window * settings.shard, needed)
        )

    async def _begin(self) -> None:
        """Put the next few samples under way, and lease their shard if they are its first."""
        settings = self.spec.settings
        if not self._shards or self._shards[-1].end <= self._next:
            end = (self._next // settings.shard + 1) * settings.shard
            if not self._affordable(end - self._next):
                return
            await self.log.append([ledger.leased(self.spec.id, self._owner, self._next, end)])
            self._shards.append(_Shard(self._next, end))
        fresh: list[int] = []
        while self._next < self._shards[-1].end and len(fresh) < settings.chunk:
            if self._next not in self._outcomes:
                fresh.append(self._next)
            self._next += 1
        if fresh:
            samples = [self.spec.sample(index) for index in fresh]
            self._under_way[asyncio.ensure_future(self.run_stages(samples))] = len(fresh)

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Failed) and outcome.failure.kind == _CAPPED:
                self._cap(outcome.failure.message)
            else:
                self._outcomes[outcome.index] = outcome

    def _affordable(self, samples: int) -> bool:
        """Whether the cap on pictures leaves room for so many samples; if not, the run stops."""
        cap = self.spec.settings.caps.pictures
        if cap is not None and self._pictures + 2 * samples > cap:
            self._cap(f"caps.pictures {cap}: {self._pictures} may be drawn, a shard takes {2 * samples}")
            return False
        self._pictures += 2 * samples
        return True

    def _cap(self, reason: str) -> None:
        self._capped = self._capped or reason
        self.stop.set()

    async def _decide(self) -> None:
        """Decide samples in the order of their index, as far as they are made; write what is complete."""
        while self._shards:
            shard = self._shards[0]
            while self._decided < shard.end and self._decided in self._outcomes:
                self._settle(shard, self._outcomes.pop(self._decided))
                self._decided += 1
                if self._selector.taken.pairs == self.pairs:
                    shard.end = self._decided
            if self._decided < shard.end:
                return
            await self._finish(shard)
            self._shards.popleft()
            self.progress("pairs", self._selector.taken.pairs, self.pairs)
            self._give_up_if_most_fail()
            if self._selector.taken.pairs == self.pairs:
                return

    def _settle(self, shard: _Shard, outcome: Outcome) -> None:
        shard.outcomes.append(outcome)
        shard.counts.examined += 1
        self._recent.append(isinstance(outcome, Failed))
        if isinstance(outcome, Failed):
            shard.counts.quarantined[f"{outcome.failure.stage}: {outcome.failure.kind}"] += 1
        elif isinstance(outcome, Refused):
            shard.counts.refused[outcome.reason] += 1
        elif reason := self._selector.decide(outcome):
            shard.counts.refused[reason] += 1
        else:
            shard.counts.accepted += 1
            shard.records.append(outcome.record)

    async def _finish(self, shard: _Shard) -> None:
        await asyncio.to_thread(self.store.write, shard.first, shard.records)
        failed = [outcome for outcome in shard.outcomes if isinstance(outcome, Failed)]
        event = ledger.done(
            self.spec.id, self._owner, shard.first, shard.end, shard.counts, self._selector.taken, failed
        )
        await self.log.append([event])
        self._counts.add(shard.counts)

    def _give_up_if_most_fail(self) -> None:
        failed = sum(self._recent)
        if len(self._recent) == _RECENT and failed >= self.spec.settings.give_up * _RECENT:
            reasons = "; ".join(f"{n} x {what}" for what, n in self._counts.quarantined.most_common(3))
            raise StageFailed(
                f"{failed} of the last {_RECENT} samples failed ({reasons}); mend the backend and go on with "
                "--resume, or raise synthesis.give_up"
            )

    def _unfinished(self) -> list[Outcome]:
        """What is made and belongs to no finished shard, decided or not."""
        if self._selector.taken.pairs >= self.pairs:
            return []
        decided = [outcome for shard in self._shards for outcome in shard.outcomes]
        return decided + [self._outcomes[index] for index in sorted(self._outcomes)]

    def _summary(self, seconds: float, missing: int) -> dict[str, Any]:
        taken = self._selector.taken
        made = taken.pairs - self._resumed
        quarantined = self._counts.quarantined.total()
        rows = self.store.rows
        return {
            "requested": self.pairs,
            "pairs": rows,
            **self._counts.json(),
            "difference": self._counts.difference + abs(rows - self._counts.accepted) + missing,
            "hard_share": round(taken.hard / taken.pairs, 4) if taken.pairs else None,
            "quarantined_share": round(quarantined / max(1, self._counts.examined), 4),
            "resumed_pairs": self._resumed,
            "shards_redone": self._redone,
            "capped": self._capped,
            "seconds": round(seconds, 2),
            "pairs_per_second": round(made / seconds, 2) if seconds else None,
            "manifest_sha256": self.store.manifest_hash(),
        }
