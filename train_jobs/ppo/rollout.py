"""Batches of answers: which queries a step asks, what the policy says, and what that earns."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from actors.contracts import Draw, Failure, Prompt, Query, derive_seed
from actors.policy.tiny.sampling import Answers
from actors.policy.tiny.tokens import WRITTEN
from actors.studio import Job
from actors.vocabulary import read_query
from configs.ppo import PpoSettings
from train_jobs.ppo.credit import credits
from train_jobs.ppo.networks import Texts
from train_jobs.ppo.policies import Asked, Speech
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
    versions: Tensor
    """How many steps the weights had learnt that said each answer, [B] int64."""
    prompts: tuple[Prompt | None, ...]
    """Of each answer; None where it holds none."""


class Roller:
    """Has a step's answers sampled; all choices follow from the seed and the step."""

    def __init__(
        self,
        settings: PpoSettings,
        speech: Speech,
        queries: Queries,
        ranks: Ranks,
        weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._settings, self._speech, self._queries, self._ranks = settings, speech, queries, ranks
        self._weights = weights
        self._share = settings.batch // settings.group // ranks.size

    def asked(self, step: int) -> tuple[Query, ...]:
        """This rank's queries of a step."""
        first = step * self._share * self._ranks.size + self._ranks.rank * self._share
        return tuple(self._queries(index) for index in range(first, first + self._share))

    async def sample(self, step: int) -> Rollout:
        """The policy's answers to a step's queries."""
        of = self._of()
        seeds = [self._seed("answer", step, place) for place in range(len(of))]
        answers, versions = await self._speech.sample(self._read(self.asked(step), step), of, seeds)
        return self.rollout(step, answers, versions)

    def rollout(self, step: int, answers: Answers, versions: Tensor) -> Rollout:
        """Answers that a step's queries have been given."""
        asked = self.asked(step)
        each = [asked[row] for row in self._of().tolist()]
        return Rollout(step, asked, answers, versions, tuple(self._speech.prompts(each, answers)))

    def jobs(self, rollout: Rollout) -> list[Job]:
        """The draws to make, one an answer that holds a prompt."""
        return [
            Job(
                rollout.queries[place // self._settings.group],
                prompt,
                self._seed("draw", rollout.step, place),
            )
            for place, prompt in enumerate(rollout.prompts)
            if prompt is not None
        ]

    def batch(self, rollout: Rollout, draws: Sequence[Draw | Failure]) -> tuple[Batch, list[Earned | None]]:
        """What is learnt from, and what each answer earned; an answer without a judgement is masked out.

        Args:
            draws: of `jobs`, in order.
        """
        asked = self._read(rollout.queries, rollout.step)
        worth = list(_worth(rollout, draws))
        judged = torch.tensor([each is not None for each in worth])
        scores = [
            each.reward + self._settings.admitted * each.admitted if each is not None else 0.0
            for each in worth
        ]
        answers = rollout.answers
        priced, mask = self._speech.priced(answers, torch.tensor(scores))
        texts = Texts(asked.ids, asked.seen, self._of(), answers.ids, mask & judged[:, None], asked.grammar)
        return Batch(texts, answers.logprobs, priced, self._credits(rollout, worth)), worth

    def _credits(self, rollout: Rollout, worth: Sequence[Earned | None]) -> Tensor | None:
        """What each token earned by itself, [B, T]; None where nothing is known of that."""
        facets = self._speech.facets(rollout.answers) if self._settings.credit else None
        if facets is None:
            return None
        paid = torch.zeros(rollout.answers.ids.shape)
        for row, (earned_, said) in enumerate(zip(worth, facets, strict=True)):
            if earned_ is not None:
                asked = read_query(rollout.queries[row // self._settings.group])
                named = {facet for facet in WRITTEN if asked.keys(facet)}
                shares = credits(earned_.scores, self._weights, named, WRITTEN, said)
                paid[row, : len(said)] = self._settings.credit * torch.tensor(shares)
        return paid

    def _read(self, asked: Sequence[Query], step: int) -> Asked:
        dice = [random.Random(self._seed("blur", step, place)) for place in range(len(asked))]
        return self._speech.read(asked, dice)

    def _of(self) -> Tensor:
        return torch.arange(self._share).repeat_interleave(self._settings.group)

    def _seed(self, what: str, step: int, place: int) -> int:
        """Of a query, or of an answer, wherever it is worked on: `place` is this rank's."""
        each = self._share if what == "blur" else self._share * self._settings.group
        return derive_seed(self._settings.seed, what, step, self._ranks.rank * each + place)


def _worth(rollout: Rollout, draws: Sequence[Draw | Failure]) -> Iterator[Earned | None]:
    """What each answer earned: nothing, if it holds no prompt."""
    drawn = iter(draws)
    for prompt in rollout.prompts:
        yield earned(next(drawn)) if prompt is not None else Earned(0.0, False, False)
