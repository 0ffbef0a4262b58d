"""Prompts by a strategy, and the admitted ones as records that a policy learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.artifacts import Artifacts
from actors.contracts import DistillRecord, Draw, Failure, Query, Recall, Strategy, derive_seed
from actors.policy.expander import Expander
from actors.studio import Job
from configs.policy import ExpanderSettings


def attempts(queries: Sequence[Query], strategy: Strategy, n: int, seed: int) -> list[Job]:
    """The draws to make: `n` prompts a query, the strategy's own first, then variants of it."""
    expander = Expander(ExpanderSettings(), Artifacts("memory://attempts"))
    answers = expander.propose(queries, [Recall()] * len(queries), strategy, n, seed)
    return [
        Job(query, prompt, derive_seed(seed, "attempt", query.id, turn), turn)
        for query, prompts in zip(queries, answers, strict=True)
        if not isinstance(prompts, Failure)
        for turn, prompt in enumerate(prompts)
    ]


def records(jobs: Sequence[Job], draws: Iterable[Draw | Failure], strategy: Strategy) -> list[DistillRecord]:
    """The admitted ones (rejection sampling)."""
    return [
        DistillRecord(
            query=job.query, prompt=job.prompt, reward=draw.reward, strategy=strategy, seed=job.seed
        )
        for job, draw in zip(jobs, draws, strict=True)
        if isinstance(draw, Draw) and draw.admitted and draw.reward is not None
    ]
