"""What a batch of judged answers does to actor and critic."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from actors.errors import StageFailed
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import Answers, Grammar
from configs.ppo import PpoSettings
from train_jobs.ppo.advantages import Estimate, gae, grpo_advantages, rloo_advantages
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.correction import importance_weights, mismatch_kl
from train_jobs.ppo.kl import AdaptiveKL, Estimator, FixedKL, KLController, kl_per_token
from train_jobs.ppo.logprobs import TokenLogProbs
from train_jobs.ppo.losses import Clipping, policy_loss, value_loss
from train_jobs.ppo.microbatches import micro_batches
from train_jobs.ppo.moments import Moments, explained_variance, whiten
from train_jobs.ppo.networks import Critic, answer_log_probs
from train_jobs.ppo.rewards import token_rewards
from train_jobs.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Batch:
    """This rank's answers to queries, and what they earned."""

    queries: Tensor
    """[B, L], left-padded."""
    seen: Tensor
    """[B, L] bool, false at the padding."""
    grammar: Grammar
    answers: Answers
    """Their mask is false throughout an answer that was not judged."""
    groups: Tensor
    """[B] int64, which query an answer is to; a group is on one rank."""
    scores: Tensor
    """[B], finite."""

    def rows(self, index: Tensor) -> Batch:
        """Some of the answers."""
        answers = self.answers
        return Batch(
            self.queries[index],
            self.seen[index],
            self.grammar.rows(index),
            Answers(answers.ids[index], answers.mask[index], answers.logprobs[index]),
            self.groups[index],
            self.scores[index],
        )


