from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.errors import BadInput
from tests.ppo.ppo_kit import Batch, batches, spoilt
from train_jobs.ppo.kl import AdaptiveKL, Estimator, FixedKL, KLController, kl_per_token


def by_hand(policy: float, reference: float, estimator: Estimator) -> float:
    d = reference - policy
    each = {
        Estimator.K1: -d,
        Estimator.K2: d * d / 2,
        Estimator.K3: math.exp(min(20.0, max(-20.0, d))) - min(20.0, max(-20.0, d)) - 1,
    }[estimator]
    return min(10.0, max(-10.0, each))


@given(batches(), st.sampled_from(Estimator), st.sampled_from((0.1, 2.0, 30.0)))
@settings(deadline=None, max_examples=80)
def test_estimates_are_those_written_out(batch: Batch, estimator: Estimator, spread: float) -> None:
    policy, reference, mask = batch.tensor(0, spread, -3), batch.tensor(1, spread, -3), batch.mask
    found = kl_per_token(spoilt(policy, mask), spoilt(reference, mask), mask, estimator)
    for row in range(len(mask)):
        for t in range(mask.shape[1]):
            wanted = (
                by_hand(float(policy[row, t]), float(reference[row, t]), estimator) if mask[row, t] else 0
            )
            assert float(found[row, t]) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_estimators_agree_with_the_divergence_on_average() -> None:
    """k1 and k3 are unbiased: weighed by the policy's probabilities they are the divergence itself."""
    policy, reference = torch.tensor([[0.5, 0.3, 0.2]]).double(), torch.tensor([[0.4, 0.4, 0.2]]).double()
    true = float((policy * (policy / reference).log()).sum())
    mask = torch.ones(1, 3, dtype=torch.bool)
    for estimator in (Estimator.K1, Estimator.K3):
        each = kl_per_token(policy.log(), reference.log(), mask, estimator)
        assert float((policy * each).sum()) == pytest.approx(true)


def test_near_the_reference_k3_keeps_its_digits() -> None:
    policy = torch.tensor([[-1.0]], dtype=torch.float32)
    reference = policy + 1e-3
    d = float(reference - policy)
    found = kl_per_token(policy, reference, torch.ones(1, 1, dtype=torch.bool), Estimator.K3)
    assert float(found) == pytest.approx(d * d / 2, rel=2e-3)


@pytest.mark.parametrize(
    ("estimator", "slope"), [(Estimator.K1, 1.0), (Estimator.K2, 0.5), (Estimator.K3, 1 - math.exp(-0.5))]
)
def test_the_gradient_of_a_token_and_of_one_beyond_the_clamp(estimator: Estimator, slope: float) -> None:
    policy = torch.tensor([[-1.0, -1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([[-1.5, 30.0, math.nan]], dtype=torch.float64)
    kl_per_token(policy, reference, torch.tensor([[True, True, False]]), estimator).sum().backward()
    assert policy.grad is not None
    assert policy.grad.tolist()[0] == pytest.approx([slope, 0.0, 0.0])


def test_the_coefficient_moves_towards_the_target() -> None:
    start = AdaptiveKL(0.1, target=2.0, horizon=1000)
    assert start.after(3.0, 100).coefficient == pytest.approx(0.1 * (1 + 0.2 * 100 / 1000))
    assert start.after(2.2, 100).coefficient == pytest.approx(0.1 * (1 + 0.1 * 100 / 1000))
    assert start.after(2.0, 100).coefficient == pytest.approx(0.1)
    assert start.after(1.9, 100).coefficient == pytest.approx(0.1 * (1 - 0.05 * 100 / 1000))
    assert start.after(-9.0, 100).coefficient == pytest.approx(0.1 * (1 - 0.2 * 100 / 1000))
    assert start.coefficient == 0.1


def test_a_policy_held_by_the_penalty_ends_at_the_target() -> None:
    """Its divergence falls as the coefficient grows: 0.2 / coefficient."""
    controller = AdaptiveKL(5.0, target=0.5, horizon=100)
    for _ in range(400):
        controller = controller.after(0.2 / controller.coefficient, 20)
    assert 0.2 / controller.coefficient == pytest.approx(0.5, rel=1e-3)


def test_a_saved_coefficient_is_the_whole_state() -> None:
    measured = (0.1, 0.9, 0.4, 0.2)
    through = AdaptiveKL(0.05, target=0.3, horizon=50)
    for kl in measured:
        through = through.after(kl, 8)
    half = AdaptiveKL(0.05, target=0.3, horizon=50).after(0.1, 8).after(0.9, 8)
    resumed = replace(AdaptiveKL(0.05, target=0.3, horizon=50), coefficient=float(str(half.coefficient)))
    assert resumed.after(0.4, 8).after(0.2, 8) == through


def test_a_fixed_coefficient_stays() -> None:
    controller: KLController = FixedKL(0.05)
    assert controller.after(99.0, 1000).coefficient == 0.05


@given(st.floats(-1e6, 1e6), st.integers(0, 499))
@settings(deadline=None, max_examples=50)
def test_the_coefficient_never_turns_negative(kl: float, sequences: int) -> None:
    assert AdaptiveKL(0.1, target=0.1, horizon=100).after(kl, sequences).coefficient > 0


def test_numbers_that_would_poison_the_controller_are_refused() -> None:
    controller = AdaptiveKL(0.1, target=1.0, horizon=100)
    for kl, sequences in ((math.nan, 1), (math.inf, 1), (1.0, 500), (1.0, -1)):
        with pytest.raises(BadInput, match="5 horizons"):
            controller.after(kl, sequences)
    for wrong in ({"coefficient": -0.1}, {"target": 0.0}, {"horizon": 0}, {"target": math.nan}):
        with pytest.raises(BadInput, match="accepted"):
            replace(controller, **wrong)
    with pytest.raises(BadInput, match="coefficient nan"):
        FixedKL(math.nan)
    with pytest.raises(BadInput, match="reference of shape"):
        kl_per_token(torch.zeros(1, 2), torch.zeros(1, 3), torch.ones(1, 2, dtype=torch.bool))
