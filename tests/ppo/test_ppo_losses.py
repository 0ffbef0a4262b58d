from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actors.errors import BadInput
from tests.ppo.ppo_kit import Batch, batches, spoilt
from train_jobs.ppo.aggregation import Averaging, Whole, aggregate
from train_jobs.ppo.losses import Clipping, PolicyLoss, policy_loss, value_loss

averagings = st.sampled_from(Averaging)
clippings = st.sampled_from(
    (Clipping(), Clipping(0.1, 0.4, None), Clipping(0.3, 0.1, 1.5), Clipping(0.0, 0.0))
)


def mean_of(each: list[list[float]], mask: Tensor, averaging: Averaging) -> float:
    rows = [[value for value, real in zip(*row, strict=True) if real] for row in zip(each, mask, strict=True)]
    rows = [row for row in rows if row]
    if not rows:
        return 0.0
    if averaging is Averaging.TOKENS:
        return sum(map(sum, rows)) / sum(map(len, rows))
    if averaging is Averaging.SEQUENCE_SUMS:
        return sum(map(sum, rows)) / len(rows)
    return sum(sum(row) / len(row) for row in rows) / len(rows)


def surrogate(new: float, old: float, gain: float, clipping: Clipping) -> tuple[float, str]:
    """The loss of a token, and what stopped it."""
    ratio = math.exp(min(20.0, max(-20.0, new - old)))
    if gain > 0:
        return (-gain * (1 + clipping.high), "high") if ratio > 1 + clipping.high else (-gain * ratio, "")
    if clipping.dual is not None and ratio > clipping.dual and gain < 0:
        return -gain * clipping.dual, "dual"
    if ratio < 1 - clipping.low and gain < 0:
        return -gain * (1 - clipping.low), "low"
    return -gain * ratio, ""


@given(batches(), clippings, averagings, st.sampled_from((0.1, 0.7, 15.0)), st.booleans())
@settings(deadline=None, max_examples=100)
def test_the_policy_loss_is_the_surrogate_written_out(
    batch: Batch, clipping: Clipping, averaging: Averaging, spread: float, weighed: bool
) -> None:
    mask = batch.mask
    new, old, gains = batch.tensor(0, spread), batch.tensor(1, spread), batch.tensor(2)
    weights = batch.tensor(3).abs() if weighed else None
    found = policy_loss(
        *(spoilt(given, mask) for given in (new, old, gains)),
        mask,
        Whole.of(mask),
        clipping,
        averaging,
        None if weights is None else spoilt(weights, mask),
    )
    told = [
        [surrogate(*numbers, clipping) for numbers in zip(*rows, strict=True)]
        for rows in zip(new.tolist(), old.tolist(), gains.tolist(), strict=True)
    ]
    share = torch.ones_like(new) if weights is None else weights
    each = [
        [loss * float(w) for (loss, _), w in zip(*row, strict=True)] for row in zip(told, share, strict=True)
    ]
    assert float(found.total) == pytest.approx(mean_of(each, mask, averaging), rel=1e-9, abs=1e-9)
    for name, part in (
        ("high", found.clipped_high),
        ("low", found.clipped_low),
        ("dual", found.clipped_dual),
    ):
        counts = [[float(stopped == name) for _, stopped in row] for row in told]
        assert float(part) == pytest.approx(mean_of(counts, mask, Averaging.TOKENS)), name
    gap = (old - new).clamp(-20, 20).tolist()
    assert float(found.ppo_kl) == pytest.approx(mean_of(gap, mask, Averaging.TOKENS), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("ratio", "gain", "slope"),
    [
        (1.0, 2.0, -2.0),
        (1.25, 2.0, -2.5),
        (1.35, 2.0, 0.0),
        (0.5, 2.0, -1.0),
        (1.0, -2.0, 2.0),
        (0.85, -2.0, 1.7),
        (0.75, -2.0, 0.0),
        (2.5, -2.0, 5.0),
        (3.5, -2.0, 0.0),
        (1e12, -2.0, 0.0),
    ],
)
def test_the_slope_by_the_log_probability(ratio: float, gain: float, slope: float) -> None:
    """-advantage * ratio where the token may move, exactly 0 where it is stopped."""
    new = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    zero, mask = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    loss = policy_loss(new, zero, torch.full_like(zero, gain), mask, Whole(1, 1), Clipping(0.2, 0.28, 3.0))
    loss.total.backward()
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(slope, rel=1e-12, abs=0)


