"""A reward model: from a query and an answer to the chance that the first draw is admitted.

It learns from every draw that was judged, again and again, where reinforcement sees each once; and an answer
can be looked up in it in microseconds. Beside the admission it learns what the judge said of each dimension
and gate, of which every draw tells more.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, starmap
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save as packed
from torch import Tensor, nn
from torch.nn import functional as F

from actors.contracts import Dimension, derive_seed
from actors.errors import BadInput
from actors.folders import replace_files
from actors.tensors import fill, read_tensors
from configs.reward_model import RewardModelSettings
from train_jobs.ppo.reward_model.features import GATES, Features

TOLD = (*(str(dimension) for dimension in Dimension if dimension is not Dimension.TOTAL), *GATES)
_LEAST_BATCH = 64
_ROWS = 8192
"""Rows that are looked up at once."""


@dataclass(frozen=True)
class Judged:
    """Draws to learn from."""

    rows: Tensor
    """Of `Features`, [N, slots] int64."""
    told: Tensor
    """Whether admitted, then each dimension's score and each gate, [N, 1 + dimensions + gates], 0..1; NaN
    where none is known."""

    @classmethod
    def none(cls, slots: int) -> Judged:
        """No draw."""
        return cls(torch.zeros(0, slots, dtype=torch.int64), torch.zeros(0, 1 + len(TOLD)))

    @classmethod
    def of(
        cls, rows: Sequence[Sequence[int]], admitted: Sequence[bool], scores: Sequence[Mapping[str, float]]
    ) -> Judged:
        """Draws, one an index.

        Args:
            scores: of dimensions and `GATES`, as far as they are known.
        """
        told = [
            [float(each), *(found.get(name, math.nan) for name in TOLD)]
            for each, found in zip(admitted, scores, strict=True)
        ]
        return cls(torch.tensor(rows), torch.tensor(told))

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: Judged) -> Judged:
        return Judged(torch.cat((self.rows, other.rows)), torch.cat((self.told, other.told)))


class Network(nn.Module):
    """Embeddings of all slots through cross layers, if any, and a multilayer perceptron."""

    def __init__(self, size: int, slots: int, crosses: int, settings: RewardModelSettings) -> None:
        super().__init__()
        width, hidden = slots * settings.width, settings.hidden
        self.embedding = nn.Embedding(size, settings.width)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.crosses = nn.ModuleList(nn.Linear(width, width) for _ in range(crosses))
        widths = [width, *[hidden] * settings.layers]
        self.layers = nn.ModuleList(starmap(nn.Linear, pairwise(widths)))
        self.head = nn.Linear(hidden, 1 + len(TOLD))
        self.dropout = settings.cross_dropout if crosses else settings.dropout

    def forward(self, rows: Tensor, dice: torch.Generator | None = None) -> Tensor:
        """Logits [N, 1 + dimensions + gates] of rows [N, slots].

        Args:
            dice: in training, of what is dropped.
        """
        start = self.embedding(rows).flatten(1)
        x = start
        for cross in self.crosses:
            x = x + self._kept(start * cross(x), dice)
        for layer in self.layers:
            x = self._kept(F.silu(layer(x)), dice)
        out: Tensor = self.head(x)
        return out

    def _kept(self, x: Tensor, dice: torch.Generator | None) -> Tensor:
        if dice is None:
            return x
        return x * (torch.rand(x.shape, generator=dice) >= self.dropout) / (1 - self.dropout)


class RewardModel:
    """A few networks that differ in their form, start and order of draws; their mean is more right than each,
    above all of answers that a single one holds for good by mistake.

    Args:
        size, slots: of `Features`.
        features: their version, which a file keeps.
    """

    def __init__(
        self, size: int, slots: int, settings: RewardModelSettings, seed: int, features: str = ""
    ) -> None:
        self._features, self._settings, self._seed = features, settings, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._networks = nn.ModuleList(Network(size, slots, each, settings) for each in settings.crosses)

    @classmethod
    def opened(cls, path: Path, features: Features) -> RewardModel:
        """A model that was saved.

        Raises:
            BadInput: the file is missing, damaged or no reward model, or its features are not these.
        """
        read_tensors(path)
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        try:
            settings = RewardModelSettings.model_validate_json(about["settings"])
        except (KeyError, ValueError) as error:
            raise BadInput(
                f"{path}: no reward model ({error}); accepted: what a practice has saved"
            ) from None
        model = cls(features.size, features.slots, settings, 0, features.version)
        model.load(path)
        return model

    def logits(self, rows: Tensor) -> Tensor:
        """Of being admitted, [N] of rows [N, slots]."""
        return self._all(rows)[:, 0]

    def expected(self, rows: Tensor) -> Tensor:
        """The chance to be admitted, each dimension's score and the chance to pass each gate, in the order of
        `TOLD`, [N, 1 + dimensions + gates], 0..1."""
        return self._all(rows).sigmoid()

    def _all(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            parts = [
                torch.stack([network(part) for network in self._networks]).mean(0)
                for part in torch.split(rows, _ROWS)
            ]
        return torch.cat(parts)

    def fit(
        self, judged: Judged, looks: int, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> None:
        """Learn from draws, going on from what is known.

        Args:
            looks: at draws, of each network.
            progress: called in several threads, one at a time; what it raises ends the fitting.
        """
        batch = min(self._settings.batch, max(_LEAST_BATCH, len(judged) // 50))
        steps = max(1, round(looks / batch))
        done, telling = [0] * len(self._networks), threading.Lock()

        def fit_one(number: int) -> None:
            for step in self._fitting(number, judged, batch, steps):
                with telling:
                    done[number] = step
                    progress(sum(done), steps * len(done))

        # Each network has one thread of torch's, so that sums do not hang on the machine's cores.
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(self._settings.threads) as threads:
                list(threads.map(fit_one, range(len(self._networks))))
        finally:
            torch.set_num_threads(before)

    def save(self, path: Path, number: int) -> None:
        """Write the model, and a number to know it by."""
        settings = self._settings.model_dump_json()
        about = {"number": str(number), "features": self._features, "settings": settings}
        replace_files(path.parent, {path.name: packed(self._networks.state_dict(), about)})

    def load(self, path: Path) -> int:
        """Take up weights that were saved; the answer is their number.

        Raises:
            BadInput: they are not those of such a model.
        """
        tensors = read_tensors(path)
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        if about.get("features") != self._features or "number" not in about:
            raise BadInput(
                f"{path}: fitted to features {about.get('features')}, these are {self._features}; "
                "accepted: a reward model that was fitted with this vocabulary"
            )
        fill(self._networks, tensors, path)
        return int(about["number"])

    def _fitting(self, number: int, judged: Judged, batch: int, steps: int) -> Iterator[int]:
        room, network = self._settings, self._networks[number]
        optimiser = torch.optim.AdamW(network.parameters(), lr=room.lr, weight_decay=room.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, functools.partial(_rate, steps=steps))
        dice = torch.Generator().manual_seed(derive_seed(self._seed, "fit", number, len(judged)))
        for step in range(steps):
            part = torch.randint(len(judged), (batch,), generator=dice)
            loss = _loss(network(judged.rows[part], dice), judged.told[part])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            yield step + 1


def _rate(step: int, steps: int) -> float:
    """Share of the rate: it rises over a tenth of the steps, and falls as a half cosine."""
    risen = min(1.0, (step + 1) / max(1.0, 0.1 * steps))
    return risen * 0.5 * (1 + math.cos(math.pi * step / steps))


def _loss(logits: Tensor, told: Tensor) -> Tensor:
    known = told.isfinite()
    each = F.binary_cross_entropy_with_logits(logits, told.nan_to_num(), reduction="none")
    return each[known].mean()
