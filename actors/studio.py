"""The one path that everybody uses: propose -> audit -> draw -> judge -> reward -> remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from actors.bank.bank import PromptBank
from actors.contracts import (
    AuditVerdict,
    Draw,
    Failure,
    Judgement,
    Memory,
    Picture,
    Prompt,
    Query,
    Recall,
    Reward,
    Strategy,
    content_id,
    derive_seed,
)
from actors.reward import causes, reward
from actors.roles import Roles
from actors.scorer.request import request_text
from configs.reward import RewardSettings


@dataclass(frozen=True)
class Job:
    """One draw to make: which prompt for which query, with which seed."""

    query: Query
    prompt: Prompt
    seed: int
    index: int = 0


@dataclass(frozen=True)
class Studio:
    """The imagine loop over a bundle of roles.

    `chunk` draws travel together through the stages, and `chunks_in_flight` chunks at once, so that
    generating one overlaps with judging another.
    """

    roles: Roles
    settings: RewardSettings = field(default_factory=RewardSettings)
    bank: PromptBank | None = None
    chunk: int = 8
    chunks_in_flight: int = 4

    async def imagine(
        self, queries: Sequence[Query], strategy: Strategy, *, n: int = 1, seed: int = 0
    ) -> list[list[Draw]]:
        """`n` draws for each query, one for each of `n` prompts, in order.

        A query that fails (refused by the audit, policy down) has one draw that holds its failure.
        """
        drawn: dict[str, list[Draw]] = {query.id: [] for query in queries}
        jobs: list[Job] = []
        for query, prompts in zip(queries, await self.propose(queries, strategy, n, seed), strict=True):
            if isinstance(prompts, Failure):
                drawn[query.id].append(Draw(query_id=query.id, index=0, failure=prompts))
            else:
                jobs += [
                    Job(query, prompt, derive_seed(seed, query.seed, query.id, index), index)
                    for index, prompt in enumerate(prompts)
                ]
        async for draw in self.stream(jobs):
            drawn[draw.query_id].append(draw)
        return [sorted(drawn[query.id], key=lambda draw: draw.index) for query in queries]

    async def propose(
        self, queries: Sequence[Query], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        """Prompts for each query that the audit lets pass, with what the bank recalls."""
        verdicts = await self.roles.audit.check([query.words for query in queries])
        allowed = [i for i, verdict in enumerate(verdicts) if _refusal(verdict, queries[i].id) is None]
        asked = [queries[i] for i in allowed]
        recalls = [self.bank.recall(query) if self.bank is not None else Recall() for query in asked]
        proposals = await self.roles.policy.propose(asked, recalls, strategy, n, seed) if asked else []
        answers: list[list[Prompt] | Failure] = [
            _refusal(verdict, query.id) or [] for verdict, query in zip(verdicts, queries, strict=True)
        ]
        for i, proposal in zip(allowed, proposals, strict=True):
            answers[i] = proposal
        return answers

    async def stream(self, jobs: Iterable[Job]) -> AsyncIterator[Draw]:
        """Every job's draw, as chunks finish; memory does not grow with the number of jobs."""
        pending: set[asyncio.Task[list[Draw]]] = set()
        chunks = _chunks(jobs, self.chunk)
        exhausted = False
        try:
            while pending or not exhausted:
                while not exhausted and len(pending) < self.chunks_in_flight:
                    chunk = next(chunks, None)
                    if chunk is None:
                        exhausted = True
                    else:
                        pending.add(asyncio.create_task(self._run(chunk)))
                if not pending:
                    break
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    for draw in task.result():
                        yield draw
        finally:
            for task in pending:
                task.cancel()

    async def evaluate(self, jobs: Sequence[Job]) -> list[Draw]:
        """`stream`, gathered in the order of the jobs."""
        numbered = [Job(job.query, job.prompt, job.seed, i) for i, job in enumerate(jobs)]
        draws = {draw.index: draw async for draw in self.stream(numbered)}
        return [draws[i].model_copy(update={"index": jobs[i].index}) for i in range(len(jobs))]

    async def draw_each(
        self,
        queries: Sequence[Query],
        prompts: Sequence[Prompt | Failure],
        count: int,
        seed: int,
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Draw]:
        """`count` draws of each query's prompt, in the order of the queries.

        Draw seeds follow from `seed`, query and turn alone: draws with other prompts are paired with these.
        A failure in place of a prompt stands for all of its draws.
        """
        drawn: dict[int, Draw] = {}
        jobs: list[Job] = []
        for place, (query, prompt) in enumerate(zip(queries, prompts, strict=True)):
            for turn in range(count):
                index = place * count + turn
                if isinstance(prompt, Failure):
                    drawn[index] = Draw(query_id=query.id, index=index, failure=prompt)
                else:
                    jobs.append(Job(query, prompt, derive_seed(seed, "evaluate", query.id, turn), index))
        total = len(jobs)
        async for draw in self.stream(jobs):
            drawn[draw.index] = draw
            tell(len(drawn), total)
        return [drawn[index] for index in sorted(drawn)]

    async def _run(self, jobs: list[Job]) -> list[Draw]:
        results: list[Draw | None] = [None] * len(jobs)
        verdicts = await self.roles.audit.check([job.prompt.text for job in jobs])
        live: list[int] = []
        for i, verdict in enumerate(verdicts):
            refusal = _refusal(verdict, jobs[i].prompt.id)
            if refusal:
                results[i] = _failed(jobs[i], refusal)
            else:
                live.append(i)
        pictures: dict[int, Picture] = {}
        drawn = await self.roles.generator.draw([jobs[i].prompt for i in live], [jobs[i].seed for i in live])
        for i, picture in zip(live, drawn, strict=True):
            if isinstance(picture, Failure):
                results[i] = _failed(jobs[i], picture)
            else:
                pictures[i] = picture
        await self._judge(jobs, pictures, results)
        return [draw for draw in results if draw is not None]

    async def _judge(self, jobs: list[Job], pictures: dict[int, Picture], results: list[Draw | None]) -> None:
        drawn = list(pictures.values())
        if not drawn:
            return
        judged, audited = await asyncio.gather(
            self.roles.judge.judge(drawn, [jobs[i].query for i in pictures]), self.roles.audit.check(drawn)
        )
        scored = (
            await self.roles.scorer.score(drawn, [request_text(jobs[i].query) for i in pictures])
            if self.roles.scorer
            else [None] * len(drawn)
        )
        memories: list[Memory] = []
        for i, judgement, verdict, scores in zip(pictures, judged, audited, scored, strict=True):
            job, picture = jobs[i], pictures[i]
            if isinstance(judgement, Failure) or isinstance(verdict, Failure) or isinstance(scores, Failure):
                failure = next(
                    answer for answer in (judgement, verdict, scores) if isinstance(answer, Failure)
                )
                results[i] = _failed(job, failure, picture)
                continue
            outcome = reward(job.query, job.prompt, judgement, {"picture": verdict}, self.settings, scores)
            versions = {**outcome.versions, "generator": picture.generator_version}
            outcome = outcome.model_copy(update={"versions": versions})
            results[i] = Draw(
                query_id=job.query.id,
                index=job.index,
                prompt=job.prompt,
                picture=picture,
                judgement=judgement,
                reward=outcome,
            )
            memories.append(_memory(job, picture, judgement, outcome, causes(outcome, self.settings)))
        if self.bank is not None:
            await self.bank.remember(memories)


