"""Batches of answers: which queries a step asks, what the policy says, and what that earns."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from actors.contracts import Draw, Failure, Prompt, Query, derive_seed
from actors.policy.expander import write
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers, Grammar, pad_left, sample
from actors.policy.tiny.tokens import Tokens
from actors.policy.tiny.worker import grammar_of
from actors.studio import Job
from actors.vocabulary import Facet
from configs.ppo import PpoSettings
from train_jobs.ppo.networks import Texts
from train_jobs.ppo.rating import Earned, earned
from train_jobs.ppo.update import Batch
from train_jobs.training.ranks import Ranks

Queries = Callable[[int], Query]
"""The query of an index, for ever."""


@dataclass(frozen=True)
class Rollout:
    """This rank's answers of a step, not judged yet."""

    step: int
    queries: tuple[Query, ...]
    """Each once; it has `group` answers, one behind the other."""
    answers: Answers


class Roller:
    """Samples a step's answers; all its choices follow from the seed and the step."""

    def __init__(self, settings: PpoSettings, tokens: Tokens, queries: Queries, ranks: Ranks) -> None:
        if settings.batch % (ranks.size * settings.group):
            raise ValueError(f"batch {settings.batch} for {ranks.size} ranks and groups of {settings.group}")
        self._settings, self._tokens, self._queries, self._ranks = settings, tokens, queries, ranks
        self._share = settings.batch // settings.group // ranks.size

    def asked(self, step: int) -> tuple[Query, ...]:
        """This rank's queries of a step."""
        first = step * self._share * self._ranks.size + self._ranks.rank * self._share
        return tuple(self._queries(index) for index in range(first, first + self._share))

    def sample(self, model: CausalLm, step: int) -> Rollout:
        """The policy's answers to a step's queries."""
        asked = self.asked(step)
        ids, seen, grammar = self.read(asked, step)
        of = self._of()
        answers = sample(
            model,
            ids[of],
            seen[of],
            grammar.rows(of),
            pad=self._tokens.pad,
            end=self._tokens.end,
            dice=[random.Random(self._seed("answer", step, place)) for place in range(len(of))],
        )
        return Rollout(step, asked, answers)

    def read(self, asked: Sequence[Query], step: int) -> tuple[Tensor, Tensor, Grammar]:
        """The queries' tokens, where they are no padding, and what may be answered."""
        rows = [
            self._tokens.query(query, random.Random(self._seed("blur", step, place)))
            for place, query in enumerate(asked)
        ]
        return *pad_left(rows, self._tokens.pad), grammar_of(self._tokens, asked)

    def jobs(self, rollout: Rollout) -> list[Job]:
        """The draws to make, one an answer."""
        jobs: list[Job] = []
        for place, row in enumerate(rollout.answers.ids.tolist()):
            query = rollout.queries[place // self._settings.group]
            prompt = prompt_of(query, self._tokens.values(row), "ppo")
            jobs.append(Job(query, prompt, self._seed("draw", rollout.step, place)))
        return jobs

    def batch(self, rollout: Rollout, draws: Sequence[Draw | Failure]) -> tuple[Batch, list[Earned | None]]:
        """What is learnt from, and what each answer earned; an answer without a judgement is masked out."""
        ids, seen, grammar = self.read(rollout.queries, rollout.step)
        worth = [earned(draw) for draw in draws]
        judged = torch.tensor([each is not None for each in worth])
        scores = [
            each.reward + self._settings.admitted * each.admitted if each is not None else 0.0
            for each in worth
        ]
        answers = rollout.answers
        texts = Texts(ids, seen, self._of(), answers.ids, answers.mask & judged[:, None], grammar)
        return Batch(texts, answers.logprobs, torch.tensor(scores)), worth

    def _of(self) -> Tensor:
        return torch.arange(self._share).repeat_interleave(self._settings.group)

    def _seed(self, what: str, step: int, place: int) -> int:
        """Of a query, or of an answer, wherever it is worked on: `place` is this rank's."""
        each = self._share if what == "blur" else self._share * self._settings.group
        return derive_seed(self._settings.seed, what, step, self._ranks.rank * each + place)


def prompt_of(query: Query, values: Mapping[Facet, str], version: str) -> Prompt:
    """The prompt that an answer stands for."""
    return Prompt.of(write(query, values), query=query, strategy_id="policy", policy_version=version)
