"""Practice: a reward model says which answers are worth a draw, and learns from what the judge said.

    the strategy's answers, and random ones -> [fit the model to all draws -> draw each query's best answer,
    and one near it]* -> lessons: the best answers to further queries that a draw of each has admitted

A contextual bandit: the query is the context, an answer the arm, an admitted first draw the reward. A search
over strategies finds what is right on the whole; what one subject in one frame needs is found here, where
every draw speaks for all queries that are like its own.
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from actors.contracts import DistillRecord, Draw, Failure, Prompt, Query, Strategy, derive_seed
from actors.errors import StageFailed
from actors.folders import replace_files
from actors.policy.expander import write
from actors.studio import Job
from actors.vocabulary import Facet, read
from configs.loop import LoopSettings
from train_jobs.loop.lessons.ascent import Found, ascend, at_random
from train_jobs.loop.lessons.features import Features
from train_jobs.loop.lessons.reward_model import Judged, RewardModel
from train_jobs.loop.winners import attempts, records
from train_jobs.ppo.rating import earned

Queries = Callable[[int], Query]
"""The query of an index, for ever."""
Draws = Callable[[str, Sequence[Job]], Awaitable[list[Draw | Failure]]]
"""`draws(stage, jobs)`: one draw a job, in order."""
Tell = Callable[[str, int, int], None]
AT_ONCE = 256
"""Queries whose answers are looked up at once."""
TAUGHT = Strategy.of({"practice": "the answer that a reward model of judged draws holds for the best"})
"""What lessons are written by."""


@dataclass(frozen=True)
class Try:
    """An answer to the query of an index."""

    index: int
    values: dict[Facet, str]


def rounds(draws: int, first: int, growth: float) -> list[int]:
    """Queries of each round, two draws each; a round grows with what was drawn before it."""
    sizes, left = [min(first, draws) // 2], (draws - min(first, draws)) // 2
    while left > 0:
        sizes.append(min(left, max(1, round(sum(sizes) * growth))))
        left -= sizes[-1]
    return sizes


def course(folder: Path) -> list[dict[str, float]]:
    """How the rounds in a practice's folder went: draws made so far, and the shares admitted of the answers
    that were held for the best (in the first round the strategy's) and of the others."""
    found: list[dict[str, float]] = []
    draws = 0
    for path in sorted(folder.glob("round-*.jsonl")):
        best: dict[int, bool] = {}
        other: dict[int, bool] = {}
        for each in _lines(path):
            (other if each["index"] in best else best)[each["index"]] = each["admitted"]
        draws += len(best) + len(other)
        found.append({"draws": draws, "best": _share(best), "other": _share(other)})
    return found


class Practice:
    """One practice in a folder; started again, it goes on after its last finished round.

    Args:
        queries: those of indices from `start` on are practised with.
        strategy: the search's best, with which the first round begins.
    """

    def __init__(
        self,
        settings: LoopSettings,
        queries: Queries,
        start: int,
        strategy: Strategy,
        folder: Path,
        tell: Tell = lambda stage, done, total: None,
    ) -> None:
        self._settings, self._room, self._strategy = settings, settings.practice, strategy
        self._queries, self._start, self._folder, self._tell = queries, start, folder, tell
        self._rounds = rounds(self._room.draws, self._room.first, self._room.growth)
        self.draws = 2 * sum(self._rounds) + settings.lessons
        """Made in all, lessons included."""
        self._features = Features()
        self._model = RewardModel(self._features.size, self._features.slots, self._room.model, settings.seed)

    async def run(self, draws: Draws) -> list[DistillRecord]:
        """Practise; the answer is the lessons.

        Raises:
            StageFailed: no draw of a round could be judged.
        """
        known, first = Judged.none(self._features.slots), self._start
        for number, count in enumerate(self._rounds):
            indices = range(first, first + count)
            path = self._folder / f"round-{number:02d}.jsonl"
            if not path.exists():
                tries = await asyncio.to_thread(self._tries, known, indices)
                jobs = [self._job(each, place) for place, each in enumerate(tries)]
                self._write(path, tries, await draws(f"practice, round {number + 1}", jobs))
            known, first = known + self._judged(path), indices.stop
        indices = range(first, first + self._settings.lessons)
        jobs = await asyncio.to_thread(self._lessons, known, indices)
        return records(jobs, await draws("lessons", jobs), TAUGHT)

    def _first(self, indices: range) -> list[Try]:
        """What the strategy says of each query, and something at random."""
        queries = [self._queries(index) for index in indices]
        dice = self._dice("first", indices)
        tries = []
        for index, query, job in zip(indices, queries, attempts(queries, self._strategy, 1, 0), strict=True):
            written, row = read(job.prompt.text), self._features.row(query, {})
            tries.append(Try(index, self._features.answer(query, written)))
            row = at_random(row, self._features.choices(query), dice)
            tries.append(Try(index, self._features.values(row, query)))
        return tries

    def _tries(self, known: Judged, indices: range) -> list[Try]:
        """What the model holds for the best answer to each query, and one near it."""
        if not len(known):
            return self._first(indices)
        self._fit(known)
        dice = self._dice("near", indices)
        tries = []
        for best, found in self._best(indices):
            odds = torch.softmax(found.values / self._room.temperature, 0).tolist()
            near = dice.choices(found.near, odds)[0] if odds else found.best
            tries += [best, Try(best.index, self._features.values(near, self._queries(best.index)))]
        return tries

    def _lessons(self, known: Judged, indices: range) -> list[Job]:
        self._fit(known)
        return [self._job(each, 0) for each, _ in self._best(indices)]

    def _best(self, indices: range) -> Iterator[tuple[Try, Found]]:
        dice = self._dice("best", indices)
        for first in range(indices.start, indices.stop, AT_ONCE):
            part = range(first, min(first + AT_ONCE, indices.stop))
            queries = [self._queries(index) for index in part]
            found = ascend(
                [self._features.row(query, {}) for query in queries],
                [self._features.choices(query) for query in queries],
                self._model.logits,
                self._room.starts,
                dice,
            )
            for index, query, each in zip(part, queries, found, strict=True):
                yield Try(index, self._features.values(each.best, query)), each

    def _fit(self, known: Judged) -> None:
        looks = max(self._room.looks, round(self._room.epochs * len(known)))
        self._model.fit(known, looks, functools.partial(self._tell, "practice, fitting"))

    def _job(self, each: Try, place: int) -> Job:
        query = self._queries(each.index)
        text = write(query, each.values)
        prompt = Prompt.of(text, query=query, strategy_id=TAUGHT.id, policy_version="practice")
        return Job(query, prompt, derive_seed(self._settings.seed, "practice", query.id, place % 2))

    def _write(self, path: Path, tries: Sequence[Try], found: Sequence[Draw | Failure]) -> None:
        """What was tried and came of it, a JSON line each; not what failed by no fault of an answer."""
        lines = [
            json.dumps({**asdict(each), "admitted": worth.admitted, "scores": dict(worth.scores)})
            for each, worth in zip(tries, map(earned, found), strict=True)
            if worth is not None
        ]
        if not lines:
            failures = [draw.failure if isinstance(draw, Draw) else draw for draw in found]
            first = next((failure for failure in failures if failure is not None), None)
            raise StageFailed(f"{path.stem}: none of {len(found)} draws could be judged; the first: {first}")
        replace_files(path.parent, {path.name: "".join(f"{line}\n" for line in lines).encode()})

    def _judged(self, path: Path) -> Judged:
        found = _lines(path)
        return Judged.of(
            [self._features.row(self._queries(each["index"]), each["values"]) for each in found],
            [each["admitted"] for each in found],
            [each["scores"] for each in found],
        )

    def _dice(self, what: str, indices: range) -> random.Random:
        return random.Random(derive_seed(self._settings.seed, "practice", what, indices.start))


def _share(admitted: Mapping[int, bool]) -> float:
    return sum(admitted.values()) / max(1, len(admitted))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
