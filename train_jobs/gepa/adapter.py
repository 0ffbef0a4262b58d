"""The shapes of `gepa`'s protocols: what is written for that package runs here unchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from train_jobs.gepa.candidate import Candidate

ReflectiveDataset = Mapping[str, Sequence[Mapping[str, Any]]]
"""Component -> what a reflection is shown of each example."""
ProposalFn = Callable[[Candidate, ReflectiveDataset, list[str]], Mapping[str, str]]
"""`propose(candidate, dataset, components)`: new texts."""
LanguageModel = Callable[[Any], str]
"""`lm(prompt)`: the prompt is a text, or a list of chat messages where it holds pictures."""


@dataclass
class EvaluationBatch:
    """A candidate's results on a batch, one entry an example."""

    outputs: list[Any]
    scores: list[float]
    """Higher is better."""
    trajectories: list[Any] | None = None
    """What `make_reflective_dataset` needs; there where traces were asked for."""
    objective_scores: list[dict[str, float]] | None = None
    num_metric_calls: int | None = None
    history: list[Any] = field(default_factory=list)
    """Trajectories of training examples that were evaluated lately with any candidate, see `gepa.history`."""


class Adapter(Protocol):
    """A system under search.

    Optional members: `propose_new_texts` (a `ProposalFn`), `batch_evaluate`, `crossover(candidate, other,
    components) -> texts`, and `failure_score`, the score of an example that failed (0 without it).
    """

    def evaluate(self, batch: list[Any], candidate: Candidate, capture_traces: bool = False) -> Any:
        """An `EvaluationBatch`, or anything with its fields."""
        ...

    def make_reflective_dataset(
        self, candidate: Candidate, eval_batch: Any, components_to_update: list[str]
    ) -> ReflectiveDataset:
        """What a reflection is shown."""
        ...
