"""The whole model: heads, fusion, what trains, and that it learns."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from actors.contracts import Contract, Dimension
from actors.errors import BadInput
from actors.scorer.architecture import ImageShape
from actors.scorer.model import AestheticModel
from actors.scorer.patches import PatchBatch, collate, patchify
from actors.scorer.text import TextBatch
from tests.scorer.scorer_kit import (
    ARCHITECTURE,
    IMAGE,
    SHAPES,
    STEMMED,
    TEXT,
    far,
    noise,
    pictures,
    tiny,
    tokenizer,
)

BATCH = pictures()
IDS = torch.tensor([[0, 40, 50, 60, 2], [0, 70, 2, 1, 1]])
TEXT_OF = torch.tensor([0, 1, 0, 1, 1, 0])


def scores(model: AestheticModel, batch: PatchBatch = BATCH, text_of: Tensor = TEXT_OF) -> Tensor:
    with torch.no_grad():
        return model(batch, TextBatch(IDS), text_of)


def test_a_score_a_dimension_in_their_order() -> None:
    model = tiny()
    found = scores(model)
    assert found.shape == (len(SHAPES), len(ARCHITECTURE.dimensions)) and found.dtype == torch.float32
    with torch.no_grad():
        model.heads["color"][3].bias.add_(5)
    moved = (scores(model) - found).abs() > 1
    assert moved.all(0).tolist() == [name == "color" for name in ARCHITECTURE.dimensions]
    reverse = ARCHITECTURE.model_copy(update={"dimensions": ARCHITECTURE.dimensions[::-1]})
    other = AestheticModel(reverse).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(scores(other), scores(model).flip(1))


def test_the_total_follows_the_other_scores_and_does_not_bend_them() -> None:
    model, total = tiny(), list(ARCHITECTURE.dimensions).index(Dimension.TOTAL)
    before = scores(model)
    with torch.no_grad():
        model.heads["color"][3].bias.add_(5)
    assert (scores(model) - before)[:, total].abs().min() > 1e-4
    model(BATCH, TextBatch(IDS), TEXT_OF)[:, total].sum().backward()
    assert not model.heads["color"][3].bias.grad.any() and model.heads["total"][3].bias.grad.any()


def test_fewer_dimensions_have_fewer_heads() -> None:
    some = (Dimension.TOTAL, Dimension.STYLE_FIT)
    model = tiny(architecture=ARCHITECTURE.model_copy(update={"dimensions": some}))
    assert list(model.heads) == ["total", "style_fit"] and scores(model).shape[1] == 2


def test_each_picture_is_scored_for_its_own_text() -> None:
    model = tiny()
    mixed, first, second = (scores(model, text_of=t) for t in (TEXT_OF, TEXT_OF * 0, TEXT_OF * 0 + 1))
    assert far(mixed, torch.where(TEXT_OF[:, None] == 0, first, second)) <= 1e-5
    # The text must be able to change which picture is better, not just both scores alike.
    assert far(first[0] - first[1], second[0] - second[1]) > 1e-2


def test_a_text_weighs_the_picture_and_adds_nothing_of_its_own() -> None:
    model, read = tiny(), torch.randn(2, ARCHITECTURE.embed)
    nothing = torch.zeros(2, ARCHITECTURE.embed)
    with torch.no_grad():
        # One by one: in a batch the last digits of a row hang on its place.
        first, second = (model.score(nothing[:1], row[None]) for row in read)
        assert torch.equal(first, second)
        first, second = model.score(nothing + 1, read)
        assert far(first, second) > 1e-2


def test_scores_do_not_hang_on_company_or_order() -> None:
    model, order = tiny(), torch.tensor([2, 5, 4, 0, 3, 1])
    shuffled = PatchBatch(BATCH.pixels[order.numpy()], tuple(BATCH.grids[i] for i in order))
    assert far(scores(model, shuffled, TEXT_OF[order]), scores(model)[order]) <= 1e-5


@pytest.mark.parametrize("image", [IMAGE, STEMMED], ids=["patches", "stem"])
def test_every_parameter_has_a_gradient(image: ImageShape) -> None:
    model = tiny(architecture=ARCHITECTURE.model_copy(update={"image": image})).train()
    model(pictures(image=image), TextBatch(IDS), TEXT_OF).square().sum().backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias of all keys adds the same to all products of a query, and changes nothing.
    assert [name for name in dead if not name.endswith("key.bias")] == []


def trained(model: AestheticModel) -> set[str]:
    """Groups of parameters that train: a tower's block by its number, else by name."""
    found = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts = name.split(".")
            number = next((part for part in parts if part.isdigit()), parts[1])
            whole = "projection" in name or parts[0] in ("heads", "summary", "wish")
            found.add(parts[0] if whole else f"{parts[0]}.{number}")
    return found


