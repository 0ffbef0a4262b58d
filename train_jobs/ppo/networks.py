"""What PPO trains and compares: the actor, the critic, and the frozen reference."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from actors.policy.tiny.model import CausalLm, Trunk
from actors.policy.tiny.sampling import Grammar
from train_jobs.ppo.logprobs import TokenLogProbs, token_log_probs


class Critic(nn.Module):
    """A trunk of its own, begun as the actor's, under a head that says what an answer will earn."""

    def __init__(self, actor: CausalLm) -> None:
        super().__init__()
        self.model: Trunk = copy.deepcopy(actor.model)
        self.head = nn.Linear(self.model.shape.width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, queries: Tensor, seen: Tensor, answers: Tensor, mask: Tensor) -> Tensor:
        """The value before each token of the answers, [B, T]; arguments as `answer_log_probs`."""
        hidden, _ = self.model(torch.cat([queries, answers], 1), torch.cat([seen, mask], 1))
        values: Tensor = self.head(_before(hidden, answers))[..., 0]
        return values


def answer_log_probs(
    actor: CausalLm,
    queries: Tensor,
    seen: Tensor,
    answers: Tensor,
    mask: Tensor,
    grammar: Grammar,
    pad: int,
) -> TokenLogProbs:
    """What a model says of answers, under the grammar, [B, T]; meaningless where the mask is false.

    Args:
        queries: [B, L], left-padded; `seen` is false at the padding.
        answers: [B, T], padded behind their ends; `mask` is false there.
    """
    hidden, _ = actor.model(torch.cat([queries, answers], 1), torch.cat([seen, mask], 1))
    logits = _before(hidden, answers) @ actor.model.embed_tokens.weight.T
    # Behind the end nothing is allowed; there any token may stand, since nobody reads it.
    allowed = grammar.throughout(answers, pad) | ~mask[..., None]
    return token_log_probs(logits, answers, allowed=allowed)


def _before(hidden: Tensor, answers: Tensor) -> Tensor:
    return hidden[:, -answers.shape[1] - 1 : -1]