def test_without_the_dual_clip_a_huge_ratio_has_a_slope_until_the_clamp() -> None:
    mask, zero = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.float64)
    new = torch.tensor([[5.0, 25.0]], dtype=torch.float64, requires_grad=True)
    found = policy_loss(new, zero, zero - 1, mask, Whole(1, 1), Clipping(dual=None))
    found.total.backward()
    assert new.grad is not None
    assert new.grad.tolist()[0] == pytest.approx([math.exp(5), 0.0])
    assert float(found.total.detach()) == pytest.approx(math.exp(5) + math.exp(20))


def test_only_the_policy_in_training_gets_a_gradient() -> None:
    given = [torch.full((1, 2), 0.1, requires_grad=True) for _ in range(4)]
    mask = torch.ones(1, 2, dtype=torch.bool)
    found = policy_loss(*given[:3], mask, Whole(2, 1), Clipping(), weights=given[3])
    found.total.backward()
    assert given[0].grad is not None
    assert all(other.grad is None for other in given[1:])
    assert not any(
        metric.requires_grad
        for metric in (found.clipped_high, found.clipped_low, found.clipped_dual, found.ppo_kl)
    )


@given(batches(), st.sampled_from((None, 0.0, 0.5)), averagings)
@settings(deadline=None, max_examples=60)
def test_the_value_loss_is_the_greater_of_two_squares(
    batch: Batch, clip: float | None, averaging: Averaging
) -> None:
    new, old, goals, mask = batch.tensor(0), batch.tensor(1), batch.tensor(2), batch.mask
    spoilt_ones = [spoilt(given, mask) for given in (new, old, goals)]
    found = value_loss(*spoilt_ones, mask, Whole.of(mask), clip, averaging)
    each, stopped = [], []
    for rows in zip(new.tolist(), old.tolist(), goals.tolist(), strict=True):
        pairs = []
        for value, before, goal in zip(*rows, strict=True):
            held = value if clip is None else min(max(value, before - clip), before + clip)
            pairs.append(((value - goal) ** 2, (held - goal) ** 2))
        each.append([max(pair) / 2 for pair in pairs])
        stopped.append([float(pair[1] > pair[0]) for pair in pairs])
    assert float(found.total) == pytest.approx(mean_of(each, mask, averaging), rel=1e-9, abs=1e-9)
    assert float(found.clipped) == pytest.approx(mean_of(stopped, mask, Averaging.TOKENS))


def test_a_value_that_left_its_old_one_towards_the_return_has_no_slope() -> None:
    values = torch.tensor([[0.1, 0.5, -0.5, 0.5]], dtype=torch.float64, requires_grad=True)
    old, goals = torch.zeros(1, 4, dtype=torch.float64), torch.tensor([[1.0, 1.0, 1.0, 0.4]]).double()
    found = value_loss(values, old, goals, torch.ones(1, 4, dtype=torch.bool), Whole(4, 1), 0.2)
    found.total.backward()
    assert values.grad is not None
    # Within; towards the goal; away from it; past it by less than the clip would miss it by.
    assert values.grad.tolist()[0] == pytest.approx([-0.9 / 4, 0.0, -1.5 / 4, 0.0])
    assert float(found.clipped) == pytest.approx(0.5)


Part = Callable[[slice, Whole], Tensor]


def policy_part(batch: Batch, new: Tensor, averaging: Averaging) -> Part:
    old, gains, mask = batch.tensor(1, 0.5), batch.tensor(2), batch.mask

    def part(rows: slice, whole: Whole) -> Tensor:
        found = policy_loss(new[rows], old[rows], gains[rows], mask[rows], whole, Clipping(), averaging)
        metrics = (found.clipped_high, found.clipped_low, found.clipped_dual, found.ppo_kl)
        return torch.stack((found.total, *metrics))

    return part


def value_part(batch: Batch, new: Tensor, averaging: Averaging) -> Part:
    old, goals, mask = batch.tensor(1, 0.5), batch.tensor(2), batch.mask

    def part(rows: slice, whole: Whole) -> Tensor:
        found = value_loss(new[rows], old[rows], goals[rows], mask[rows], whole, 0.2, averaging)
        return torch.stack((found.total, found.clipped))

    return part


def cuts(batch: Batch) -> Iterator[slice]:
    """Parts of any sizes, empty ones too."""
    rng = np.random.default_rng(batch.seed)
    edges = sorted(rng.integers(0, len(batch.mask) + 1, 3).tolist())
    for first, last in zip([0, *edges], [*edges, len(batch.mask)], strict=True):
        yield slice(first, last)


