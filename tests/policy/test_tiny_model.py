from __future__ import annotations

import pytest
import torch

from actors.policy.tiny.model import Architecture, CausalLm, RmsNorm
from actors.policy.tiny.sampling import pad_left

SHAPE = Architecture(vocabulary=50, width=32, hidden=48, layers=3, heads=4)
ROWS = [[3, 4, 5, 6, 7, 8], [9, 10, 11], [12]]


def model(seed: int = 0) -> CausalLm:
    torch.manual_seed(seed)
    made = CausalLm(SHAPE).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def test_it_is_llama_weight_for_weight() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    ours = model()
    peer = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=4,
            tie_word_embeddings=True,
            rms_norm_eps=SHAPE.eps,
        )
    ).eval()
    peer.load_state_dict(ours.state_dict(), strict=False)
    ids = torch.tensor([ROWS[0]])
    with torch.no_grad():
        theirs = peer(input_ids=ids).logits
        found, _ = ours(ids, torch.ones_like(ids, dtype=torch.bool))
    assert (found - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_padding_is_invisible() -> None:
    ours = model()
    ids, mask = pad_left(ROWS, 0)
    with torch.no_grad():
        batched, _ = ours(ids, mask)
        for row, logits in zip(ROWS, batched, strict=True):
            alone, _ = ours(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.bool))
            assert torch.allclose(alone[0], logits[-len(row) :], atol=1e-5)
        junk, _ = ours(ids.masked_fill(~mask, 49), mask)
    assert torch.equal(junk[mask], batched[mask]) and bool(batched.isfinite().all())


def test_the_cache_changes_nothing() -> None:
    ours = model()
    ids, mask = pad_left(ROWS, 0)
    with torch.no_grad():
        whole, _ = ours(ids, mask)
        _, cache = ours(ids[:, :-2], mask[:, :-2])
        rest, _ = ours(ids[:, -2:], mask, cache)
    assert torch.allclose(rest, whole[:, -2:], atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_last_tokens_alone_are_what_they_are_among_all(count: int) -> None:
    ours = model()
    ids, mask = pad_left(ROWS, 0)
    whole, cache = ours(ids, mask)
    some, kept = ours(ids, mask, last=count)
    assert torch.allclose(some, whole[:, -count:], atol=1e-5)
    for ours_of_layer, theirs in zip(kept, cache, strict=True):
        assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(ours_of_layer, theirs, strict=True))
    dice = torch.randn(some.shape)
    wanted, found = (
        torch.autograd.grad((dice * logits).sum(), list(ours.parameters()))
        for logits in (whole[:, -count:], some)
    )
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_no_token_sees_what_follows() -> None:
    ours = model()
    ids = torch.tensor([ROWS[0], [*ROWS[0][:3], 40, 41, 42]])
    with torch.no_grad():
        logits, _ = ours(ids, torch.ones_like(ids, dtype=torch.bool))
    assert torch.allclose(logits[0, :3], logits[1, :3], atol=1e-6)
    assert not torch.allclose(logits[0, 3:], logits[1, 3:], atol=1e-3)


def test_the_norm_and_its_gradient_are_torchs_own() -> None:
    norm = RmsNorm(6, SHAPE.eps).double()
    torch.nn.init.normal_(norm.weight)
    # A row of zeros is held up by eps alone.
    x = (torch.randn(2, 3, 6, dtype=torch.double) * torch.tensor([1e-3, 0.0, 1e3])[:, None]).requires_grad_()
    plain = torch.nn.functional.rms_norm(x, (6,), norm.weight, SHAPE.eps)
    found = norm(x)
    torch.testing.assert_close(found, plain)
    weights = torch.randn_like(plain)
    wanted = torch.autograd.grad(plain, (x, norm.weight), weights)
    torch.testing.assert_close(torch.autograd.grad(found, (x, norm.weight), weights), wanted)