OUTSIDE = {"image_projection", "text_projection", "wish", "heads", "summary"}
TAIL = {"image.ln_post", "image.proj"}
FRONT = {"image.class_embedding", "image.positional_embedding", "image.conv1", "image.ln_pre"}


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((0, 0), OUTSIDE),
        ((1, 0), OUTSIDE | TAIL | {"image.1"}),
        ((0, 1), OUTSIDE | {"text.1"}),
        ((2, 2), OUTSIDE | TAIL | FRONT | {"image.0", "image.1", "text.0", "text.1", "text.transformer"}),
    ],
)
def test_what_trains_and_gets_gradients(blocks: tuple[int, int], expected: set[str]) -> None:
    model = tiny()
    model.requires_grad_(False)
    model.unfreeze(2, 2)
    model.unfreeze(*blocks)
    assert trained(model) == expected
    model(BATCH, TextBatch(IDS), TEXT_OF).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [((0, 0), set()), ((1, 0), {"image_projection"}), ((0, 1), {"text_projection"})],
)
def test_projections_whose_coordinates_have_a_meaning_train_with_their_tower(
    blocks: tuple[int, int], expected: set[str]
) -> None:
    model = tiny(architecture=ARCHITECTURE.model_copy(update={"squashed": True}))
    model.unfreeze(*blocks)
    assert {name for name in trained(model) if "projection" in name} == expected
    assert {"wish", "heads"} <= trained(model)


def test_squashed_embeddings_are_shares_and_a_wish_adds_to_them() -> None:
    model = tiny(architecture=ARCHITECTURE.model_copy(update={"squashed": True}))
    texts = TextBatch(IDS)
    torch.nn.init.zeros_(model.wish.weight)
    seen, read = model.see(BATCH), model.read(texts)
    for embedded in (seen, read):
        assert float(embedded.detach().min()) >= 0 and float(embedded.detach().max()) <= 1
    torch.nn.init.ones_(model.wish.weight)
    assert torch.allclose(model.read(texts), read + read.sum(1, keepdim=True), atol=1e-5)


def test_what_the_towers_made_of_both_scores_like_themselves() -> None:
    model = tiny()
    whole = model(BATCH, TextBatch(IDS), TEXT_OF)
    assert torch.equal(model(model.image(BATCH), model.text(TextBatch(IDS)), TEXT_OF), whole)


def test_more_blocks_than_there_are_cannot_train() -> None:
    with pytest.raises(BadInput, match="image blocks to train: 3; accepted: 0 to 2"):
        tiny().unfreeze(3, 0)
    with pytest.raises(BadInput, match="text blocks to train: -1; accepted: 0 to 2"):
        tiny().unfreeze(0, -1)


def test_in_bfloat16_clear_winners_still_win() -> None:
    model = tiny()
    exact = scores(model)
    with torch.autocast("cpu", torch.bfloat16):
        rough = scores(model)
    assert rough.dtype == torch.float32 and torch.isfinite(rough).all()
    margin, other = exact[:, None] - exact[None], rough[:, None] - rough[None]
    clear = margin.abs() > 2e-2 * exact.abs().max()
    assert clear.float().mean() > 0.5
    assert (margin.sign() == other.sign())[clear].all()


def test_64_pairs_can_be_learnt_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model, words = AestheticModel(ARCHITECTURE).train(), tokenizer(tmp_path)
    sides = [
        collate([patchify(noise(*SHAPES[i % 5], seed=1000 * side + i), IMAGE) for i in range(64)])
        for side in (0, 1)
    ]
    texts, text_of = words([f"prompt {i}" for i in range(16)]), torch.arange(64) % 16
    wanted = torch.where(torch.rand(64, len(ARCHITECTURE.dimensions)) < 0.5, 1.0, -1.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        margin = model(sides[0], texts, text_of) - model(sides[1], texts, text_of)
        loss = functional.softplus(-wanted * margin).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        margin = model(sides[0], texts, text_of) - model(sides[1], texts, text_of)
    assert float((margin * wanted > 0).float().mean()) > 0.95


@pytest.mark.parametrize(
    ("shape", "changes", "reason"),
    [
        (TEXT, {"heads": 3}, "not a multiple of heads 3"),
        (TEXT, {"context": 33}, "needs 35 positions, not 34"),
        (IMAGE, {"heads": 3}, "not a multiple of heads 3"),
        (IMAGE, {"stem": 8}, "patches of 32 px, not of 4"),
        (ARCHITECTURE, {"dimensions": ()}, "dimensions"),
    ],
)
def test_shapes_that_cannot_be_built_are_refused(
    shape: Contract, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        type(shape).model_validate({**shape.model_dump(), **changes})
