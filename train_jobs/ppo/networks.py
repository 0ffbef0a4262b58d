"""What PPO trains and compares: the actor, the critic, and the frozen reference."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from actors.policy.tiny.model import CausalLm, Trunk
from actors.policy.tiny.sampling import Grammar
from train_jobs.ppo.logprobs import TokenLogProbs, token_log_probs


@dataclass(frozen=True)
class Texts:
    """Queries, and answers to them; the answers to one query share its reading."""

    queries: Tensor
    """[Q, L], left-padded."""
    seen: Tensor
    """[Q, L] bool, false at the padding."""
    of: Tensor
    """[B] int64, the query's row of each answer."""
    answers: Tensor
    """[B, T], padded behind their ends."""
    mask: Tensor
    """[B, T] bool, false at the padding."""
    grammar: Grammar
    """Of the queries."""

    def before(self, trunk: Trunk) -> Tensor:
        """The hidden state before each token of the answers, [B, T, width]."""
        read, cache = trunk(self.queries, self.seen)
        cache = [(keys[self.of], values[self.of]) for keys, values in cache]
        said, _ = trunk(self.answers[:, :-1], torch.cat([self.seen[self.of], self.mask[:, :-1]], 1), cache)
        return torch.cat([read[self.of, -1:], said], dim=1)


class Critic(nn.Module):
    """A trunk of its own, begun as the actor's, under a head that says what an answer will earn."""

    def __init__(self, actor: CausalLm) -> None:
        super().__init__()
        self.model: Trunk = copy.deepcopy(actor.model)
        self.head = nn.Linear(self.model.shape.width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, texts: Texts) -> Tensor:
        """The value before each token of the answers, [B, T]."""
        values: Tensor = self.head(texts.before(self.model))[..., 0]
        return values


def answer_log_probs(actor: CausalLm, texts: Texts, pad: int) -> TokenLogProbs:
    """What a model says of answers, under the grammar, [B, T]; meaningless where the mask is false."""
    logits = texts.before(actor.model) @ actor.model.embed_tokens.weight.T
    grammar = texts.grammar.rows(texts.of)
    # Behind the end nothing is allowed; there any token may stand, since nobody reads it.
    allowed = grammar.throughout(texts.answers, pad) | ~texts.mask[..., None]
    return token_log_probs(logits, texts.answers, allowed=allowed)
