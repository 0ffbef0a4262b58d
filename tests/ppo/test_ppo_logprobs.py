from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actors.errors import BadInput
from train_jobs.ppo.logprobs import TokenLogProbs, token_log_probs

torch.set_num_threads(1)
Case = tuple[Tensor, Tensor, float, Tensor | None, int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 6))
    logits = torch.tensor(rng.normal(0, draw(st.sampled_from((0.1, 3.0, 400.0))), shape))
    tokens = torch.tensor(rng.integers(0, shape[2], shape[:2]))
    allowed = torch.tensor(rng.random(shape) < 0.6) if draw(st.booleans()) else None
    return logits, tokens, draw(st.sampled_from((0.5, 1.0, 1.7))), allowed, draw(st.integers(1, 60))


def by_hand(logits: list[float], chosen: int, allowed: list[bool]) -> tuple[float, float]:
    known = [value for value, fits in zip(logits, allowed, strict=True) if fits]
    if not known:
        return -math.inf, 0.0
    top = max(known)
    log_sum = top + math.log(math.fsum(math.exp(value - top) for value in known))
    entropy = -math.fsum(math.exp(value - log_sum) * (value - log_sum) for value in known)
    return (logits[chosen] - log_sum if allowed[chosen] else -math.inf), entropy


@given(cases())
@settings(deadline=None, max_examples=80)
def test_they_are_the_softmax_written_out(case: Case) -> None:
    logits, tokens, temperature, allowed, chunk = case
    found = token_log_probs(logits, tokens, temperature, allowed, chunk, entropy=True)
    rules = torch.ones_like(logits, dtype=torch.bool) if allowed is None else allowed
    for row in range(len(tokens)):
        for t in range(tokens.shape[1]):
            scaled = [value / temperature for value in logits[row, t].tolist()]
            log_prob, entropy = by_hand(scaled, int(tokens[row, t]), rules[row, t].tolist())
            assert float(found.log_probs[row, t]) == pytest.approx(log_prob, rel=1e-9, abs=1e-9)
            assert float(found.entropy[row, t]) == pytest.approx(entropy, rel=1e-9, abs=1e-9)


@given(cases())
@settings(deadline=None, max_examples=60)
def test_gradients_are_those_of_the_definition_whatever_the_chunk(case: Case) -> None:
    """Of log p: (chosen - p) / temperature; of the entropy: -p (log p + entropy) / temperature."""
    logits, tokens, temperature, allowed, chunk = case
    leaf = logits.clone().requires_grad_()
    found = token_log_probs(leaf, tokens, temperature, allowed, chunk, entropy=True, mean=True)
    # As in a loss: what has probability 0 is masked away before it is used.
    real = found.log_probs.isfinite()
    (
        torch.where(real, found.log_probs, 0.0).sum() + 3 * found.entropy.sum() + 2 * found.mean.sum()
    ).backward()
    rules = torch.ones_like(logits, dtype=torch.bool) if allowed is None else allowed
    scaled = (logits / temperature).masked_fill(~rules, -math.inf)
    live = rules.any(dim=2, keepdim=True)
    probabilities = torch.where(live, torch.softmax(scaled, dim=2), 0.0)
    logs = torch.where(probabilities > 0, probabilities.log(), 0.0)
    entropy = -(probabilities * logs).sum(dim=2, keepdim=True)
    chosen = torch.nn.functional.one_hot(tokens, logits.shape[2]).to(logits.dtype)
    wanted = real.unsqueeze(2) * (chosen - probabilities) - 3 * probabilities * (logs + entropy)
    even = (rules & ~logits.isneginf()).to(logits.dtype)
    even /= even.sum(dim=2, keepdim=True).clamp(min=1)
    wanted = wanted + 2 * (even - probabilities * even.any(dim=2, keepdim=True))
    assert leaf.grad is not None
    torch.testing.assert_close(leaf.grad, wanted / temperature, rtol=1e-8, atol=1e-8)
    assert not leaf.grad[~rules].any()


