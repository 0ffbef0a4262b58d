"""The training loop: plain torch, the same in one process and in many. Ray is not known here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from actors.contracts import PairRecord, derive_seed
from actors.scorer.model import AestheticModel
from actors.scorer.text import Tokenizer
from configs.ranking import RankingSettings
from train_jobs.ranking.batches import Batch, micro, plan
from train_jobs.ranking.data import Pictures, Tell, lengths
from train_jobs.ranking.frozen import Read, Seen
from train_jobs.ranking.loss import RankingTargets, combined_ranking_loss, label_counts
from train_jobs.ranking.quality import TIE, Predicted, quality
from train_jobs.ranking.schedule import Stage, rate_at, stage_at
from train_jobs.ranking.scoring import Looked, Reader, Source, computing, forward, pair_scores, reader
from train_jobs.ranking.state import Progress, TrainingState
from train_jobs.training.optimiser import Tensors, copied, optimiser_tensors, restore_optimiser
from train_jobs.training.ranks import ALONE, Ranks

LOG_STEPS = 10
Keep = Callable[[TrainingState, dict[str, Any]], None]
"""Called on every rank after each checkpoint's step, with the newest row of the curve."""


@dataclass(frozen=True)
class Parts:
    """Pairs to learn from and pairs to watch."""

    train: Sequence[PairRecord]
    validation: Sequence[PairRecord]