@pytest.mark.parametrize("of", [policy_part, value_part])
@given(batches(), averagings)
@settings(deadline=None, max_examples=40)
def test_parts_add_up_to_the_whole_and_so_do_their_gradients(
    of: Callable[[Batch, Tensor, Averaging], Part], batch: Batch, averaging: Averaging
) -> None:
    whole = Whole(0, 0)
    for rows in cuts(batch):
        whole = whole + Whole.of(batch.mask[rows])
    results, gradients = [], []
    for parts in ([slice(None)], list(cuts(batch))):
        new = batch.tensor(0, 0.5).requires_grad_()
        part = of(batch, new, averaging)
        shares = [part(rows, whole) for rows in parts]
        for share in shares:
            share[0].backward()
        results.append(torch.stack(shares).sum(dim=0).detach())
        gradients.append(new.grad)
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_a_mean_of_micro_batch_means_would_be_another_number() -> None:
    """Why the whole's size is asked for."""
    each, mask = torch.tensor([[4.0, 0.0], [1.0, 1.0]]), torch.tensor([[True, False], [True, True]])
    whole = Whole.of(mask)
    parts = [aggregate(each[i : i + 1], mask[i : i + 1], whole) for i in range(2)]
    own = [aggregate(each[i : i + 1], mask[i : i + 1], Whole.of(mask[i : i + 1])) for i in range(2)]
    assert float(sum(parts)) == pytest.approx(2.0)
    assert float(sum(own)) / 2 == pytest.approx(2.5)


@given(batches(), averagings)
@settings(deadline=None, max_examples=40)
def test_garbage_under_the_mask_has_no_gradient(batch: Batch, averaging: Averaging) -> None:
    mask = batch.mask
    new, old, other = (spoilt(batch.tensor(name, 0.5), mask).requires_grad_() for name in range(3))
    total = policy_loss(new, old, other, mask, Whole.of(mask), Clipping(), averaging).total
    (total + value_loss(new, old, other, mask, Whole.of(mask), 0.2, averaging).total).backward()
    assert new.grad is not None
    assert not new.grad[~mask].any()
    assert new.grad.isfinite().all()


def test_half_precision_log_probs_are_subtracted_in_full() -> None:
    new, old = (torch.tensor([[value]], dtype=torch.bfloat16) for value in (-0.1, -5.03))
    mask, gain = torch.ones(1, 1, dtype=torch.bool), -torch.ones(1, 1)
    found = policy_loss(new, old, gain, mask, Whole(1, 1), Clipping(dual=None))
    assert float(found.total) == pytest.approx(math.exp(float(new) - float(old)), rel=1e-5)


def test_nan_in_a_real_token_is_not_hidden() -> None:
    zero, mask = torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool)
    found: PolicyLoss = policy_loss(zero * math.nan, zero, zero + 1, mask, Whole(1, 1), Clipping())
    assert found.total.isnan()


def test_a_batch_without_tokens_is_zero_and_has_a_gradient() -> None:
    new, mask = torch.randn(2, 3, requires_grad=True), torch.zeros(2, 3, dtype=torch.bool)
    found = policy_loss(new, new.detach(), new.detach(), mask, Whole.of(mask), Clipping())
    found.total.backward()
    assert found.total.item() == 0
    assert new.grad is not None
    assert not new.grad.any()


def test_numbers_and_shapes_that_make_no_sense_are_refused() -> None:
    for wrong in ((-0.1, 0.2, 3.0), (1.1, 0.2, 3.0), (0.2, -0.1, 3.0), (0.2, 0.2, 1.0), (math.nan, 0.2, 3.0)):
        with pytest.raises(BadInput, match="accepted: low 0 to 1"):
            Clipping(*wrong)
    mask, right, wide = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2), torch.zeros(1, 3)
    with pytest.raises(BadInput, match="advantages of shape"):
        policy_loss(right, right, wide, mask, Whole(2, 1), Clipping())
    with pytest.raises(BadInput, match="weights of shape"):
        policy_loss(right, right, right, mask, Whole(2, 1), Clipping(), weights=wide)
    with pytest.raises(BadInput, match="returns of shape"):
        value_loss(right, right, wide, mask, Whole(2, 1))
    with pytest.raises(BadInput, match="value clip of -1"):
        value_loss(right, right, right, mask, Whole(2, 1), -1)
    with pytest.raises(BadInput, match="each of shape"):
        aggregate(wide, mask, Whole(2, 1))