@given(cases(), st.booleans(), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_gradient_by_hand_is_the_numerical_one(
    case: Case, of_tokens: bool, of_entropy: bool, of_mean: bool
) -> None:
    logits, tokens, temperature, allowed, chunk = case
    leaf = (logits / logits.abs().max()).requires_grad_()

    def outputs(given: Tensor) -> tuple[Tensor, ...]:
        found = token_log_probs(given, tokens, temperature, allowed, chunk, entropy=of_entropy, mean=of_mean)
        real = found.log_probs.masked_fill(found.log_probs.isneginf(), 0.0)
        asked = (
            (of_tokens, real),
            (of_entropy, found.entropy),
            (of_mean, found.mean),
            (True, given.sum()),
        )
        return tuple(each for wanted, each in asked if wanted)

    assert torch.autograd.gradcheck(outputs, (leaf,))


@given(cases(), st.sampled_from((torch.float32, torch.bfloat16)))
@settings(deadline=None, max_examples=60)
def test_gradients_are_those_of_the_plain_formula_in_the_type_of_the_logits(
    case: Case, kind: torch.dtype
) -> None:
    logits, tokens, temperature, allowed, chunk = case
    some = torch.ones_like(logits, dtype=torch.bool) if allowed is None else allowed.clone()
    some[..., :1] |= ~some.any(2, keepdim=True)
    chosen = torch.where(some.gather(2, tokens[..., None])[..., 0], tokens, some.int().argmax(2))
    weights = torch.linspace(-2, 3, chosen.numel()).reshape(chosen.shape)
    by_hand, plain = (logits.to(kind).requires_grad_() for _ in range(2))
    found = token_log_probs(by_hand, chosen, temperature, some, chunk, entropy=True)
    (weights * (found.log_probs + 0.3 * found.entropy)).sum().backward()
    every = (plain.float() / temperature).masked_fill(~some, -1e9).log_softmax(2)
    entropy = -(every.exp() * every).sum(2)
    (weights * (every.gather(2, chosen[..., None])[..., 0] + 0.3 * entropy)).sum().backward()
    assert by_hand.grad is not None and by_hand.grad.dtype == kind
    precision = 1e-4 if kind == torch.float32 else 1e-2
    torch.testing.assert_close(by_hand.grad, plain.grad, rtol=precision, atol=precision)


def test_a_token_that_is_not_allowed_has_no_probability_at_all() -> None:
    logits = torch.tensor([[[5.0, 1.0, 1.0]]], requires_grad=True)
    allowed = torch.tensor([[[False, True, True]]])
    found = token_log_probs(logits, torch.tensor([[0]]), allowed=allowed, entropy=True)
    assert found.log_probs.item() == -math.inf
    assert found.entropy.item() == pytest.approx(math.log(2))
    (
        found.entropy.sum() + token_log_probs(logits, torch.tensor([[1]]), allowed=allowed).log_probs.sum()
    ).backward()
    assert logits.grad is not None
    assert logits.grad.tolist()[0][0] == pytest.approx([0.0, 0.5, -0.5], abs=1e-7)
    assert logits.grad[0, 0, 0] == 0


@pytest.mark.parametrize("by", ["grammar", "logits"])
def test_a_place_without_any_token_has_no_gradient_and_no_nan(by: str) -> None:
    logits = torch.zeros(1, 2, 3)
    allowed = torch.tensor([[[True, True, False], [False] * 3]])
    if by == "logits":
        logits, allowed = logits.masked_fill(~allowed, -math.inf), None
    logits.requires_grad_()
    found = token_log_probs(logits, torch.tensor([[0, 0]]), allowed=allowed, entropy=True)
    assert found.log_probs[0].tolist() == pytest.approx([-math.log(2), -math.inf])
    assert found.entropy[0].tolist() == pytest.approx([math.log(2), 0.0])
    (found.log_probs[0, 0] + found.entropy.sum() + found.log_probs[0, 1].clamp(min=-20)).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert not logits.grad[0, 1].any()


def test_huge_logits_do_not_overflow_and_half_precision_is_worked_on_in_full() -> None:
    logits = torch.tensor([[[3e4, 3e4 - 16, 0.0]]], dtype=torch.float16)
    found = token_log_probs(logits, torch.tensor([[1]]))
    assert found.log_probs.dtype == torch.float32
    assert found.log_probs.item() == pytest.approx(-16.0, rel=1e-5)
    fine = torch.linspace(0, 1, 1000).to(torch.bfloat16).reshape(1, 1, 1000)
    wanted = fine.double().log_softmax(2)[0, 0, 7]
    assert token_log_probs(fine, torch.tensor([[7]])).log_probs.item() == pytest.approx(
        float(wanted), rel=1e-6
    )


def test_nothing_as_large_as_the_logits_is_kept_for_the_gradient() -> None:
    logits = torch.randn(4, 9, 50, requires_grad=True)
    kept: set[int] = set()

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() != logits.untyped_storage().data_ptr():
            kept.add(tensor.numel())
        return tensor

    def run(of: object) -> TokenLogProbs:
        assert callable(of)
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            return of()

    tokens = torch.zeros(4, 8, dtype=torch.int64)
    run(lambda: (logits[:, :-1] / 0.7).log_softmax(2).exp())
    assert max(kept) == 4 * 8 * 50
    found = run(lambda: token_log_probs(logits[:, :-1], tokens, 0.7, chunk=100))
    assert max(kept, default=0) <= 4 * 8
    found.log_probs.sum().backward()
    assert logits.grad is not None


def test_what_is_not_asked_for_is_zero_and_moves_nothing() -> None:
    logits = torch.randn(1, 2, 5, requires_grad=True)
    tokens = torch.tensor([[3, 4]])
    bare, full = token_log_probs(logits, tokens), token_log_probs(logits, tokens, entropy=True, mean=True)
    assert torch.equal(bare.log_probs, full.log_probs)
    assert full.entropy.all() and full.mean.all()
    for left_out in (bare.entropy, bare.mean):
        assert not left_out.any() and not left_out.requires_grad


def test_what_does_not_fit_is_refused() -> None:
    logits, tokens = torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.int64)
    for wrong in (3, -100):
        with pytest.raises(BadInput, match="accepted: 0 to 2"):
            token_log_probs(logits, tokens + wrong)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadInput, match="a temperature of"):
            token_log_probs(logits, tokens, temperature)
    with pytest.raises(BadInput, match="logits of shape"):
        token_log_probs(logits, tokens[:, :1])
    with pytest.raises(BadInput, match="tokens of type"):
        token_log_probs(logits, tokens.to(torch.int32))
    with pytest.raises(BadInput, match="allowed tokens of shape"):
        token_log_probs(logits, tokens, allowed=torch.ones(1, 2, 2, dtype=torch.bool))


def test_a_mean_that_nobody_asked_for_is_not_learnt_from() -> None:
    logits = torch.zeros(1, 1, 4, requires_grad=True)
    plain, asked = (token_log_probs(logits, torch.tensor([[1]]), mean=mean) for mean in (False, True))
    assert not plain.mean.requires_grad and asked.mean.requires_grad
    assert plain.mean.item() == 0 and asked.mean.item() == pytest.approx(-math.log(4))
