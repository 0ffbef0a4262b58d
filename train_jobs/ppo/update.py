"""What a batch of judged answers does to actor and critic."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from actors.errors import StageFailed
from actors.policy.tiny.model import CausalLm
from configs.ppo import PpoSettings
from train_jobs.ppo.advantages import Estimate, gae, grpo_advantages, rloo_advantages
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.correction import importance_weights, mismatch_kl
from train_jobs.ppo.kl import AdaptiveKL, Estimator, FixedKL, KLController, kl_per_token
from train_jobs.ppo.losses import Clipping, policy_loss, value_loss
from train_jobs.ppo.microbatches import micro_batches
from train_jobs.ppo.moments import Moments, explained_variance, whiten
from train_jobs.ppo.networks import Critic, Texts, answer_log_probs
from train_jobs.ppo.rewards import token_rewards
from train_jobs.training.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Batch:
    """This rank's answers to queries, and what they earned."""

    texts: Texts
    """Their mask is false throughout an answer that was not judged."""
    sampled: Tensor
    """Log-probabilities of the answers' tokens when they were sampled, [B, T]."""
    scores: Tensor
    """[B], finite."""

    def of_queries(self, rows: Tensor) -> tuple[Batch, Tensor]:
        """Some of the queries with all their answers, without padding that only others need; and which
        answers those are."""
        texts = self.texts
        place = torch.full((len(texts.queries),), -1)
        place[rows] = torch.arange(len(rows))
        answers = (place[texts.of] >= 0).nonzero()[:, 0]
        seen = texts.seen[rows]
        longest = int(seen.sum(1).max()) if len(rows) else 0
        part = Texts(
            texts.queries[rows][:, -longest:],
            seen[:, -longest:],
            place[texts.of[answers]],
            texts.answers[answers],
            texts.mask[answers],
            texts.grammar.rows(rows),
        )
        return Batch(part, self.sampled[answers], self.scores[answers]), answers


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
        self._valued = settings.advantages == "gae"

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
        for queries in self._minibatches(len(batch.texts.queries), step):
            part, answers = batch.of_queries(queries)
            for name, value in self._step(part, known.rows(answers)).items():
                sums[name] += value / (settings.epochs * settings.minibatches)
        return {**metrics, **sums, "rate": rate, "kl_coefficient": self.kl.coefficient}

    def settle(self, kl: float, answers: int) -> None:
        """Adapt the weight of the divergence to what was measured."""
        self.kl = self.kl.after(kl, answers)

    def _look(self, batch: Batch) -> tuple[Known, dict[str, float]]:
        """What the policy, the reference and the critic say of a batch, and the step's advantages."""
        settings, mask = self._settings, batch.texts.mask
        old, entropy, reference, values = (torch.zeros_like(batch.sampled) for _ in range(4))
        with torch.no_grad():
            for part, answers in self._micro(batch):
                said = answer_log_probs(self.actor, part.texts, self._pad)
                old[answers], entropy[answers] = said.log_probs, said.entropy
                reference[answers] = answer_log_probs(self.reference, part.texts, self._pad).log_probs
                if self._valued:
                    values[answers] = self.critic(part.texts)
        kl = kl_per_token(old, reference, mask, Estimator(settings.kl.estimator))
        rewards = token_rewards(batch.scores, kl, mask, self.kl.coefficient)
        estimate = self._estimate(batch, rewards, values)
        advantages = whiten(estimate.advantages, mask, self._moments(estimate.advantages, mask))
        weights = importance_weights(old, batch.sampled, mask, settings.correction)
        whole = self._whole(mask)
        means = {
            "kl": (kl.sum(), whole.sequences),
            "length": (mask.sum(), whole.sequences),
            "score": (batch.scores[mask.any(1)].sum(), whole.sequences),
            "entropy": (entropy[mask].sum(), whole.tokens),
            "mismatch_kl": (mismatch_kl(old, batch.sampled, mask, whole), 1),
        }
        metrics = {name: self._total(value) / max(1, over) for name, (value, over) in means.items()}
        if self._valued:
            metrics["explained_variance"] = explained_variance(
                self._moments(estimate.returns - values, mask), self._moments(estimate.returns, mask)
            )
        return Known(old, weights, values, estimate.returns, advantages), metrics

    def _estimate(self, batch: Batch, rewards: Tensor, values: Tensor) -> Estimate:
        settings, mask = self._settings, batch.texts.mask
        if self._valued:
            return gae(rewards, values, mask, settings.discount, settings.decay)
        judged = mask.any(1)
        advantages = torch.zeros_like(rewards)
        of_group = grpo_advantages if settings.advantages == "grpo" else rloo_advantages
        advantages[judged] = of_group(rewards.sum(1)[judged], batch.texts.of[judged], mask[judged])
        return Estimate(advantages, advantages)

    def _step(self, part: Batch, known: Known) -> dict[str, float]:
        """One optimiser step on this rank's share of a minibatch, accumulated over micro-batches."""
        whole = self._whole(part.texts.mask)
        models: dict[str, nn.Module] = {"actor": self.actor}
        if self._valued:
            models["critic"] = self.critic
        for name in models:
            self.optimisers[name].zero_grad(set_to_none=False)
        names = _METRICS if self._valued else _METRICS[:5]
        sums = torch.zeros(len(names), dtype=torch.float64)
        for micro, answers in self._micro(part):
            sums += torch.tensor([float(each) for each in self._backward(micro, known.rows(answers), whole)])
        metrics = dict(zip(names, self._ranks.sum(sums).tolist(), strict=True))
        if not all(map(math.isfinite, metrics.values())):
            raise StageFailed(f"the loss is not finite: {metrics}; lower ppo.lr, or look at the batch")
        for name, model in models.items():
            for parameter in model.parameters():
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                self._ranks.sum(parameter.grad)
            norm = nn.utils.clip_grad_norm_(model.parameters(), self._settings.clip.norm)
            metrics[f"{name}_norm"] = float(norm)
            self.optimisers[name].step()
        return metrics

    def _backward(self, part: Batch, known: Known, whole: Whole) -> list[Tensor]:
        """Add a micro-batch's share to the gradients; the answer is its share of `_METRICS`."""
        settings, mask = self._settings, part.texts.mask
        said = answer_log_probs(self.actor, part.texts, self._pad)
        loss = policy_loss(
            said.log_probs,
            known.log_probs,
            known.advantages,
            mask,
            whole,
            self._clipping,
            weights=known.weights,
        )
        total = loss.total - settings.entropy * aggregate(said.entropy, mask, whole)
        total.backward()  # type: ignore[no-untyped-call]
        shares = [
            loss.total.detach(),
            loss.clipped_high,
            loss.clipped_low,
            loss.clipped_dual,
            loss.ppo_kl,
        ]
        if self._valued:
            values = self.critic(part.texts)
            valued = value_loss(values, known.values, known.returns, mask, whole, settings.clip.value)
            valued.total.backward()  # type: ignore[no-untyped-call]
            shares += [valued.total.detach(), valued.clipped]
        return shares

    def _micro(self, batch: Batch) -> Iterator[tuple[Batch, Tensor]]:
        """The batch in parts of a bounded number of tokens, and which answers each has."""
        texts = batch.texts
        answers = torch.bincount(texts.of, minlength=len(texts.queries)) * texts.answers.shape[1]
        lengths = (texts.seen.sum(1) + answers).tolist()
        for rows in micro_batches(lengths, self._settings.micro_tokens):
            yield batch.of_queries(torch.tensor(rows))

    def _minibatches(self, queries: int, step: int) -> Iterator[Tensor]:
        """This rank's queries of each minibatch of the whole batch, every epoch in another order."""
        first, every = self._ranks.rank * queries, self._ranks.size * queries
        generator = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + step)
        for _ in range(self._settings.epochs):
            order = torch.randperm(every, generator=generator)
            for part in torch.tensor_split(order, self._settings.minibatches):
                yield part[(part >= first) & (part < first + queries)] - first

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


_METRICS = (
    "policy_loss",
    "clipped_high",
    "clipped_low",
    "clipped_dual",
    "ppo_kl",
    "value_loss",
    "value_clipped",
)


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
