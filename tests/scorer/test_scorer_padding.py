"""Padding and company cannot be seen in a picture's embedding, and the tests would notice if they could."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from actors.scorer import vision
from actors.scorer.architecture import ImageShape
from actors.scorer.patches import PatchBatch
from actors.scorer.vision import VisionTower
from tests.scorer.scorer_kit import ARCHITECTURE, IMAGE, SHAPES, STEMMED, alone, far, pictures, tiny

TOLERANCE = 1e-5
attend = functional.scaled_dot_product_attention


def tower_of(image: ImageShape, seed: int = 0) -> VisionTower:
    return tiny(seed, ARCHITECTURE.model_copy(update={"image": image})).image


TOWER, BATCH = tower_of(IMAGE), pictures()
TOWERS = {"patches": (TOWER, BATCH), "stem": (tower_of(STEMMED), pictures(image=STEMMED))}
towers = pytest.mark.parametrize("kind", TOWERS)


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def each_alone(kind: str = "patches") -> Tensor:
    tower, batch = TOWERS[kind]
    return torch.cat([tower(alone(batch, index)) for index in range(len(batch.grids))])


def widened(batch: PatchBatch, extra: int) -> PatchBatch:
    return PatchBatch(np.pad(batch.pixels, ((0, 0), (0, extra), (0, 0))), batch.grids)


def floats(monkeypatch: pytest.MonkeyPatch, values: Tensor) -> None:
    """Let the tower see these in place of the normalised pixels."""
    monkeypatch.setattr(TOWER, "_normalised", lambda pixels: values, raising=False)


@towers
def test_the_pictures_differ_in_shape_and_in_what_they_give(kind: str) -> None:
    assert len(set(TOWERS[kind][1].grids)) == len(SHAPES)
    assert float(torch.pdist(each_alone(kind)).min()) > 0.1


@towers
def test_company_cannot_be_seen(kind: str) -> None:
    tower, batch = TOWERS[kind]
    assert far(tower(batch), each_alone(kind)) <= TOLERANCE


@towers
def test_pictures_of_one_grid_are_kept_apart(kind: str) -> None:
    tower = TOWERS[kind][0]
    batch = pictures((SHAPES[0], SHAPES[1], SHAPES[0], SHAPES[1], SHAPES[0]), tower.shape)
    assert len(set(batch.grids)) == 2
    expected = torch.cat([tower(alone(batch, index)) for index in range(5)])
    assert float(torch.pdist(expected).min()) > 0.1
    assert far(tower(batch), expected) <= TOLERANCE


@towers
@settings(max_examples=8, deadline=None)
@given(extra=st.integers(0, 1024))
def test_more_padding_cannot_be_seen(kind: str, extra: int) -> None:
    tower, batch = TOWERS[kind]
    with torch.no_grad():
        assert far(tower(widened(batch, extra)), each_alone(kind)) <= TOLERANCE


@towers
def test_what_the_padding_holds_cannot_be_seen(kind: str) -> None:
    tower, batch = TOWERS[kind]
    wide = widened(batch, 9)
    wide.pixels[~wide.valid] = 255
    assert far(tower(wide), each_alone(kind)) <= TOLERANCE


def test_huge_numbers_in_the_padding_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, wide = each_alone(), widened(BATCH, 9)
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


@towers
def test_order_in_the_batch_is_order_of_the_answers(kind: str) -> None:
    (tower, batch), order = TOWERS[kind], [3, 0, 5, 4, 2, 1]
    shuffled = PatchBatch(batch.pixels[order], tuple(batch.grids[i] for i in order))
    assert far(tower(shuffled), tower(batch)[order]) <= TOLERANCE


@towers
@pytest.mark.parametrize("polarity", ["dropped", "inverted"])
def test_a_wrong_mask_would_be_noticed(kind: str, polarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*inputs: Tensor, attn_mask: Tensor | None) -> Tensor:
        inverted = None if attn_mask is None else ~attn_mask
        return attend(*inputs, attn_mask=None if polarity == "dropped" else inverted)

    (tower, batch), expected = TOWERS[kind], each_alone(kind)
    monkeypatch.setattr(vision.functional, "scaled_dot_product_attention", wrong)
    seen, padded = tower(batch), 0
    for index, grid in enumerate(batch.grids):
        if len(grid) < batch.pixels.shape[1]:
            padded += 1
            assert not far(seen[index], expected[index]) <= 100 * TOLERANCE
    assert padded == 5
    assert far(each_alone(kind), expected) == 0


def test_new_weights_are_seen_at_once() -> None:
    mine, other = tower_of(IMAGE, 2), tower_of(IMAGE, 1)
    mine(BATCH)
    mine.load_state_dict(other.state_dict())
    assert torch.equal(mine(BATCH), other(BATCH))


@towers
def test_in_bfloat16_it_is_nearly_the_same(kind: str) -> None:
    tower, batch = TOWERS[kind]
    exact = tower(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = tower(batch).float()
    assert torch.isfinite(rough).all()
    assert far(rough, exact) <= 3e-2 * float(exact.abs().max())
