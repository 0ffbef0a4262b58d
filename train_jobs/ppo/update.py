"""One optimiser step after another over a batch of judged answers."""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers, Grammar
from configs.ppo import PpoSettings
from train_jobs.ppo.advantages import Estimate, gae
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.kl import kl_per_token
from train_jobs.ppo.logprobs import TokenLogProbs
from train_jobs.ppo.losses import Clipping, policy_loss, value_loss
from train_jobs.ppo.moments import Moments, explained_variance, whiten
from train_jobs.ppo.networks import Critic, answer_log_probs
from train_jobs.ppo.rewards import token_rewards


@dataclass(frozen=True)
class Batch:
    """Answers to queries, and what they earned."""

    queries: Tensor
    """[B, L], left-padded."""
    seen: Tensor
    """[B, L] bool, false at the padding."""
    grammar: Grammar
    answers: Answers
    scores: Tensor
    """[B], finite."""


class Learner:
    """Actor, critic, frozen reference and their optimisers.

    Args:
        actor: trained in place; the reference is what it is now.
        pad: the padding's token.
    """

    def __init__(self, actor: CausalLm, settings: PpoSettings, pad: int) -> None:
        self.actor, self.settings, self.pad = actor, settings, pad
        self.reference = copy.deepcopy(actor).requires_grad_(False).eval()
        self.critic = Critic(actor)
        self.actor_optimiser = torch.optim.AdamW(actor.parameters(), lr=settings.lr, weight_decay=0.0)
        self.critic_optimiser = torch.optim.AdamW(
            self.critic.parameters(), lr=settings.critic_lr, weight_decay=0.0
        )

    def learn(self, batch: Batch, seed: int) -> dict[str, float]:
        """Train on a batch; the answer is the step's metrics."""
        settings, mask = self.settings, batch.answers.mask
        with torch.no_grad():
            old = self._say(self.actor, batch).log_probs
            reference = self._say(self.reference, batch).log_probs
            values = self._value(batch)
            kl = kl_per_token(old, reference, mask)
            rewards = token_rewards(batch.scores, kl, mask, settings.kl)
            estimate = gae(rewards, values, mask, settings.discount, settings.decay)
            advantages = whiten(estimate.advantages, mask)
        sums: dict[str, float] = defaultdict(float)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(settings.epochs):
            order = torch.randperm(len(batch.scores), generator=generator)
            for rows in order.chunk(settings.minibatches):
                part = _rows(batch, rows)
                for name, value in self._step(
                    part, old[rows], values[rows], advantages[rows], estimate.returns[rows]
                ).items():
                    sums[name] += value / (settings.epochs * settings.minibatches)
        return {**sums, **self._describe(batch, estimate, values, kl)}

    def _step(
        self, part: Batch, old: Tensor, values: Tensor, advantages: Tensor, returns: Tensor
    ) -> dict[str, float]:
        settings, mask = self.settings, part.answers.mask
        whole = Whole.of(mask)
        said = self._say(self.actor, part)
        loss = policy_loss(said.log_probs, old, advantages, mask, whole, Clipping())
        entropy = aggregate(said.entropy, mask, whole)
        self.actor_optimiser.zero_grad()
        (loss.total - settings.entropy * entropy).backward()  # type: ignore[no-untyped-call]
        actor_norm = torch.nn.utils.clip_grad_norm_(self.actor.parameters(), settings.clip)
        self.actor_optimiser.step()
        valued = value_loss(self._value(part), values, returns, mask, whole)
        self.critic_optimiser.zero_grad()
        valued.total.backward()  # type: ignore[no-untyped-call]
        critic_norm = torch.nn.utils.clip_grad_norm_(self.critic.parameters(), settings.clip)
        self.critic_optimiser.step()
        return {
            "policy_loss": float(loss.total.detach()),
            "entropy": float(entropy.detach()),
            "clipped_high": float(loss.clipped_high),
            "clipped_low": float(loss.clipped_low),
            "ppo_kl": float(loss.ppo_kl),
            "actor_norm": float(actor_norm),
            "value_loss": float(valued.total.detach()),
            "critic_norm": float(critic_norm),
        }

    def _say(self, model: CausalLm, batch: Batch) -> TokenLogProbs:
        return answer_log_probs(
            model,
            batch.queries,
            batch.seen,
            batch.answers.ids,
            batch.answers.mask,
            batch.grammar,
            self.pad,
        )

    def _value(self, batch: Batch) -> Tensor:
        values: Tensor = self.critic(batch.queries, batch.seen, batch.answers.ids, batch.answers.mask)
        return values

    def _describe(self, batch: Batch, estimate: Estimate, values: Tensor, kl: Tensor) -> dict[str, float]:
        mask = batch.answers.mask
        return {
            "score": float(batch.scores.mean()),
            "kl": float(kl.sum(1).mean()),
            "length": float(mask.sum(1).float().mean()),
            "explained_variance": explained_variance(
                Moments.of(estimate.returns - values, mask), Moments.of(estimate.returns, mask)
            ),
        }


def _rows(batch: Batch, rows: Tensor) -> Batch:
    answers = batch.answers
    return Batch(
        batch.queries[rows],
        batch.seen[rows],
        batch.grammar.rows(rows),
        Answers(answers.ids[rows], answers.mask[rows], answers.logprobs[rows]),
        batch.scores[rows],
    )
