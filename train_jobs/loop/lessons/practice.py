"""Practice: a reward model says which answers are worth a draw, and learns from what the judge said.

    what the strategy pins down, and random answers -> [fit the model to all draws -> of the queries that it
    doubts most, draw the best answer, and one near it]* -> lessons: best answers to further queries that a
    draw of each has admitted

A contextual bandit: the query is the context, an answer the arm, an admitted first draw the reward. A search
over strategies finds what is right on the whole; what one subject in one frame needs is found here, where
every draw speaks for all queries that are like its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from actors.contracts import Draw, Failure, Prompt, Strategy, derive_seed
from actors.errors import BadInput, StageFailed
from actors.folders import replace_files
from actors.policy.expander import write
from actors.studio import Job
from actors.vocabulary import Facet, read
from configs.loop import LoopSettings
from train_jobs.loop.job import Progress
from train_jobs.loop.lessons.ascent import Found, ascend, at_random
from train_jobs.loop.winners import attempts, records
from train_jobs.ppo.rating import earned
from train_jobs.ppo.reward_model.features import Features
from train_jobs.ppo.reward_model.model import Judged, RewardModel
from train_jobs.ppo.rollout import Queries

T = TypeVar("T")
Draws = Callable[[str, Sequence[Job]], Awaitable[list[Draw | Failure]]]
"""`draws(stage, jobs)`: one draw a job, in order."""
PART = 2048
"""Queries between two files: what a kill loses."""
MODEL = "reward_model.safetensors"
JUDGED = ("admitted", "scores", "gates")
"""What is kept of `Earned`."""
TAUGHT = Strategy.of({"practice": "the answer that a reward model of judged draws holds for the best"})
"""What lessons are written by."""


@dataclass(frozen=True)
class Try:
    """An answer to the query of an index."""

    index: int
    values: dict[Facet, str]
    best: bool
    """Whether the model, or in the first round the strategy, would have it."""
    doubted: bool = False
    """Whether the query was chosen because the model doubts even its best answer."""


def rounds(draws: int, first: int, growth: float) -> list[int]:
    """Queries of each round, two draws each; a round grows with what was drawn before it.

    Args:
        draws, first: of all rounds and of the first one, 2 or more.
    """
    sizes = [min(first, draws) // 2]
    while left := draws // 2 - sum(sizes):
        sizes.append(min(left, max(1, round(sum(sizes) * growth))))
    return sizes


def to_draw(values: Sequence[float], count: int, doubted: float) -> dict[int, bool]:
    """Of the queries that were looked at, the places of those to draw, and whether each is doubted: the first
    ones, whatever is thought of them, and of the rest those whose best answer is worth least.

    Args:
        values: of the best answers, one a query.
        count: to draw, 1 up to all.
        doubted: share of them to choose by doubt, 0..1; one at least is not.
    """
    plain = max(1, count - round(count * doubted))
    rest = sorted(range(plain, len(values)), key=values.__getitem__)[: count - plain]
    return dict.fromkeys(range(plain), False) | dict.fromkeys(sorted(rest), True)


def course(folder: Path) -> list[dict[str, float]]:
    """How the rounds in a practice's folder went: draws judged so far, and, of queries that were not chosen
    by doubt, the shares admitted of the answers that were held for the best (in the first round the
    strategy's) and of the others."""
    found: dict[int, list[dict[str, Any]]] = {}
    for path in folder.glob("round-*.jsonl"):
        found.setdefault(int(path.name.split("-")[1]), []).extend(_lines(path))
    draws, went = 0, []
    for _, known in sorted(found.items()):
        draws += len(known)
        plain = [each for each in known if not each["doubted"]]
        shares = {
            name: _share([each["admitted"] for each in plain if each["best"] == best])
            for name, best in (("best", True), ("other", False))
        }
        went.append({"draws": draws, **shares})
    return went


def judged(path: Path, features: Features, queries: Queries) -> Judged:
    """The draws in a file of a round.

    Raises:
        BadInput: the grammar makes other queries now.
    """
    found = [(queries(each["index"]), each) for each in _lines(path)]
    for query, each in found:
        if query.id != each.get("query"):
            raise BadInput(
                f"{path}: query {each['index']} is {query.id} here and was {each.get('query')}; "
                "accepted: the grammar and vocabulary that the practice began with, or a new run"
            )
    return Judged.of(
        [features.row(query, each["values"]) for query, each in found],
        [each["admitted"] for _, each in found],
        [each["scores"] | features.gates(query, each["gates"]) for query, each in found],
    )


async def ahead(
    work: Callable[[range], T], parts: Sequence[tuple[Path, range]]
) -> AsyncIterator[tuple[Path, T]]:
    """What `work` makes of the queries of each part, done in a thread while the part before is drawn."""
    coming: asyncio.Task[T] | None = None
    for place, (path, indices) in enumerate(parts):
        found = await (coming or asyncio.to_thread(work, indices))
        rest = parts[place + 1 : place + 2]
        coming = asyncio.ensure_future(asyncio.to_thread(work, rest[0][1])) if rest else None
        yield path, found


class Practice:
    """One practice in a folder; started again, it goes on after what is finished, as if never stopped.

    Args:
        queries: those of indices from `start` on are practised with.
        strategy: the search's best, with which the first round begins.
        tell: may be called in other threads.
    """

    def __init__(
        self,
        settings: LoopSettings,
        queries: Queries,
        start: int,
        strategy: Strategy,
        folder: Path,
        tell: Progress = lambda stage, done, total: None,
    ) -> None:
        self._settings, self._room, self._strategy = settings, settings.practice, strategy
        self._queries, self._start, self._folder, self._tell = queries, start, folder, tell
        self._rounds = rounds(self._room.draws, self._room.first, self._room.growth)
        self.draws = 2 * sum(self._rounds) + settings.lessons
        """Made in all, lessons included."""
        self._features = Features()
        seen = self._features
        self._model = RewardModel(seen.size, seen.slots, self._room.model, settings.seed, seen.version)
        self._fitted = self._model.load(folder / MODEL) if (folder / MODEL).exists() else 0
        self._ended = threading.Event()

    async def run(self, draws: Draws) -> None:
        """Practise; what is to be learnt from it is then in `lessons-*.jsonl`, a `DistillRecord` a line.

        Raises:
            StageFailed: less than half of the draws at a time could be judged.
        """
        try:
            await self._run(draws)
        finally:
            self._ended.set()

    async def _run(self, draws: Draws) -> None:
        known, first = Judged.none(self._features.slots), self._start
        for number, count in enumerate(self._rounds):
            await self._ready(known, number)
            looked = self._room.looked if number else 1
            parts = self._parts(f"round-{number:03d}", range(first, first + count * looked), looked)
            async for path, tries in ahead(self._tries if number else self._first, _missing(parts)):
                jobs = [self._job(each) for each in tries]
                self._keep(path, tries, await draws(f"practice, round {number + 1}", jobs))
            for path, indices in parts:
                known += judged(path, self._features, self._queries)
                first = indices.stop
        await self._ready(known, len(self._rounds))
        parts = self._parts("lessons", range(first, first + self._settings.lessons))
        async for path, jobs in ahead(self._lessons, _missing(parts)):
            found = await draws("lessons", jobs)
            _refuse_unjudged(path, found)
            lines = (record.model_dump_json() for record in records(jobs, found, TAUGHT))
            replace_files(path.parent, {path.name: _text(lines)})

    async def _ready(self, known: Judged, number: int) -> None:
        """The model as a round needs it."""
        if number > self._fitted:
            await asyncio.to_thread(self._fit, known, number)

    def _lessons(self, indices: range) -> list[Job]:
        """The best answers to queries."""
        return [self._job(best) for best, _ in self._best(indices)]

    def _parts(self, name: str, indices: range, looked: int = 1) -> list[tuple[Path, range]]:
        """Files, and the queries to look at for each."""
        return [
            (self._folder / f"{name}-{part:03d}.jsonl", indices[first : first + PART * looked])
            for part, first in enumerate(range(0, len(indices), PART * looked))
        ]

    def _first(self, indices: range) -> list[Try]:
        """What the strategy pins down for each query, and something at random."""
        dice = self._dice("first", indices)
        queries = [self._queries(index) for index in indices]
        tries = []
        for index, query, job in zip(indices, queries, attempts(queries, self._strategy, 1, 0), strict=True):
            said = self._features.answer(query, read(job.prompt.text))
            row = at_random(self._features.row(query, {}), self._features.choices(query), dice)
            tries += [Try(index, said, True), Try(index, self._features.values(row, query), False)]
        return tries

    def _tries(self, indices: range) -> list[Try]:
        """What the model holds for the best answer to a query, and one near it; of as many queries as are to
        be drawn of those that are looked at."""
        dice = self._dice("near", indices)
        looked_up = list(self._best(indices))
        values = [found.value for _, found in looked_up]
        chosen = to_draw(values, len(indices) // self._room.looked, self._room.doubted)
        tries = []
        for place, doubted in chosen.items():
            best, found = looked_up[place]
            odds = torch.softmax(found.values / self._room.temperature, 0).tolist()
            near = dice.choices(found.near, odds)[0] if odds else found.best
            other = self._features.values(near, self._queries(best.index))
            tries += [replace(best, doubted=doubted), Try(best.index, other, False, doubted)]
        return tries

    def _best(self, indices: range) -> Iterator[tuple[Try, Found]]:
        queries = [self._queries(index) for index in indices]
        found = ascend(
            [self._features.row(query, {}) for query in queries],
            [self._features.choices(query) for query in queries],
            self._model.logits,
            self._room.starts,
            self._dice("best", indices),
        )
        for index, query, each in zip(indices, queries, found, strict=True):
            yield Try(index, self._features.values(each.best, query), True), each

    def _fit(self, known: Judged, number: int) -> None:
        """Make the model ready for a round."""

        def told(done: int, total: int) -> None:
            if self._ended.is_set():
                raise InterruptedError("the practice was ended while its model was fitted")
            self._tell("practice, fitting", done, total)

        looks = max(self._room.looks, round(self._room.epochs * len(known)))
        self._model.fit(known, looks, told)
        self._model.save(self._folder / MODEL, number)
        self._fitted = number

    def _job(self, each: Try) -> Job:
        query = self._queries(each.index)
        text = write(query, each.values)
        prompt = Prompt.of(text, query=query, strategy_id=TAUGHT.id, policy_version="practice")
        return Job(query, prompt, derive_seed(self._settings.seed, "practice", query.id, each.best))

    def _keep(self, path: Path, tries: Sequence[Try], found: Sequence[Draw | Failure]) -> None:
        """What was tried and what came of it; not what failed by no fault of an answer."""
        _refuse_unjudged(path, found)
        lines = (
            json.dumps(self._about(each) | {name: getattr(worth, name) for name in JUDGED})
            for each, worth in zip(tries, map(earned, found), strict=True)
            if worth is not None
        )
        replace_files(path.parent, {path.name: _text(lines)})

    def _about(self, each: Try) -> dict[str, Any]:
        return {"query": self._queries(each.index).id, **asdict(each)}

    def _dice(self, what: str, indices: range) -> random.Random:
        return random.Random(derive_seed(self._settings.seed, "practice", what, indices.start))


def _refuse_unjudged(path: Path, found: Sequence[Draw | Failure]) -> None:
    lost = [each for each in found if earned(each) is None]
    if 2 * len(lost) > len(found):
        first = lost[0].failure if isinstance(lost[0], Draw) else lost[0]
        raise StageFailed(
            f"{path.stem}: {len(lost)} of {len(found)} draws could not be judged; the first: {first}; start "
            "the run again with --resume when that is mended"
        )


def _missing(parts: Sequence[tuple[Path, range]]) -> list[tuple[Path, range]]:
    return [part for part in parts if not part[0].exists()]


def _share(admitted: Sequence[bool]) -> float:
    return sum(admitted) / max(1, len(admitted))


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
