"""What a batch of judged answers does to actor and critic."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from actors.errors import StageFailed
from actors.policy.tiny.model import CausalLm
from configs.ppo import PpoSettings
from train_jobs.ppo.advantages import Estimate, against_peers, gae, grpo_advantages, rloo_advantages
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.correction import importance_weights, mismatch_kl
from train_jobs.ppo.dump import dump
from train_jobs.ppo.kl import AdaptiveKL, Estimator, FixedKL, KLController, kl_per_token
from train_jobs.ppo.losses import Clipping, policy_loss, value_loss
from train_jobs.ppo.masks import seen
from train_jobs.ppo.moments import Moments, explained_variance, whiten
from train_jobs.ppo.networks import Texts
from train_jobs.ppo.policies import Networks
from train_jobs.ppo.rewards import token_rewards
from train_jobs.ppo.tiny_policy import networks_of
from train_jobs.training.optimiser import gathered
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
    credits: Tensor | None = None
    """What each token earned beside the score, [B, T]; none = nothing."""

    def of_queries(self, rows: Tensor) -> tuple[Batch, Tensor]:
        """Some of the queries with all their answers, and which answers those are."""
        texts, answers = self.texts.of_queries(rows)
        return self.part(texts, answers), answers

    def part(self, texts: Texts, answers: Tensor) -> Batch:
        """The same of some answers, whose texts these are."""
        paid = None if self.credits is None else self.credits[answers]
        return Batch(texts, self.sampled[answers], self.scores[answers], paid)


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
    """What actor and critic learn of a batch, with their optimisers.

    Args:
        actor: trained in place, the same on every rank; the reference is what it is now. Or all networks.
        pad: the padding's token.
        folder: where a batch is left that broke the training; none = nowhere.
    """

    def __init__(
        self,
        actor: CausalLm | Networks,
        settings: PpoSettings,
        pad: int,
        ranks: Ranks = ALONE,
        folder: Path | None = None,
    ) -> None:
        self.networks = networks_of(actor, pad)
        rates = {"actor": settings.lr, "critic": settings.critic_lr}
        self.optimisers = {
            kind: torch.optim.AdamW(list(parameters.values()), lr=rates[kind], weight_decay=0.0, fused=True)
            for kind, parameters in self.networks.trained.items()
        }
        self.kl = controller(settings)
        self._settings, self._ranks, self._folder = settings, ranks, folder
        clip = settings.clip
        self._clipping = Clipping(clip.low, clip.high, clip.dual)
        self._valued = settings.advantages == "gae"
        self._now = 0

    @property
    def critic(self) -> nn.Module:
        """What says values."""
        return self.networks.critic

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Train on a batch; the answer is the step's metrics, the same on every rank.

        Raises:
            StageFailed: a number is not finite; the batch is left in the folder that the message names.
        """
        settings, self._now = self._settings, step
        known, metrics = self._look(batch)
        rate = settings.lr * rate_at(step, settings)
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
                said = self.networks.log_probs(part.texts, entropy=True)
                old[answers], entropy[answers] = said.log_probs, said.entropy
                reference[answers] = self.networks.reference(part.texts)
                if self._valued:
                    values[answers] = self.networks.values(part.texts)
        self._refuse_unsound(batch, {"log_probs": old, "reference": reference, "values": values})
        kl = kl_per_token(old, reference, mask, Estimator(settings.kl.estimator))
        rewards = token_rewards(batch.scores, kl, mask, self.kl.coefficient)
        if batch.credits is not None:
            rewards = rewards + seen(batch.credits, mask)
        estimate = self._estimate(batch, rewards, values)
        spread = self._moments(estimate.advantages, mask)
        advantages = whiten(estimate.advantages, mask, spread)
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
        returns = self._moments(estimate.returns, mask)
        scores = batch.scores[mask.any(1)].tolist()
        ends = self._ranks.gather(
            torch.tensor([min(scores, default=math.inf), -max(scores, default=-math.inf)])
        )
        lowest, highest = torch.stack(ends).amin(0).tolist()
        metrics |= {
            "score_min": lowest,
            "score_max": -highest,
            "advantage_std": math.sqrt(spread.variance),
            "return_mean": returns.mean,
            "return_std": math.sqrt(returns.variance),
        }
        if self._valued:
            left = self._moments(estimate.returns - values, mask)
            metrics["explained_variance"] = explained_variance(left, returns)
        return Known(old, weights, values, estimate.returns, advantages), metrics

    def _estimate(self, batch: Batch, rewards: Tensor, values: Tensor) -> Estimate:
        settings, mask = self._settings, batch.texts.mask
        if self._valued:
            return gae(rewards, values, mask, settings.discount, settings.decay)
        judged = mask.any(1)
        whole = torch.zeros_like(rewards)
        of_group = grpo_advantages if settings.advantages == "grpo" else rloo_advantages
        earned = rewards.sum(1) if batch.credits is None else batch.scores
        whole[judged] = of_group(earned[judged], batch.texts.of[judged], mask[judged])
        if batch.credits is None:
            return Estimate(whole, whole)
        compared = against_peers(rewards, batch.texts.of, mask)
        own = gae(compared, torch.zeros_like(rewards), mask, settings.discount, settings.decay).advantages
        return Estimate(own + settings.shared * whole, own)

    def _step(self, part: Batch, known: Known) -> dict[str, float]:
        """One optimiser step on this rank's share of a minibatch, accumulated over micro-batches."""
        whole = self._whole(part.texts.mask)
        trained = {
            kind: list(parameters.values())
            for kind, parameters in self.networks.trained.items()
            if kind == "actor" or self._valued
        }
        for kind in trained:
            self.optimisers[kind].zero_grad()
        names = _METRICS if self._valued else _METRICS[:5]
        sums = torch.zeros(len(names), dtype=torch.float64)
        for micro, answers in self._micro(part):
            sums += torch.tensor([float(each) for each in self._backward(micro, known.rows(answers), whole)])
        metrics = dict(zip(names, self._ranks.sum(sums).tolist(), strict=True))
        for kind, parameters in trained.items():
            metrics[f"{kind}_norm"] = self._clip(parameters)
        if not all(map(math.isfinite, metrics.values())):
            tensors = {name: getattr(known, name) for name in Known.__dataclass_fields__}
            raise self._broken(f"the loss is not finite: {metrics}", part, tensors, metrics)
        for kind in trained:
            self.optimisers[kind].step()
        return metrics

    def _clip(self, parameters: list[nn.Parameter]) -> float:
        """Sum the gradients over the ranks and cut them to the settings' norm; the norm before that."""
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if not self.networks.sharded:
                self._ranks.sum(parameter.grad)
        return float(gathered(nn.utils.clip_grad_norm_(parameters, self._settings.clip.norm)))

    def _refuse_unsound(self, batch: Batch, said: Mapping[str, Tensor]) -> None:
        """End the training where the networks say what is no number; all ranks do."""
        mask = batch.texts.mask
        unsound = [name for name, each in said.items() if not seen(each, mask).isfinite().all()]
        if self._total(torch.tensor(float(len(unsound)))):
            names = ", ".join(unsound) or "those of another rank"
            raise self._broken(f"not finite before the policy moves: {names}", batch, said)

    def _broken(
        self,
        problem: str,
        batch: Batch,
        known: Mapping[str, Tensor],
        metrics: Mapping[str, float] | None = None,
    ) -> StageFailed:
        """The error that ends the training, when the batch is written."""
        texts = batch.texts
        tensors = {name: getattr(texts, name) for name in ("queries", "seen", "of", "answers", "mask")}
        tensors |= {"sampled": batch.sampled, "scores": batch.scores, **known}
        about = {
            "problem": problem,
            "step": self._now,
            "rank": self._ranks.rank,
            "metrics": metrics or {},
            "settings": self._settings.model_dump(mode="json"),
        }
        place = self._folder and self._folder / f"broken-step-{self._now}-rank-{self._ranks.rank}"
        left = dump(place, tensors, about)
        return StageFailed(f"step {self._now}: {problem}; {left}; lower ppo.lr, or look at the batch")

    def _backward(self, part: Batch, known: Known, whole: Whole) -> list[Tensor]:
        """Add a micro-batch's share to the gradients; the answer is its share of `_METRICS`."""
        settings, mask = self._settings, part.texts.mask
        said = self.networks.log_probs(
            part.texts, entropy=bool(settings.entropy), mean=bool(settings.smoothing)
        )
        loss = policy_loss(
            said.log_probs,
            known.log_probs,
            known.advantages,
            mask,
            whole,
            self._clipping,
            weights=known.weights,
        )
        total = loss.total
        if settings.entropy:
            total = total - settings.entropy * aggregate(said.entropy, mask, whole)
        if settings.smoothing:
            smoothing = settings.smoothing * rate_at(self._now, settings)
            total = total - smoothing * aggregate(said.mean, mask, whole)
        total.backward()  # type: ignore[no-untyped-call]
        shares = [
            loss.total.detach(),
            loss.clipped_high,
            loss.clipped_low,
            loss.clipped_dual,
            loss.ppo_kl,
        ]
        if self._valued:
            values = self.networks.values(part.texts)
            valued = value_loss(values, known.values, known.returns, mask, whole, settings.clip.value)
            valued.total.backward()  # type: ignore[no-untyped-call]
            shares += [valued.total.detach(), valued.clipped]
        return shares

    def _micro(self, batch: Batch) -> Iterator[tuple[Batch, Tensor]]:
        """The batch in parts of a bounded number of tokens, and which answers each has."""
        for texts, answers in self.networks.parts(batch.texts, self._settings.micro_tokens):
            yield batch.part(texts, answers), answers

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


def rate_at(step: int, settings: PpoSettings) -> float:
    """The actor's share of its rate: it rises in the warm-up, and falls evenly to its last share."""
    risen = min(1.0, max(0, step - settings.warm_up // 2 + 1) / max(1, settings.warm_up))
    return risen * (1 - (1 - settings.last_rate) * step / settings.steps)


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
