"""Answers sampled in the trainer's own process, for CPUs and tests; and who samples, as speech sees it."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from actors.errors import StageFailed
from actors.policy.tiny.sampling import draw, pad_left
from train_jobs.ppo.llm.networks import LlmNetworks


@dataclass(frozen=True)
class Said:
    """One sampled answer, at temperature 1."""

    tokens: tuple[int, ...]
    """Its end included, unless it was cut off."""
    logprobs: tuple[float, ...]
    version: int
    """How many steps the weights of its last token had learnt."""


class Sampler(Protocol):
    """Samples from the weights that were published last."""

    elsewhere: bool

    async def sample(self, queries: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> list[Said]:
        """Answers to queries, as many to each as it has seeds; those of a query stand together."""
        ...

    async def publish(self, step: int) -> None:
        """See `Speech.publish`."""
        ...

    async def close(self) -> None:
        """End what was started."""
        ...


class LocalSampler:
    """Samples from the networks themselves, token by token.

    Args:
        longest: tokens of an answer.
        ends: tokens that end one.
        rows: answers that are sampled together; the same on every rank.
    """

    elsewhere = False

    def __init__(
        self, networks: LlmNetworks, *, longest: int, ends: Collection[int], pad: int, rows: int
    ) -> None:
        self._networks, self._longest, self._pad, self._rows = networks, longest, pad, rows
        self._ends = torch.tensor(sorted(ends))
        self._version = 0

    async def sample(self, queries: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> list[Said]:
        """See `Sampler.sample`: an answer follows from its seed, whatever else is sampled."""
        asked = [
            (query, random.Random(seed)) for query, each in zip(queries, seeds, strict=True) for seed in each
        ]
        found: list[Said] = []
        for first in range(0, len(asked), self._rows):
            found += self._together(*zip(*asked[first : first + self._rows], strict=True))
        return found

    async def publish(self, step: int) -> None:
        """See `Speech.publish`: the networks themselves are sampled from."""
        self._version = step

    async def close(self) -> None:
        """Nothing to end."""

    def _together(self, queries: Sequence[Sequence[int]], dice: Sequence[random.Random]) -> list[Said]:
        ids, seen = pad_left(queries, self._pad)
        going, cache = torch.ones(len(ids), dtype=torch.bool), None
        tokens: list[Tensor] = []
        logprobs: list[Tensor] = []
        live: list[Tensor] = []
        while len(tokens) < self._longest and self._networks.anyone(bool(going.any())):
            chosen, logprob, cache = self._next(ids, seen, cache, dice)
            chosen = torch.where(going, chosen, self._pad)
            tokens.append(chosen)
            logprobs.append(logprob)
            live.append(going)
            going = going & ~torch.isin(chosen, self._ends)
            ids, seen = chosen[:, None], torch.cat([seen, live[-1][:, None]], dim=1)
        lengths = torch.stack(live, 1).sum(1).tolist()
        said, sure = torch.stack(tokens, 1).tolist(), torch.stack(logprobs, 1).tolist()
        return [
            Said(tuple(row[:length]), tuple(numbers[:length]), self._version)
            for row, numbers, length in zip(said, sure, lengths, strict=True)
        ]

    def _next(
        self, ids: Tensor, seen: Tensor, cache: Any, dice: Sequence[random.Random]
    ) -> tuple[Tensor, Tensor, Any]:
        logits, cache = self._networks.next_logits(ids, seen, cache)
        if not bool(logits.isfinite().all()):
            raise StageFailed(
                "the model's logits are not finite, so nothing can be sampled; its weights are spoilt: go on "
                "from an earlier checkpoint with a lower ppo.lr"
            )
        chosen = draw(logits, dice)
        return chosen, logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0], cache
