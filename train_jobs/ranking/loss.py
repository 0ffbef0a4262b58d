"""The ranking loss: every dimension has a head, and every head a winner of its own. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from actors.contracts import Dimension, PairRecord
from actors.errors import BadInput

ABSENT = 0.5
"""The label of a dimension that was not judged; any other would do, it is masked."""


@dataclass(frozen=True)
class RankingTargets:
    """What is known about a batch of pairs. Kept on the CPU; the loss moves it to the scores.

    Raises:
        BadInput: the shapes or types do not fit, or a label is no probability.
    """

    labels: Tensor
    """Probability 0..1 that a wins, [pairs, dimensions] float32; 0.5 is a tie."""
    present: Tensor
    """Whether there is a label, [pairs, dimensions] bool."""

    def __post_init__(self) -> None:
        labels, present = self.labels, self.present
        if (
            labels.ndim != 2
            or labels.shape != present.shape
            or labels.dtype != torch.float32
            or present.dtype != torch.bool
        ):
            raise BadInput(
                f"labels of shape {tuple(labels.shape)} {labels.dtype} and a mask of shape "
                f"{tuple(present.shape)} {present.dtype}; accepted: [pairs, dimensions], float32 and bool"
            )
        # Not `(labels < 0) | (labels > 1)`: of NaN both are false.
        wrong = ~((labels >= 0) & (labels <= 1))
        if wrong.any():
            pair, dimension = (int(place) for place in wrong.nonzero()[0])
            raise BadInput(
                f"the label of pair {pair}, dimension {dimension} is {labels[pair, dimension].item()}; "
                "accepted: 0 to 1, the probability that a wins; leave out what was not judged"
            )

    @classmethod
    def of(cls, records: Sequence[PairRecord], dimensions: Sequence[Dimension]) -> RankingTargets:
        """The labels of pairs; a dimension that a pair has no label for is not present.

        Raises:
            BadInput: a label is no probability.
        """
        shape = (len(records), len(dimensions))
        rows = [[record.labels.get(name, ABSENT) for name in dimensions] for record in records]
        mask = [[name in record.labels for name in dimensions] for record in records]
        return cls(
            torch.tensor(rows, dtype=torch.float32).reshape(shape),
            torch.tensor(mask, dtype=torch.bool).reshape(shape),
        )


@dataclass(frozen=True)
class RankingLoss:
    """A batch's loss; both carry gradients."""

    total: Tensor
    """Weighted mean of the heads, scalar."""
    heads: Tensor
    """[dimensions]; exactly 0 where no pair has a label."""


def label_counts(targets: RankingTargets) -> Tensor:
    """Number of labels each dimension has, [dimensions] float32."""
    return targets.present.sum(dim=0).to(torch.float32)


def combined_ranking_loss(
    first: Tensor,
    second: Tensor,
    targets: RankingTargets,
    weights: Tensor,
    counts: Tensor | None = None,
    margin: float = 0.0,
) -> RankingLoss:
    """Bradley-Terry cross entropy with soft labels, a head; then the weighted mean over the heads.

    With y the probability that a wins and z = a - b - margin * (2 y - 1), a head's loss is the sum over its
    labelled pairs of -y log sigmoid(z) - (1 - y) log sigmoid(-z), divided by its number of labels. A sure
    label thus asks for a lead of `margin` more, a tie for none.

    The loss is a sum over pairs, so parts of a batch add up to the whole when all are given the counts of
    the whole. With R ranks under DDP, whose gradients are averages: sum `label_counts` over all ranks and all
    micro batches of the step, hand the sum to every call as `counts`, and call `(R * total).backward()`. The
    step's loss, for a log, is the sum of the unscaled totals over ranks and micro batches.

    Args:
        first: scores of a, [pairs, dimensions].
        second: scores of b, [pairs, dimensions].
        targets: the labels.
        weights: of the heads, [dimensions], 0 or more, one above 0; on the CPU, since they are checked.
        counts: labels of each head that the loss is divided by, [dimensions]; default: this batch's own.
        margin: score difference that a label of 0 or 1 asks for, 0 or more.

    Raises:
        BadInput: the shapes do not fit, or a weight or the margin is not acceptable.

    Sources: Bradley and Terry 1952; ties as labels of 0.5: PickScore (Kirstain et al. 2023).
    """
    _refuse_misfits(first, second, targets, weights, counts, margin)
    kind = torch.promote_types(first.dtype, torch.float32)
    labels, present = targets.labels.to(first.device, kind), targets.present.to(first.device)
    counts = label_counts(targets) if counts is None else counts
    z = first.to(kind) - second.to(kind) - margin * (2 * labels - 1)
    each = -labels * logsigmoid(z) - (1 - labels) * logsigmoid(-z)
    # `where`, unlike indexing, leaves a head without labels a gradient of zero: DDP waits for every head.
    heads = torch.where(present, each, torch.zeros_like(each)).sum(dim=0)
    heads = heads / counts.to(first.device, kind).clamp(min=1)
    shares = (weights.to(kind) / weights.to(kind).sum()).to(first.device)
    return RankingLoss((shares * heads).sum(), heads)


def _refuse_misfits(
    first: Tensor,
    second: Tensor,
    targets: RankingTargets,
    weights: Tensor,
    counts: Tensor | None,
    margin: float,
) -> None:
    shape = tuple(targets.labels.shape)
    if tuple(first.shape) != shape or tuple(second.shape) != shape:
        raise BadInput(
            f"scores of shapes {tuple(first.shape)} and {tuple(second.shape)} for labels of shape {shape}; "
            "accepted: one score a picture and dimension, [pairs, dimensions]"
        )
    for name, given in (("weights", weights), ("counts", counts)):
        if given is not None and tuple(given.shape) != shape[1:]:
            raise BadInput(f"{name} of shape {tuple(given.shape)}; accepted: one a dimension, {shape[1:]}")
    if not (bool((weights >= 0).all()) and 0 < float(weights.sum()) < math.inf):
        raise BadInput(f"weights {weights.tolist()}; accepted: 0 or more each, and one above 0")
    if not 0 <= margin < math.inf:
        raise BadInput(f"margin {margin}; accepted: 0 or more")