class Training:
    """One run of one process.

    Args:
        model: on its device, the same on every rank.
        keep: told of every checkpoint.
        state: to go on from.
        watch: told of progress.
    """

    def __init__(
        self,
        settings: RankingSettings,
        model: AestheticModel,
        tokenizer: Tokenizer,
        parts: Parts,
        pictures: Pictures,
        ranks: Ranks = ALONE,
        keep: Keep = lambda state, row: None,
        state: TrainingState | None = None,
        watch: Tell = lambda stage, done, total: None,
    ) -> None:
        self._settings, self._model = settings, model
        self._parts, self._ranks, self._keep, self._watch = parts, ranks, keep, watch
        self._dimensions = model.architecture.dimensions
        self._weights = torch.tensor([settings.dimensions[name] for name in self._dimensions])
        self._lengths = lengths(parts.train, model.architecture.image)
        self.steps_per_epoch = len(self._plan(0))
        self.steps = self.steps_per_epoch * settings.epochs
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        self._optimiser = torch.optim.AdamW(_groups(model, settings), betas=(0.9, 0.98))
        self._progress, self._best, self._average = Progress(), Tensors(), Tensors()
        if settings.ema:
            self._average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        if state:
            self._restore(state)
        self._pictures: Source = pictures
        self._read: Reader = reader(tokenizer)
        every, frozen = [*parts.train, *parts.validation], settings.freezing
        if frozen.image_blocks == 0:
            self._pictures = Seen(model, pictures, every, ranks, settings.precision, watch)
        if frozen.text_blocks == 0:
            self._read = Read(model, tokenizer, every, ranks, settings.precision, watch)
        self._stage: Stage | None = None
        self._module: nn.Module = model
        self._sums = torch.zeros(1 + 3 * len(self._dimensions), dtype=torch.float64)

    def run(self) -> TrainingState:
        """Train to the end, or until validation has not improved for `patience` epochs."""
        while not self._progress.finished:
            epoch, done = divmod(self._progress.step, self.steps_per_epoch)
            batches = self._plan(epoch)[done:]
            mine = [[self._parts.train[i] for i in batch.ranks[self._ranks.rank]] for batch in batches]
            for batch, pictures in zip(batches, self._pictures.ahead(mine), strict=True):
                self._step(batch, pictures)
                within = self._progress.step % self.steps_per_epoch
                if within and self._progress.step % self._settings.checkpoint_steps == 0:
                    # What has been summed up since the last row would be lost with a checkpoint.
                    self._log()
                    self._keep(self._state(), {})
            self._end_epoch(epoch)
        return self._state()

    def _plan(self, epoch: int) -> list[Batch]:
        settings = self._settings
        return plan(self._lengths, settings.batch, self._ranks.size, settings.seed, epoch)

    def _step(self, batch: Batch, pictures: Looked) -> None:
        """One optimiser step on this rank's share of a batch, accumulated over micro batches."""
        step, settings = self._progress.step, self._settings
        self._enter(stage_at(step, self.steps_per_epoch, settings.freezing))
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * rate_at(step, self.steps, settings.rates)
        # Seeded by step, so that a resumed run drops the same units.
        torch.manual_seed(derive_seed(settings.seed, "dropout", step, self._ranks.rank))
        everyone = [self._parts.train[i] for i in batch.pairs]
        counts = label_counts(RankingTargets.of(everyone, self._dimensions))
        mine = batch.ranks[self._ranks.rank]
        self._optimiser.zero_grad(set_to_none=True)
        shares = micro(mine, self._lengths, settings.micro_tokens)
        start = 0
        for share in shares:
            part = pictures[2 * start : 2 * (start + len(share))]
            start += len(share)
            with (
                self._synchronised(start == len(mine)),
                computing(self._model.device.type, settings.precision),
            ):
                self._learn([self._parts.train[i] for i in share], part, counts)
        trained = [parameter for parameter in self._names if parameter.grad is not None]
        nn.utils.clip_grad_norm_(trained, settings.clip)
        self._optimiser.step()
        self._progress.step += 1
        self._follow()
        if self._progress.step % LOG_STEPS == 0:
            self._log()
            self._watch("training, steps", self._progress.step, self.steps)

    def _learn(self, records: Sequence[PairRecord], pictures: Looked, counts: Tensor) -> None:
        scores = forward(self._module, self._read, records, pictures)
        targets = RankingTargets.of(records, self._dimensions)
        first, second = scores[0::2], scores[1::2]
        loss = combined_ranking_loss(first, second, targets, self._weights, counts, self._settings.margin)
        (self._ranks.size * loss.total).backward()  # type: ignore[no-untyped-call]
        right, decided = _right((first - second).detach().cpu(), targets)
        losses = torch.cat([loss.total[None], loss.heads]).detach().double().cpu()
        self._sums += torch.cat([losses, right, decided])

    def _end_epoch(self, epoch: int) -> None:
        self._log()
        progress = self._progress
        found = self._validate()
        accuracy = (found.get("total", found["mean"]) + found["mean"]) / 2
        if accuracy > progress.best:
            progress.best, progress.best_epoch, progress.waited = accuracy, epoch, 0
            self._best = self._kept_weights()
        else:
            progress.waited += 1
        row = {"step": progress.step, "epoch": epoch + 1, "validation": found}
        progress.curve.append(row)
        progress.finished = progress.step >= self.steps or progress.waited >= self._settings.patience
        self._keep(self._state(), row)

    def _validate(self) -> dict[str, float]:
        """Accuracy by dimension on the validation pairs, every rank looking at its share of them."""
        records = self._parts.validation
        differences = torch.zeros(len(records), len(self._dimensions), dtype=torch.float64)
        mine = range(self._ranks.rank, len(records), self._ranks.size)
        was = copied(self._model) if self._average else None
        if was is not None:
            self._model.load_state_dict(self._average)
        found = pair_scores(
            self._model,
            self._read,
            self._pictures,
            [records[i] for i in mine],
            batch=self._settings.batch,
            precision=self._settings.precision,
        )
        self._model.train()
        if was is not None:
            self._model.load_state_dict(was)
        if len(mine):
            differences[list(mine)] = torch.from_numpy(found[:, 0] - found[:, 1])
        predicted = Predicted.of(records, self._dimensions, self._ranks.sum(differences).numpy())
        report = quality(predicted, [1.0] * len(self._dimensions), source="judge", resamples=2)
        accuracies = {
            str(name): each.decided.accuracy
            for name, each in report.dimensions.items()
            if each.decided.accuracy is not None
        }
        return {**accuracies, "mean": float(np.mean(list(accuracies.values()))) if accuracies else 0.0}

    def _enter(self, stage: Stage) -> None:
        """Freeze as the stage says; DDP has to be made anew, for it waits for every gradient it knows."""
        if stage == self._stage:
            return
        self._stage = stage
        self._model.train()
        self._model.unfreeze(stage.image_blocks, stage.text_blocks)
        self._module = DistributedDataParallel(self._model) if self._ranks.size > 1 else self._model

    @contextlib.contextmanager
    def _synchronised(self, last: bool) -> Iterator[None]:
        """Gradients travel with the last micro batch of a step alone."""
        module = self._module
        if isinstance(module, DistributedDataParallel) and not last:
            with module.no_sync():
                yield
        else:
            yield

    def _follow(self) -> None:
        decay = self._settings.ema
        if decay:
            for name, value in self._model.state_dict().items():
                if value.is_floating_point():
                    self._average[name].lerp_(value.detach(), 1 - decay)

    def _log(self) -> None:
        """Add a row of means since the last one to the curve."""
        steps = self._progress.step - self._logged()
        if not steps:
            return
        total, losses, right, decided = torch.split(
            self._ranks.sum(self._sums), [1] + 3 * [len(self._dimensions)]
        )
        self._sums = torch.zeros_like(self._sums)
        names = [str(name) for name in self._dimensions]
        self._progress.curve.append(
            {
                "step": self._progress.step,
                "epoch": self._progress.step / self.steps_per_epoch,
                "loss": float(total) / steps,
                "losses": dict(zip(names, (losses / steps).tolist(), strict=True)),
                "accuracies": {
                    name: hits / n
                    for name, hits, n in zip(names, right.tolist(), decided.tolist(), strict=True)
                    if n
                },
                "rate": rate_at(self._progress.step - 1, self.steps, self._settings.rates),
            }
        )

    def _logged(self) -> int:
        rows = [row for row in self._progress.curve if "loss" in row]
        return int(rows[-1]["step"]) if rows else 0

    def _state(self) -> TrainingState:
        moments = optimiser_tensors(self._optimiser, self._names)
        return TrainingState(self._progress, copied(self._model), moments, self._best, self._average)

    def _kept_weights(self) -> Tensors:
        return {name: value.cpu().clone() for name, value in self._average.items()} or copied(self._model)

    def _restore(self, state: TrainingState) -> None:
        self._model.load_state_dict(state.model)
        restore_optimiser(self._optimiser, self._names, state.optimiser)
        self._progress, self._best = state.progress, state.best
        self._average = {name: value.to(self._model.device) for name, value in state.average.items()}


def _groups(model: AestheticModel, settings: RankingSettings) -> list[dict[str, Any]]:
    """Parameters by learning rate and decay; norms, biases and embeddings do not decay."""
    rates = settings.rates
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        highest = rates.towers if name.startswith(("image.", "text.")) else rates.heads
        decay = rates.wish_decay if name.startswith("wish.") else rates.decay
        decays = parameter.ndim >= 2 and "embedding" not in name
        groups.setdefault((highest, decay if decays else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": 0.0, "highest": highest, "weight_decay": decay}
        for (highest, decay), parameters in groups.items()
    ]


def _right(differences: Tensor, targets: RankingTargets) -> tuple[Tensor, Tensor]:
    """Pairs whose winner was named and pairs that have one, by dimension."""
    decided = targets.present & ((targets.labels - 0.5).abs() >= TIE)
    right = ((differences > 0) == (targets.labels > 0.5)) & decided
    return right.sum(0).double(), decided.sum(0).double()