def best(draws: Sequence[Draw]) -> Draw | None:
    """The draw to hand out: admitted before not admitted, then the highest reward; None if all failed."""
    finished = [draw for draw in draws if draw.reward is not None]
    return max(finished, key=lambda d: (d.admitted, d.reward.value if d.reward else 0.0), default=None)


def _refusal(verdict: AuditVerdict | Failure, item_id: str) -> Failure | None:
    if isinstance(verdict, Failure):
        return verdict
    if verdict.allowed:
        return None
    return Failure(
        stage="audit",
        kind="Refused",
        message=f"the audit refuses this text: {', '.join(verdict.reasons)}",
        item_id=item_id,
    )


def _failed(job: Job, failure: Failure, picture: Picture | None = None) -> Draw:
    return Draw(query_id=job.query.id, index=job.index, prompt=job.prompt, picture=picture, failure=failure)


def _memory(
    job: Job, picture: Picture, judgement: Judgement, outcome: Reward, why: tuple[str, ...]
) -> Memory:
    return Memory(
        id=f"m-{content_id(job.query.id, job.prompt.id, picture.sha256, outcome.value)}",
        query=job.query.text,
        lang=job.query.lang,
        aspect=job.query.aspect,
        prompt=job.prompt.text,
        reward=outcome.value,
        admitted=outcome.admitted,
        causes=why,
        scores={str(name): score for name, score in judgement.scores.items() if score is not None},
        time=time.time(),
        provenance={"query_id": job.query.id, "prompt_id": job.prompt.id, "picture": picture.sha256},
    )


def _chunks(jobs: Iterable[Job], size: int) -> Iterator[list[Job]]:
    iterator = iter(jobs)
    while chunk := list(islice(iterator, size)):
        yield chunk