@dataclass(frozen=True)
class Known:
    """What is worked out of a batch before the policy moves, [B, T] each."""

    log_probs: Tensor
    weights: Tensor
    """Importance weights of what an older policy has sampled."""
    values: Tensor
    returns: Tensor
    advantages: Tensor
    """Whitened over the whole batch."""

    def rows(self, index: Tensor) -> Known:
        """Those of some answers."""
        return Known(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


class Learner:
    """Actor, critic, the frozen reference, and their optimisers.

    Args:
        actor: trained in place, the same on every rank; the reference is what it is now.
        pad: the padding's token.
    """

    def __init__(self, actor: CausalLm, settings: PpoSettings, pad: int, ranks: Ranks = ALONE) -> None:
        self.actor, self.critic = actor, Critic(actor)
        self.reference = copy.deepcopy(actor).requires_grad_(False).eval()
        self.optimisers = {
            "actor": torch.optim.AdamW(actor.parameters(), lr=settings.lr, weight_decay=0.0),
            "critic": torch.optim.AdamW(self.critic.parameters(), lr=settings.critic_lr, weight_decay=0.0),
        }
        self.kl = controller(settings)
        self._settings, self._pad, self._ranks = settings, pad, ranks
        clip = settings.clip
        self._clipping = Clipping(clip.low, clip.high, clip.dual)

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on a batch; the answer is the step's metrics, the same on every rank.

        Raises:
            StageFailed: a loss is not finite.
        """
        settings = self._settings
        known, metrics = self._look(batch)
        rate = settings.lr * min(1.0, max(0, step - settings.warm_up // 2 + 1) / max(1, settings.warm_up))
        self.optimisers["actor"].param_groups[0]["lr"] = rate
        sums: dict[str, float] = defaultdict(float)
        parts = settings.epochs * settings.minibatches
        for index in self._minibatches(len(batch.scores), step):
            for name, value in self._step(batch.rows(index), known.rows(index)).items():
                sums[name] += value / parts
        return {**metrics, **sums, "rate": rate, "kl_coefficient": self.kl.coefficient}

    def settle(self, kl: float, answers: int) -> None:
        """Adapt the weight of the divergence to what was measured."""
        self.kl = self.kl.after(kl, answers)

    def _look(self, batch: Batch) -> tuple[Known, dict[str, float]]:
        """What the policy, the reference and the critic say of a batch, and the step's advantages."""
        settings, mask = self._settings, batch.answers.mask
        with torch.no_grad():
            said = self._say(self.actor, batch)
            reference = self._say(self.reference, batch).log_probs
            values = self._value(batch)
        old = said.log_probs
        kl = kl_per_token(old, reference, mask, Estimator(settings.kl.estimator))
        rewards = token_rewards(batch.scores, kl, mask, self.kl.coefficient)
        estimate = self._estimate(batch, rewards, values)
        advantages = whiten(estimate.advantages, mask, self._moments(estimate.advantages, mask))
        weights = importance_weights(old, batch.answers.logprobs, mask, settings.correction)
        whole = self._whole(mask)
        residuals = self._moments(estimate.returns - values, mask)
        returns = self._moments(estimate.returns, mask)
        means = {
            "kl": (kl.sum(), whole.sequences),
            "length": (mask.sum(), whole.sequences),
            "score": (batch.scores[mask.any(1)].sum(), whole.sequences),
            "entropy": (said.entropy[mask].sum(), whole.tokens),
            "mismatch_kl": (mismatch_kl(old, batch.answers.logprobs, mask, whole), 1),
        }
        metrics = {name: self._total(value) / max(1, over) for name, (value, over) in means.items()}
        metrics["explained_variance"] = explained_variance(residuals, returns)
        return Known(old, weights, values, estimate.returns, advantages), metrics

    def _estimate(self, batch: Batch, rewards: Tensor, values: Tensor) -> Estimate:
        settings, mask = self._settings, batch.answers.mask
        if settings.advantages == "gae":
            return gae(rewards, values, mask, settings.discount, settings.decay)
        judged = mask.any(1)
        advantages = torch.zeros_like(rewards)
        of_group = grpo_advantages if settings.advantages == "grpo" else rloo_advantages
        advantages[judged] = of_group(rewards.sum(1)[judged], batch.groups[judged], mask[judged])
        return Estimate(advantages, advantages + values)

    def _step(self, part: Batch, known: Known) -> dict[str, float]:
        """One optimiser step on this rank's share of a minibatch, accumulated over micro-batches."""
        settings = self._settings
        whole = self._whole(part.answers.mask)
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = defaultdict(float)
        lengths = (part.seen.sum(1) + part.answers.mask.sum(1)).tolist()
        for rows in micro_batches(lengths, settings.micro_tokens):
            index = torch.tensor(rows)
            for name, value in self._backward(part.rows(index), known.rows(index), whole).items():
                sums[name] += float(value.detach())
        metrics = {name: self._total(torch.tensor(value)) for name, value in sums.items()}
        if not all(map(_finite, metrics.values())):
            raise StageFailed(f"the loss is not finite: {metrics}; lower ppo.lr, or look at the batch")
        for name, model in (("actor", self.actor), ("critic", self.critic)):
            if name == "critic" and settings.advantages != "gae":
                continue
            for parameter in model.parameters():
                parameter.grad = self._ranks.sum(
                    torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                )
            metrics[f"{name}_norm"] = float(nn.utils.clip_grad_norm_(model.parameters(), settings.clip.norm))
            self.optimisers[name].step()
        return metrics

    def _backward(self, part: Batch, known: Known, whole: Whole) -> dict[str, Tensor]:
        settings, mask = self._settings, part.answers.mask
        said = self._say(self.actor, part)
        loss = policy_loss(
            said.log_probs,
            known.log_probs,
            known.advantages,
            mask,
            whole,
            self._clipping,
            weights=known.weights,
        )
        entropy = aggregate(said.entropy, mask, whole)
        total = loss.total - settings.entropy * entropy
        total.backward()  # type: ignore[no-untyped-call]
        metrics = {
            "policy_loss": loss.total,
            "clipped_high": loss.clipped_high,
            "clipped_low": loss.clipped_low,
            "clipped_dual": loss.clipped_dual,
            "ppo_kl": loss.ppo_kl,
        }
        if settings.advantages == "gae":
            valued = value_loss(
                self._value(part), known.values, known.returns, mask, whole, settings.clip.value
            )
            valued.total.backward()  # type: ignore[no-untyped-call]
            metrics |= {"value_loss": valued.total, "value_clipped": valued.clipped}
        return metrics

    def _minibatches(self, answers: int, step: int) -> Iterator[Tensor]:
        """This rank's rows of each minibatch of the whole batch, every epoch in another order."""
        first, every = self._ranks.rank * answers, self._ranks.size * answers
        generator = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + step)
        for _ in range(self._settings.epochs):
            order = torch.randperm(every, generator=generator)
            for part in torch.tensor_split(order, self._settings.minibatches):
                yield part[(part >= first) & (part < first + answers)] - first

    def _say(self, model: CausalLm, batch: Batch) -> TokenLogProbs:
        answers = batch.answers
        return answer_log_probs(
            model, batch.queries, batch.seen, answers.ids, answers.mask, batch.grammar, self._pad
        )

    def _value(self, batch: Batch) -> Tensor:
        values: Tensor = self.critic(batch.queries, batch.seen, batch.answers.ids, batch.answers.mask)
        return values

    def _whole(self, mask: Tensor) -> Whole:
        mine = Whole.of(mask)
        sums = self._ranks.sum(torch.tensor([mine.tokens, mine.sequences], dtype=torch.float64))
        return Whole(int(sums[0]), int(sums[1]))

    def _moments(self, values: Tensor, mask: Tensor) -> Moments:
        mine = Moments.of(values, mask)
        sums = torch.tensor([mine.count, mine.total, mine.squares], dtype=torch.float64)
        return Moments(*self._ranks.sum(sums).tolist())

    def _total(self, value: Tensor) -> float:
        return float(self._ranks.sum(value.detach().double().reshape(1)))


def controller(settings: PpoSettings) -> KLController:
    """The weight of the divergence, as the settings want it."""
    kl = settings.kl
    if kl.target is None:
        return FixedKL(kl.coefficient)
    return AdaptiveKL(kl.coefficient, kl.target, kl.horizon)


def with_coefficient(kl: KLController, coefficient: float) -> KLController:
    """A controller that goes on from a coefficient."""
    assert isinstance(kl, FixedKL | AdaptiveKL)
    return replace(kl, coefficient=coefficient)


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")
