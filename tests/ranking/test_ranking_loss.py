from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from actors.contracts import Dimension, PairRecord
from actors.errors import BadInput
from tests.pairs.pair_kit import sample
from train_jobs.ranking.loss import RankingTargets, combined_ranking_loss, label_counts

torch.set_num_threads(1)
TOTAL, COLOR, LIGHTING = Dimension.TOTAL, Dimension.COLOR, Dimension.LIGHTING
Case = tuple[Tensor, Tensor, RankingTargets, Tensor, float]


def labelled(*labels: dict[Dimension, float]) -> list[PairRecord]:
    return [sample(i).record.model_copy(update={"labels": own}) for i, own in enumerate(labels)]


def targets(labels: Sequence[Sequence[float | None]]) -> RankingTargets:
    return RankingTargets(
        torch.tensor([[0.5 if y is None else y for y in row] for row in labels], dtype=torch.float32),
        torch.tensor([[y is not None for y in row] for row in labels]),
    )


@st.composite
def cases(draw: st.DrawFn, kind: torch.dtype = torch.float32) -> Case:
    pairs, heads = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first, second = (
        torch.tensor(rng.normal(0, draw(st.sampled_from((0.1, 1.0, 9.0))), (pairs, heads)), dtype=kind)
        for _ in range(2)
    )
    label = st.none() | st.sampled_from((0.0, 0.5, 1.0)) | st.floats(0, 1, width=32)
    labels = draw(st.lists(st.lists(label, min_size=heads, max_size=heads), min_size=pairs, max_size=pairs))
    weights = torch.tensor(rng.uniform(0.1, 3.0, heads), dtype=torch.float32)
    return first, second, targets(labels), weights, draw(st.sampled_from((0.0, 0.5, 2.0)))


def by_hand(case: Case) -> tuple[float, list[float]]:
    first, second, known, weights, margin = case
    pairs, heads = first.shape
    losses = []
    for d in range(heads):
        total, count = 0.0, 0
        for i in range(pairs):
            if known.present[i, d]:
                y = float(known.labels[i, d])
                z = float(first[i, d]) - float(second[i, d]) - margin * (2 * y - 1)
                p, q = 1 / (1 + math.exp(-z)), 1 / (1 + math.exp(z))
                total -= (y * math.log(p) if y else 0.0) + ((1 - y) * math.log(q) if y < 1 else 0.0)
                count += 1
        losses.append(total / count if count else 0.0)
    shares = [float(w) for w in weights]
    return sum(w * loss for w, loss in zip(shares, losses, strict=True)) / sum(shares), losses


@given(cases(torch.float64) | cases())
@settings(deadline=None)
def test_it_is_the_cross_entropy_written_out(case: Case) -> None:
    first, second, known, weights, margin = case
    found = combined_ranking_loss(first, second, known, weights, margin=margin)
    total, heads = by_hand(case)
    assert found.total.item() == pytest.approx(total, rel=1e-6, abs=1e-6)
    assert found.heads.tolist() == pytest.approx(heads, rel=1e-6, abs=1e-6)


@given(cases())
@settings(deadline=None)
def test_which_picture_is_called_a_does_not_matter(case: Case) -> None:
    first, second, known, weights, margin = case
    turned = RankingTargets(1 - known.labels, known.present)
    one = combined_ranking_loss(first, second, known, weights, margin=margin)
    other = combined_ranking_loss(second, first, turned, weights, margin=margin)
    assert torch.allclose(one.heads, other.heads, rtol=1e-6, atol=1e-6)


def test_each_dimension_has_its_own_winner() -> None:
    first, second = torch.tensor([[2.0, -2.0]]), torch.zeros(1, 2)
    agreeing = combined_ranking_loss(first, second, targets([[1.0, 0.0]]), torch.ones(2))
    assert agreeing.heads.tolist() == pytest.approx([math.log1p(math.exp(-2))] * 2)
    following = combined_ranking_loss(first, second, targets([[1.0, 1.0]]), torch.ones(2))
    assert following.heads[1].item() == pytest.approx(math.log1p(math.exp(2)))


def test_weights_are_shares() -> None:
    first, second = torch.tensor([[1.0, -3.0]]), torch.zeros(1, 2)
    known = targets([[1.0, 1.0]])
    found = combined_ranking_loss(first, second, known, torch.tensor([3.0, 1.0]))
    assert found.total.item() == pytest.approx(float(0.75 * found.heads[0] + 0.25 * found.heads[1]))


@pytest.mark.parametrize("label", [0.0, 0.25, 0.5, 1.0])
def test_a_sure_label_asks_for_a_lead_and_a_tie_for_none(label: float) -> None:
    """The slope at equal scores, by hand; of a tie it is 0."""
    score = torch.zeros(1, 1, requires_grad=True)
    known = targets([[label]])
    combined_ranking_loss(score, torch.zeros(1, 1), known, torch.ones(1), margin=2.0).total.backward()
    assert score.grad.item() == pytest.approx(1 / (1 + math.exp(2 * (2 * label - 1))) - label, abs=1e-6)


