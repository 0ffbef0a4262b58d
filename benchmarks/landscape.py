"""A landscape for prompt search without a model: sets of rules, found out from what a minibatch misses.

A candidate's text names rules out of 24; an example needs a few of them, and its score is the share that is
there. A reflection on a minibatch adds each rule that was missed there with some chance, and loses each rule
that was there with a small one. A crossover joins two texts, with the same loss. All follows from seeds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from actors.contracts import derive_seed

RULES, TRAIN, VALIDATION = 24, 60, 24
COMPONENT = "rules"


@dataclass(frozen=True)
class Landscape:
    """One world.

    Args:
        needs: rules that an example needs.
        gain: chance that a missed rule is added.
        loss: chance that a present rule is lost.
    """

    seed: int
    needs: int = 2
    gain: float = 0.4
    loss: float = 0.06

    @property
    def train(self) -> list[tuple[int, ...]]:
        """Training examples."""
        return self._examples("train", TRAIN)

    @property
    def validation(self) -> list[tuple[int, ...]]:
        """Validation examples."""
        return self._examples("validation", VALIDATION)

    def score(self, candidate: Mapping[str, str], example: Sequence[int]) -> float:
        """Share of an example's rules that a candidate has."""
        have = read(candidate[COMPONENT])
        return sum(rule in have for rule in example) / len(example)

    def mutate(self, candidate: Mapping[str, str], examples: Sequence[Sequence[int]], tag: str = "") -> str:
        """A reflection's text."""
        have = read(candidate[COMPONENT])
        missed = sorted({rule for example in examples for rule in example} - have)
        rng = random.Random(derive_seed(self.seed, "mutate", candidate[COMPONENT], sorted(examples), tag))
        kept = [rule for rule in sorted(have) if rng.random() >= self.loss]
        return write(kept + [rule for rule in missed if rng.random() < self.gain])

    def join(self, first: Mapping[str, str], second: Mapping[str, str]) -> str:
        """A crossover's text."""
        rng = random.Random(derive_seed(self.seed, "join", first[COMPONENT], second[COMPONENT]))
        both = sorted(read(first[COMPONENT]) | read(second[COMPONENT]))
        return write([rule for rule in both if rng.random() >= self.loss])

    def _examples(self, name: str, count: int) -> list[tuple[int, ...]]:
        rng = random.Random(derive_seed(self.seed, name))
        return [tuple(sorted(rng.sample(range(RULES), self.needs))) for _ in range(count)]


@dataclass
class LandscapeAdapter:
    """What every adapter around a landscape shares: what a reflection is shown, and the reflection."""

    landscape: Landscape
    propose_new_texts: Any = None

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """The examples as they are."""
        return {COMPONENT: [{"example": trace} for trace in eval_batch.trajectories]}

    def propose(self, candidate: dict[str, str], dataset: Any, components: list[str]) -> dict[str, str]:
        """The landscape's mutation."""
        return {COMPONENT: self.landscape.mutate(candidate, shown(dataset))}


def shown(dataset: Any) -> list[tuple[int, ...]]:
    """The examples in a reflective dataset."""
    return [tuple(row["example"]) for row in dataset[COMPONENT]]


def read(text: str) -> set[int]:
    """The rules that a text names."""
    return {int(word) for word in text.split()}


def write(rules: Sequence[int]) -> str:
    """A text that names rules."""
    return " ".join(str(rule) for rule in sorted(rules))


def latency(mean: float, sigma: float, *names: Any) -> float:
    """A log-normal time, s, that follows from what it is for."""
    rng = random.Random(derive_seed("latency", *names))
    return math.exp(rng.gauss(math.log(mean) - sigma * sigma / 2, sigma))
