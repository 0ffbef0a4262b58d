"""Batches of answers: which queries a step asks, what the policy says, and what that earns."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from actors.contracts import Draw, Failure, Prompt, Query, derive_seed
from actors.policy.expander import write
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers, Grammar, pad_left, sample
from actors.policy.tiny.tokens import Tokens
from actors.policy.tiny.worker import grammar_of
from actors.studio import Job
from actors.vocabulary import Facet
from configs.ppo import PpoSettings
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
    answers: Answers


class Roller:
    """Samples a step's answers; all its choices follow from the seed and the step."""

    def __init__(self, settings: PpoSettings, tokens: Tokens, queries: Queries, ranks: Ranks) -> None:
        if settings.batch % (ranks.size * settings.group):
            raise ValueError(f"batch {settings.batch} for {ranks.size} ranks and groups of {settings.group}")
        self._settings, self._tokens, self._queries, self._ranks = settings, tokens, queries, ranks
        self._share = settings.batch // ranks.size

    def asked(self, step: int) -> tuple[Query, ...]:
        """This rank's queries of a step, each as often as its group is large."""
        places = range(self._ranks.rank * self._share, (self._ranks.rank + 1) * self._share)
        first, group = step * self._settings.batch // self._settings.group, self._settings.group
        return tuple(self._queries(first + place // group) for place in places)

    def sample(self, model: CausalLm, step: int) -> Rollout:
        """The policy's answers to a step's queries."""
        asked = self.asked(step)
        ids, seen, grammar = self.read(asked, step)
        answers = sample(
            model,
            ids,
            seen,
            grammar,
            pad=self._tokens.pad,
            end=self._tokens.end,
            dice=[random.Random(self._seed("answer", step, place)) for place in range(len(asked))],
        )
        return Rollout(step, asked, answers)

    def read(self, asked: Sequence[Query], step: int) -> tuple[torch.Tensor, torch.Tensor, Grammar]:
        """The queries' tokens, where they are no padding, and what may be answered."""
        rows = [
            self._tokens.query(query, random.Random(self._seed("blur", step, place, self._settings.group)))
            for place, query in enumerate(asked)
        ]
        return *pad_left(rows, self._tokens.pad), grammar_of(self._tokens, asked)

    def jobs(self, rollout: Rollout) -> list[Job]:
        """The draws to make, one an answer."""
        return [
            Job(query, prompt_of(query, self._tokens.values(row), "ppo"), self._seed("draw", rollout.step, i))
            for i, (query, row) in enumerate(zip(rollout.queries, rollout.answers.ids.tolist(), strict=True))
        ]

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
        masked = Answers(answers.ids, answers.mask & judged[:, None], answers.logprobs)
        groups = torch.arange(len(scores)) // self._settings.group
        return Batch(ids, seen, grammar, masked, groups, torch.tensor(scores)), worth

    def _seed(self, what: str, step: int, place: int, group: int = 1) -> int:
        """Of an answer, or of its group, wherever it is worked on."""
        return derive_seed(self._settings.seed, what, step, (self._ranks.rank * self._share + place) // group)


def prompt_of(query: Query, values: Mapping[Facet, str], version: str) -> Prompt:
    """The prompt that an answer stands for."""
    return Prompt.of(write(query, values), query=query, strategy_id="policy", policy_version=version)