def test_a_head_without_labels_adds_nothing_and_still_has_a_gradient() -> None:
    heads = nn.ModuleList(nn.Linear(3, 1) for _ in range(2))
    pictures = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    first, second = (torch.cat([head(pictures[:, side]) for head in heads], dim=1) for side in range(2))
    known = targets([[1.0, None], [0.2, None], [0.5, None], [0.0, None]])
    found = combined_ranking_loss(first, second, known, torch.ones(2))
    found.total.backward()
    assert found.heads[1].item() == 0.0
    assert found.total.item() == pytest.approx(found.heads[0].item() / 2)
    assert heads[0].weight.grad.abs().sum() > 0
    assert heads[1].weight.grad is not None
    assert heads[1].weight.grad.abs().sum() == 0
    assert heads[1].bias.grad.abs().sum() == 0


def test_a_batch_without_any_label_is_zero_not_nan() -> None:
    first = torch.randn(3, 2, requires_grad=True)
    found = combined_ranking_loss(first, torch.zeros(3, 2), targets([[None, None]] * 3), torch.ones(2))
    found.total.backward()
    assert found.total.item() == 0.0
    assert first.grad.tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_huge_differences_do_not_overflow(size: float) -> None:
    first = torch.tensor([[size], [-size], [size], [-size]], requires_grad=True)
    known = targets([[1.0], [1.0], [0.0], [0.25]])
    found = combined_ranking_loss(first, torch.zeros(4, 1), known, torch.ones(1))
    found.total.backward()
    assert found.total.item() == pytest.approx(size * 2.25 / 4, rel=1e-6)
    assert first.grad.flatten().tolist() == pytest.approx([0.0, -0.25, 0.25, -0.0625])


def test_small_losses_are_not_rounded_away() -> None:
    found = combined_ranking_loss(torch.tensor([[30.0]]), torch.zeros(1, 1), targets([[1.0]]), torch.ones(1))
    assert found.total.item() == pytest.approx(math.exp(-30), rel=1e-4)


def test_half_precision_scores_are_subtracted_in_full() -> None:
    first, second = (
        torch.tensor([[100.5]], dtype=torch.bfloat16),
        torch.tensor([[0.25]], dtype=torch.bfloat16),
    )
    found = combined_ranking_loss(first, second, targets([[0.0]]), torch.ones(1))
    assert found.total.dtype == torch.float32
    assert found.total.item() == pytest.approx(first.item() - second.item())


@given(cases(torch.float64), st.integers(0, 7))
@settings(deadline=None)
def test_parts_with_the_counts_of_the_whole_add_up_to_it(case: Case, place: int) -> None:
    first, second, known, weights, margin = case
    cut = min(place, len(first))
    counts = label_counts(known)

    def gradient(parts: list[slice], given: Tensor | None) -> Tensor:
        scores = first.clone().requires_grad_()
        for part in parts:
            own = RankingTargets(known.labels[part], known.present[part])
            combined_ranking_loss(scores[part], second[part], own, weights, given, margin).total.backward()
        return scores.grad

    parts = gradient([slice(0, cut), slice(cut, None)], counts)
    assert torch.allclose(parts, gradient([slice(None)], None), rtol=1e-12, atol=1e-15)


def test_targets_of_pairs() -> None:
    records = labelled({TOTAL: 0.9, COLOR: 0.25}, {LIGHTING: 0.0}, {})
    known = RankingTargets.of(records, (COLOR, TOTAL))
    assert known.present.tolist() == [[True, True], [False, False], [False, False]]
    assert known.labels[0].tolist() == pytest.approx([0.25, 0.9])
    assert label_counts(known).tolist() == [1.0, 1.0]
    assert RankingTargets.of([], (COLOR, TOTAL)).labels.shape == (0, 2)


@pytest.mark.parametrize("label", [math.nan, -0.01, 1.01, math.inf])
def test_what_is_no_probability_is_refused(label: float) -> None:
    with pytest.raises(BadInput, match="pair 1, dimension 0"):
        RankingTargets.of(labelled({TOTAL: 0.5}, {TOTAL: label}), (TOTAL,))


@pytest.mark.parametrize(
    ("labels", "present"),
    [
        (torch.zeros(2), torch.zeros(2, dtype=torch.bool)),
        (torch.zeros(2, 1), torch.zeros(2, 2, dtype=torch.bool)),
        (torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.bool)),
        (torch.zeros(2, 1), torch.zeros(2, 1)),
    ],
)
def test_targets_that_do_not_fit_are_refused(labels: Tensor, present: Tensor) -> None:
    with pytest.raises(BadInput, match=r"accepted: \[pairs, dimensions\]"):
        RankingTargets(labels, present)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"first": torch.zeros(3, 2)}, "one score a picture"),
        ({"second": torch.zeros(2, 1)}, "one score a picture"),
        ({"weights": torch.ones(3)}, "weights of shape"),
        ({"counts": torch.ones(1)}, "counts of shape"),
        ({"weights": torch.tensor([1.0, -1.0])}, "0 or more each"),
        ({"weights": torch.zeros(2)}, "one above 0"),
        ({"weights": torch.tensor([1.0, math.nan])}, "0 or more each"),
        ({"margin": -1.0}, "margin -1.0"),
        ({"margin": math.nan}, "margin nan"),
    ],
)
def test_what_does_not_fit_the_labels_is_refused(change: dict[str, object], words: str) -> None:
    fitting = {
        "first": torch.zeros(2, 2),
        "second": torch.zeros(2, 2),
        "targets": targets([[1.0, None], [0.5, 0.1]]),
        "weights": torch.ones(2),
    }
    with pytest.raises(BadInput, match=words):
        combined_ranking_loss(**{**fitting, **change})
