"""What the training needs of a policy: networks that learn, and speech that asks them and reads answers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from actors.contracts import Prompt, Query
from actors.policy.tiny.sampling import Answers, Grammar
from actors.vocabulary import Facet
from train_jobs.ppo.logprobs import TokenLogProbs
from train_jobs.ppo.networks import Texts
from train_jobs.training.optimiser import Tensors


@dataclass(frozen=True)
class Asked:
    """Queries as a policy reads them."""

    ids: Tensor
    """[Q, L], left-padded."""
    seen: Tensor
    """[Q, L] bool, false at the padding."""
    grammar: Grammar | None = None
    """What answers may say; none = anything."""


class Networks(Protocol):
    """Actor, critic and the frozen reference. All tensors that go in or come out are on the CPU."""

    sharded: bool
    """Whether each rank holds a part of the weights and gradients are summed over ranks as they are made."""

    @property
    def critic(self) -> nn.Module:
        """What says values."""
        ...

    @property
    def trained(self) -> Mapping[str, Mapping[str, nn.Parameter]]:
        """Parameters by name, of `actor` and of `critic`."""
        ...

    def log_probs(self, texts: Texts, *, entropy: bool = False, mean: bool = False) -> TokenLogProbs:
        """What the actor says of answers, [B, T]; meaningless where the mask is false.

        Args:
            entropy, mean: see `token_log_probs`.
        """
        ...

    def reference(self, texts: Texts) -> Tensor:
        """What the reference says of answers, log-probabilities [B, T]; no gradients."""
        ...

    def values(self, texts: Texts) -> Tensor:
        """What the critic expects before each token of the answers, [B, T]."""
        ...

    def parts(self, texts: Texts, budget: int) -> Iterator[tuple[Texts, Tensor]]:
        """The texts in parts of so many tokens, padding included, and which answers each has.

        Where weights are sharded each rank gets as many parts, of which some may be empty.
        """
        ...

    def tensors(self) -> dict[str, Tensors]:
        """Weights of `actor`, `critic` and `reference` on the CPU: what their beginning does not tell."""
        ...

    def restore(self, tensors: Mapping[str, Tensors]) -> None:
        """Put weights back that `tensors` took."""
        ...


class Speech(Protocol):
    """How queries become tokens, how answers are sampled, and which prompts they are."""

    pad: int
    """The padding's token."""
    longest: int
    """Tokens that an answer may have."""
    elsewhere: bool
    """Whether answers are sampled from weights of their own, so that the networks may learn meanwhile."""

    def read(self, queries: Sequence[Query], dice: Sequence[random.Random]) -> Asked:
        """Queries as the policy sees them.

        Args:
            queries: one or more.
            dice: of each query, for what training leaves out of it.
        """
        ...

    async def sample(self, asked: Asked, of: Tensor, seeds: Sequence[int]) -> tuple[Answers, Tensor]:
        """Answers of the newest published weights, and how many steps each one's weights had learnt, [B].

        Args:
            asked: the queries.
            of: the query's row of each answer, [B] int64; answers to one query stand together.
            seeds: of each answer.

        Raises:
            StageFailed: the weights are not finite, or whoever samples is down.
        """
        ...

    def prompts(self, queries: Sequence[Query], answers: Answers) -> list[Prompt | None]:
        """The prompt of each answer to one query each; None where it holds none, which earns nothing."""
        ...

    def priced(self, answers: Answers, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B] with what an answer's length and end cost; the mask [B, T] of what is learnt from."""
        ...

    def facets(self, answers: Answers) -> list[list[Facet | None]] | None:
        """What each token of each answer decides, as `Tokens.facets`, without padding; None = not known."""
        ...

    def ended(self, answers: Answers) -> Tensor:
        """Whether each answer came to its end, [B] bool, and was not cut off."""
        ...

    async def publish(self, step: int) -> None:
        """From now on sample from the networks as they are after so many steps; all ranks call it."""
        ...

    async def close(self) -> None:
        """End what was started to sample."""
        ...
