"""The tiny policy as PPO trains it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from actors.contracts import Prompt, Query
from actors.errors import BadInput
from actors.policy.expander import write
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers, pad_left, sample
from actors.policy.tiny.tokens import LONGEST_ANSWER, Tokens
from actors.policy.tiny.worker import grammar_of
from actors.vocabulary import Facet
from train_jobs.ppo.logprobs import TokenLogProbs
from train_jobs.ppo.microbatches import micro_batches
from train_jobs.ppo.networks import Critic, Texts, answer_log_probs
from train_jobs.ppo.policies import Asked, Networks, Speech
from train_jobs.training.optimiser import Tensors, copied


class TinyNetworks:
    """Three transformers, the same on every rank.

    Args:
        actor: trained in place; the reference is what it is now.
        pad: the padding's token.
    """

    sharded = False

    def __init__(self, actor: CausalLm, pad: int) -> None:
        self.actor, self.critic = actor, Critic(actor)
        self._frozen = copy.deepcopy(actor).requires_grad_(False).eval()
        self._pad = pad

    @property
    def trained(self) -> dict[str, dict[str, nn.Parameter]]:
        """See `Networks.trained`."""
        return {kind: dict(model.named_parameters()) for kind, model in self._trained().items()}

    def log_probs(self, texts: Texts, *, entropy: bool = False, mean: bool = False) -> TokenLogProbs:
        """See `Networks.log_probs`."""
        return answer_log_probs(self.actor, texts, self._pad, entropy=entropy, mean=mean)

    def reference(self, texts: Texts) -> Tensor:
        """See `Networks.reference`."""
        return answer_log_probs(self._frozen, texts, self._pad).log_probs

    def values(self, texts: Texts) -> Tensor:
        """See `Networks.values`."""
        values: Tensor = self.critic(texts)
        return values

    def parts(self, texts: Texts, budget: int) -> Iterator[tuple[Texts, Tensor]]:
        """Whole queries, since their answers share one reading."""
        answers = torch.bincount(texts.of, minlength=len(texts.queries)) * texts.answers.shape[1]
        lengths = (texts.seen.sum(1) + answers).tolist()
        for rows in micro_batches(lengths, budget):
            yield texts.of_queries(torch.tensor(rows))

    def tensors(self) -> dict[str, Tensors]:
        """See `Networks.tensors`."""
        models = {**self._trained(), "reference": self._frozen}
        return {kind: copied(model) for kind, model in models.items()}

    def restore(self, tensors: Mapping[str, Tensors]) -> None:
        """See `Networks.restore`."""
        for kind, model in {**self._trained(), "reference": self._frozen}.items():
            model.load_state_dict(tensors[kind])

    def _trained(self) -> dict[str, nn.Module]:
        return {"actor": self.actor, "critic": self.critic}


class TinySpeech:
    """Facets as tokens, under the grammar; sampled here. Every answer has its end.

    Args:
        actor: what is sampled from.
        tokens: of the actor.
    """

    longest = LONGEST_ANSWER
    elsewhere = False

    def __init__(self, actor: CausalLm, tokens: Tokens) -> None:
        self._actor, self._tokens = actor, tokens
        self.pad = tokens.pad
        self._version = 0

    def read(self, queries: Sequence[Query], dice: Sequence[random.Random]) -> Asked:
        """See `Speech.read`: the dice blur."""
        rows = [self._tokens.query(query, die) for query, die in zip(queries, dice, strict=True)]
        return Asked(*pad_left(rows, self.pad), grammar_of(self._tokens, queries))

    async def sample(self, asked: Asked, of: Tensor, seeds: Sequence[int]) -> tuple[Answers, Tensor]:
        """See `Speech.sample`."""
        assert asked.grammar is not None
        self._actor.eval()
        answers = sample(
            self._actor,
            asked.ids[of],
            asked.seen[of],
            asked.grammar.rows(of),
            pad=self.pad,
            end=self._tokens.end,
            dice=[random.Random(seed) for seed in seeds],
        )
        return answers, torch.full((len(of),), self._version)

    def prompts(self, queries: Sequence[Query], answers: Answers) -> list[Prompt | None]:
        """See `Speech.prompts`: every answer holds one."""
        return [
            Prompt.of(
                write(query, self._tokens.values(row)),
                query=query,
                strategy_id="policy",
                policy_version="ppo",
            )
            for query, row in zip(queries, answers.ids.tolist(), strict=True)
        ]

    def priced(self, answers: Answers, scores: Tensor) -> tuple[Tensor, Tensor]:
        """See `Speech.priced`: the grammar bounds an answer, so nothing costs."""
        return scores, answers.mask

    def facets(self, answers: Answers) -> list[list[Facet | None]]:
        """See `Speech.facets`."""
        rows = zip(answers.ids.tolist(), answers.mask.sum(1).tolist(), strict=True)
        return [self._tokens.facets(row[:length]) for row, length in rows]

    def ended(self, answers: Answers) -> Tensor:
        """See `Speech.ended`: the grammar sees to it."""
        return torch.ones(len(answers.ids), dtype=torch.bool)

    async def publish(self, step: int) -> None:
        """See `Speech.publish`: the actor itself is sampled from."""
        self._version = step

    async def close(self) -> None:
        """Nothing to end."""


def networks_of(actor: CausalLm | Networks, pad: int) -> Networks:
    """The networks of a tiny policy that is to be trained, or those that are given."""
    return TinyNetworks(actor, pad) if isinstance(actor, CausalLm) else actor


def speech_of(actor: CausalLm | Networks, tokens: Tokens | Speech) -> Speech:
    """The speech of a tiny policy with these tokens, or the one that is given."""
    if not isinstance(tokens, Tokens):
        return tokens
    if not isinstance(actor, CausalLm):
        raise BadInput("tokens of a tiny policy with other networks; accepted: the networks' own speech")
    return TinySpeech(actor, tokens)
