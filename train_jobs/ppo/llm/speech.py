"""What a language model is asked, and what its answers are worth by their form."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from actors.contracts import Prompt, Query
from actors.policy.tiny.sampling import Answers, pad_left
from configs.ppo import LlmPolicySettings
from train_jobs.ppo.llm.sampling import Sampler
from train_jobs.ppo.llm.texts import Chat, pad_right
from train_jobs.ppo.policies import Asked
from train_jobs.ppo.rewards import overlong_penalty, penalise_unended, without_truncated


class LlmSpeech:
    """Chats and JSON, see `Chat`."""

    def __init__(self, chat: Chat, settings: LlmPolicySettings, sampler: Sampler) -> None:
        self._chat, self._settings, self._sampler = chat, settings, sampler
        self.pad, self.longest = chat.words.pad, settings.longest_answer
        self.elsewhere = sampler.elsewhere
        self._ends = torch.tensor(sorted(chat.words.ends))

    def read(self, queries: Sequence[Query], dice: Sequence[random.Random]) -> Asked:
        """See `Speech.read`: nothing is left out."""
        return Asked(*pad_left([self._chat.query(query) for query in queries], self.pad))

    async def sample(self, asked: Asked, of: Tensor, seeds: Sequence[int]) -> tuple[Answers, Tensor]:
        """See `Speech.sample`."""
        rows = [ids[seen].tolist() for ids, seen in zip(asked.ids, asked.seen, strict=True)]
        given: list[list[int]] = [[] for _ in rows]
        for row, seed in zip(of.tolist(), seeds, strict=True):
            given[row].append(seed)
        said = await self._sampler.sample(rows, given)
        ids, mask = pad_right([each.tokens for each in said], self.pad)
        logprobs = torch.zeros(ids.shape)
        logprobs[mask] = torch.tensor([number for each in said for number in each.logprobs])
        return Answers(ids, mask, logprobs), torch.tensor([each.version for each in said])

    def prompts(self, queries: Sequence[Query], answers: Answers) -> list[Prompt | None]:
        """See `Speech.prompts`: an answer is JSON, as at run time."""
        found = zip(queries, answers.ids, answers.mask, strict=True)
        return [self._chat.prompt(query, ids[mask].tolist()) for query, ids, mask in found]

    def facets(self, answers: Answers) -> None:
        """See `Speech.facets`: a token of running text is no facet."""

    def ended(self, answers: Answers) -> Tensor:
        """See `Speech.ended`."""
        return (torch.isin(answers.ids, self._ends) & answers.mask).any(1)

    def priced(self, answers: Answers, scores: Tensor) -> tuple[Tensor, Tensor]:
        """See `Speech.priced`: as the settings want it."""
        settings, ended = self._settings, self.ended(answers)
        scores = penalise_unended(scores, ended, settings.missing_end_penalty)
        if settings.overlong_buffer:
            lengths = answers.mask.sum(1)
            scores = scores + overlong_penalty(
                lengths, settings.longest_answer, settings.overlong_buffer, settings.overlong_penalty
            )
        if settings.learn_cut_off:
            return scores, answers.mask
        return scores, without_truncated(answers.mask, ~ended)

    async def publish(self, step: int) -> None:
        """See `Speech.publish`."""
        await self._sampler.publish(step)

    async def close(self) -> None:
        """See `Speech.close`."""
        await self._sampler.close()
