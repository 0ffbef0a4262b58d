"""Padding and company cannot be seen in a picture's embedding, and the tests would notice if they could."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from actors.scorer import vision
from actors.scorer.patches import PatchBatch
from actors.scorer.vision import VisionTower
from tests.scorer.scorer_kit import SHAPES, alone, far, pictures, tiny

TOLERANCE = 1e-5
TOWER: VisionTower = tiny().image
BATCH = pictures()
attend = functional.scaled_dot_product_attention


@pytest.fixture(autouse=True)
def inference() -> object:
    with torch.no_grad():
        yield


def each_alone() -> Tensor:
    return torch.cat([TOWER(alone(BATCH, index)) for index in range(len(BATCH.grids))])


def widened(batch: PatchBatch, extra: int) -> PatchBatch:
    return PatchBatch(np.pad(batch.pixels, ((0, 0), (0, extra), (0, 0))), batch.grids)


def floats(monkeypatch: pytest.MonkeyPatch, values: Tensor) -> None:
    """Let the tower see these in place of the normalised pixels."""
    monkeypatch.setattr(TOWER, "_normalised", lambda pixels: values, raising=False)


def test_the_pictures_differ_in_length_and_in_what_they_give() -> None:
    assert len({len(grid) for grid in BATCH.grids}) == len(SHAPES)
    assert float(torch.pdist(each_alone()).min()) > 0.1


def test_company_cannot_be_seen() -> None:
    assert far(TOWER(BATCH), each_alone()) <= TOLERANCE


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1024))
def test_more_padding_cannot_be_seen(extra: int) -> None:
    with torch.no_grad():
        assert far(TOWER(widened(BATCH, extra)), each_alone()) <= TOLERANCE


def test_what_the_padding_holds_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, wide = each_alone(), widened(BATCH, 9)
    wide.pixels[~wide.valid] = 255
    assert far(TOWER(wide), expected) <= TOLERANCE
    values = TOWER._normalised(torch.from_numpy(wide.pixels))
    values[torch.from_numpy(~wide.valid)] = 1e4
    floats(monkeypatch, values)
    assert far(TOWER(wide), expected) <= TOLERANCE


def test_no_gradient_reaches_the_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    values = TOWER._normalised(torch.from_numpy(BATCH.pixels)).requires_grad_()
    floats(monkeypatch, values)
    with torch.enable_grad():
        TOWER(BATCH).square().sum().backward()
    valid = torch.from_numpy(BATCH.valid)
    assert values.grad is not None
    assert (values.grad[~valid] == 0).all()
    assert (values.grad[valid].abs().sum(1) > 0).all()


def test_order_in_the_batch_is_order_of_the_answers() -> None:
    order = [3, 0, 4, 2, 1]
    shuffled = PatchBatch(BATCH.pixels[order], tuple(BATCH.grids[i] for i in order))
    assert far(TOWER(shuffled), TOWER(BATCH)[order]) <= TOLERANCE


@pytest.mark.parametrize("polarity", ["dropped", "inverted"])
def test_a_wrong_mask_would_be_noticed(monkeypatch: pytest.MonkeyPatch, polarity: str) -> None:
    def wrong(*inputs: Tensor, attn_mask: Tensor | None) -> Tensor:
        inverted = None if attn_mask is None else ~attn_mask
        return attend(*inputs, attn_mask=None if polarity == "dropped" else inverted)

    expected = each_alone()
    monkeypatch.setattr(vision.functional, "scaled_dot_product_attention", wrong)
    seen = TOWER(BATCH)
    for index, grid in enumerate(BATCH.grids):
        if len(grid) < BATCH.pixels.shape[1]:
            assert not far(seen[index], expected[index]) <= 100 * TOLERANCE
    assert far(each_alone(), expected) == 0


def test_new_weights_are_seen_at_once() -> None:
    other: VisionTower = tiny(seed=1).image
    mine: VisionTower = tiny(seed=2).image
    mine(BATCH)
    mine.load_state_dict(other.state_dict())
    assert torch.equal(mine(BATCH), other(BATCH))


def test_in_bfloat16_it_is_nearly_the_same() -> None:
    exact = TOWER(BATCH)
    with torch.autocast("cpu", torch.bfloat16):
        rough = TOWER(BATCH).float()
    assert torch.isfinite(rough).all()
    assert far(rough, exact) <= 3e-2 * float(exact.abs().max())
