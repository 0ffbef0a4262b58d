"""Answers of a causal transformer, sampled under the grammar."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from actors.policy.tiny.model import Cache, CausalLm


@dataclass(frozen=True)
class Answers:
    """A batch of answers."""

    ids: Tensor
    """[B, T], padded behind the end."""
    mask: Tensor
    """[B, T] bool, false behind the end."""
    logprobs: Tensor
    """[B, T] of the sampled tokens under the grammar, at temperature 1; 0 at padding."""


@dataclass(frozen=True)
class Grammar:
    """What may follow what: an answer decides one thing after the other and passes over none.

    Attributes:
        usable: [B, vocabulary] bool, tokens that an answer may use; the end is always among them.
        order: [vocabulary], see `Tokens.order`.
    """

    usable: Tensor
    order: Tensor

    def after(self, last: Tensor) -> Tensor:
        """[B, vocabulary] bool: what may follow the tokens [B]; before an answer, that is the padding."""
        return self.usable & (self.order == self._next.gather(1, self.order[last][:, None]))

    def throughout(self, ids: Tensor, pad: int) -> Tensor:
        """[B, T, vocabulary] bool: what might have stood at each place of answers [B, T]."""
        before = torch.cat([torch.full_like(ids[:, :1], pad), ids[:, :-1]], dim=1)
        return self.usable[:, None] & (self.order == self._next.gather(1, self.order[before])[..., None])

    def rows(self, index: Tensor) -> Grammar:
        """The same for some of the queries."""
        return Grammar(self.usable[index], self.order)

    @functools.cached_property
    def _next(self) -> Tensor:
        """[B, places]: the first place behind each that has usable tokens; behind the end there is none."""
        places = int(self.order.max()) + 1
        filled = self.usable.float() @ F.one_hot(self.order, places).float() > 0
        later = torch.where(filled, torch.arange(places), places)
        nearest = later.flip(1).cummin(dim=1).values.flip(1)
        return torch.cat([nearest[:, 1:], torch.full_like(nearest[:, :1], places)], dim=1)


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids [B, L] with the padding before them, and the mask [B, L] that is false there."""
    length = max(map(len, rows))
    ids = torch.tensor([[pad] * (length - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[False] * (length - len(row)) + [True] * len(row) for row in rows])
    return ids, mask


def sample(
    model: CausalLm,
    queries: Tensor,
    mask: Tensor,
    grammar: Grammar,
    *,
    pad: int,
    end: int,
    dice: Sequence[random.Random] | None = None,
    temperature: float = 1.0,
) -> Answers:
    """One answer a query.

    Args:
        queries: [B, L], left-padded; `mask` is false at the padding.
        dice: of each query, so that its answer does not hang on what else is in the batch; None takes the
            likeliest tokens.
        temperature: above 0; divides the logits.
    """
    tokens, logprobs, live = [], [], []
    with torch.inference_mode():
        cache: Cache | None = None
        ids = queries
        last = torch.full((len(queries),), pad)
        going = torch.ones(len(queries), dtype=torch.bool)
        while bool(going.any()):
            logits, cache = model(ids, mask, cache, last=1)
            logits = logits[:, -1].masked_fill(~grammar.after(last), -torch.inf)
            # A finished answer may go on with nothing: its row is kept finite and is not used.
            logits[~going] = 0.0
            chosen = logits.argmax(dim=-1) if dice is None else draw(logits / temperature, dice)
            chosen = torch.where(going, chosen, pad)
            logprob = torch.log_softmax(logits, dim=-1).gather(1, chosen[:, None])[:, 0]
            tokens.append(chosen)
            logprobs.append(torch.where(going, logprob, 0.0))
            live.append(going)
            going = going & (chosen != end)
            ids, last = chosen[:, None], chosen
            mask = torch.cat([mask, live[-1][:, None]], dim=1)
    # Made outside: training keeps an answer for its gradient, which a tensor of inference mode forbids.
    return Answers(torch.stack(tokens, 1), torch.stack(live, 1), torch.stack(logprobs, 1))


def draw(logits: Tensor, dice: Sequence[random.Random]) -> Tensor:
    """A token [B] for each row, where its die falls in the distribution."""
    shares = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
    fallen = torch.tensor([die.random() for die in dice], dtype=torch.float64).clamp(max=1 - 1e-12)
    return torch.searchsorted(shares, (fallen * shares[:, -1])[:, None], right=True)[:, 0]
