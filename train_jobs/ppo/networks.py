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
    grammar: Grammar | None = None
    """Of the queries; none = anything may be said."""

    def of_queries(self, rows: Tensor) -> tuple[Texts, Tensor]:
        """Some of the queries with all their answers, without padding that only others need; and which
        answers those are."""
        place = torch.full((len(self.queries),), -1)
        place[rows] = torch.arange(len(rows))
        answers = (place[self.of] >= 0).nonzero()[:, 0]
        return self._some(rows, answers, place[self.of[answers]]), answers

    def of_answers(self, answers: Tensor) -> Texts:
        """Some of the answers, without queries or padding before them that only others need."""
        rows, of = torch.unique(self.of[answers], return_inverse=True)
        return self._some(rows, answers, of)

    def _some(self, rows: Tensor, answers: Tensor, of: Tensor) -> Texts:
        seen = self.seen[rows]
        longest = int(seen.sum(1).max()) if len(rows) else 0
        return Texts(
            self.queries[rows][:, -longest:],
            seen[:, -longest:],
            of,
            self.answers[answers],
            self.mask[answers],
            None if self.grammar is None else self.grammar.rows(rows),
        )

    def before(self, trunk: Trunk) -> Tensor:
        """The hidden state before each token of the answers, [B, T, width]."""
        ids, seen = self.answers[:, :-1], torch.cat([self.seen[self.of], self.mask[:, :-1]], dim=1)
        if len(self.queries) == len(self.of):
            # No reading is shared, so that one pass does as much as two, and with less beside it.
            ids = torch.cat([self.queries[self.of], ids], dim=1)
            whole: Tensor = trunk(ids, seen, last=self.answers.shape[1])[0]
            return whole
        read, cache = trunk(self.queries, self.seen, last=1)
        cache = [(keys[self.of], values[self.of]) for keys, values in cache]
        said, _ = trunk(ids, seen, cache)
        return torch.cat([read[self.of], said], dim=1)


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


def answer_log_probs(
    actor: CausalLm, texts: Texts, pad: int, *, entropy: bool = False, mean: bool = False
) -> TokenLogProbs:
    """What a model says of answers, under the grammar, [B, T]; meaningless where the mask is false.

    Args:
        entropy, mean: see `token_log_probs`.
    """
    logits = texts.before(actor.model) @ actor.model.embed_tokens.weight.T
    if texts.grammar is None:
        return token_log_probs(logits, texts.answers, entropy=entropy, mean=mean)
    grammar = texts.grammar.rows(texts.of)
    # Behind the end nothing is allowed; there any token may stand, since nobody reads it.
    allowed = grammar.throughout(texts.answers, pad) | ~texts.mask[..., None]
    return token_log_probs(logits, texts.answers, allowed=allowed, entropy=entropy, mean=mean)
