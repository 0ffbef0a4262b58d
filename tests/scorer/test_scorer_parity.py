"""The picture tower computes what OpenCLIP's and timm's do, under OpenCLIP's names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from actors.errors import BadInput
from actors.pixels import Pixels
from actors.scorer.architecture import PRESETS, ImageShape
from actors.scorer.openclip import load_pretrained
from actors.scorer.patches import Grid, collate, patchify
from actors.scorer.vision import DEVIATION, MEAN, VisionTower
from tests.scorer.scorer_kit import far, noise

open_clip = pytest.importorskip("open_clip")
naflexvit = pytest.importorskip("timm.models.naflexvit")
transformer = pytest.importorskip("open_clip.transformer")

TOLERANCE = 1e-5
SHAPE = ImageShape(patch=8, grid=5, budget=30, width=128, layers=2, heads=2, output=16)
gelus = pytest.mark.parametrize("quick", [False, True], ids=["gelu", "quickgelu"])


def as_clip(pixels: Pixels) -> Tensor:
    """[height, width, 3] -> [1, 3, height, width], normalised as CLIP's preprocessing does it."""
    scaled = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(DEVIATION)
    return torch.from_numpy(scaled.astype(np.float32)).permute(2, 0, 1)[None]


def reference(quick: bool) -> nn.Module:
    """OpenCLIP's own tower with random weights, none of them zero or one."""
    torch.manual_seed(4)
    tower = transformer.VisionTransformer(
        image_size=SHAPE.patch * SHAPE.grid,
        patch_size=SHAPE.patch,
        width=SHAPE.width,
        layers=SHAPE.layers,
        heads=SHAPE.heads,
        mlp_ratio=SHAPE.mlp_ratio,
        output_dim=SHAPE.output,
        act_layer=transformer.QuickGELU if quick else nn.GELU,
    ).eval()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return tower


def ours(quick: bool) -> VisionTower:
    tower = VisionTower(SHAPE.model_copy(update={"quick_gelu": quick})).eval()
    tower.load_state_dict(reference(quick).state_dict(), strict=True)
    return tower


@gelus
def test_it_equals_openclip_with_and_without_padding(quick: bool) -> None:
    square, tall = noise(40, 40), noise(24, 72, 1)
    alone, padded = (
        collate([patchify(square, SHAPE)]),
        collate([patchify(tall, SHAPE), patchify(square, SHAPE)]),
    )
    assert padded.grids == (Grid(9, 3), Grid(5, 5))
    with torch.no_grad():
        expected = reference(quick)(as_clip(square))
        assert far(ours(quick)(alone), expected) <= TOLERANCE
        assert far(ours(quick)(padded)[1:], expected) <= TOLERANCE
        # The other activation loads as well, and must not pass for this one.
        wrong = VisionTower(SHAPE.model_copy(update={"quick_gelu": not quick})).eval()
        wrong.load_state_dict(reference(quick).state_dict())
        assert far(wrong(alone), expected) > 100 * TOLERANCE


def as_naflex(weights: dict[str, Tensor], quick: bool) -> nn.Module:
    """timm's NaFlexVit with the same weights; its class token holds the first position."""
    model = naflexvit.NaFlexVit(
        patch_size=SHAPE.patch,
        embed_dim=SHAPE.width,
        depth=SHAPE.layers,
        num_heads=SHAPE.heads,
        mlp_ratio=SHAPE.mlp_ratio,
        num_classes=SHAPE.output,
        class_token=True,
        global_pool="token",
        pre_norm=True,
        fc_norm=False,
        norm_layer="layernorm",
        act_layer="quick_gelu" if quick else "gelu",
        pos_embed_grid_size=(SHAPE.grid, SHAPE.grid),
        patchify_channels_last=False,
        use_key_only_attn_mask=True,
    ).eval()
    positions = weights["positional_embedding"]
    grid = positions[1:].reshape(1, SHAPE.grid, SHAPE.grid, -1)
    renamed = {
        "embeds.cls_token": (weights["class_embedding"] + positions[0])[None, None],
        "embeds.pos_embed": grid,
        "embeds.proj.weight": weights["conv1.weight"].flatten(1),
        "head.weight": weights["proj"].T,
        "head.bias": torch.zeros(SHAPE.output),
    }
    names = {
        "ln_pre": "norm_pre",
        "ln_post": "norm",
        "transformer.resblocks": "blocks",
        "ln_1": "norm1",
        "ln_2": "norm2",
        "attn.in_proj_": "attn.qkv.",
        "attn.out_proj": "attn.proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for name, value in weights.items():
        if name not in ("class_embedding", "positional_embedding", "conv1.weight", "proj"):
            for old, new in names.items():
                name = name.replace(old, new)
            renamed[name] = value
    model.load_state_dict(renamed, strict=True)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5  # of CLIP's; timm's own are 1e-6
    return model


@gelus
def test_it_equals_timm_on_grids_that_are_not_square(quick: bool) -> None:
    sizes, tower = ((56, 32), (24, 72), (40, 40), (16, 120)), ours(quick)
    batch = collate([patchify(noise(*size), SHAPE) for size in sizes])
    assert batch.grids == (Grid(4, 7), Grid(9, 3), Grid(5, 5), Grid(15, 2))
    places = torch.zeros(len(sizes), batch.pixels.shape[1], 2, dtype=torch.int64)
    for row, grid in zip(places, batch.grids, strict=True):
        row[: len(grid)] = torch.cartesian_prod(torch.arange(grid.rows), torch.arange(grid.cols))
    naflex = as_naflex(tower.state_dict(), quick)
    with torch.no_grad():
        expected = naflex(
            {
                "patches": tower._normalised(torch.from_numpy(batch.pixels)),
                "patch_coord": places,
                "patch_valid": torch.from_numpy(batch.valid),
            }
        )
        assert far(tower(batch), expected) <= TOLERANCE


@pytest.mark.parametrize("preset", ["vit-l-14-336", "vit-l-14"])
def test_the_presets_have_the_names_and_shapes_of_openclip_s_models(preset: str) -> None:
    name = {"vit-l-14-336": "ViT-L-14-336-quickgelu", "vit-l-14": "ViT-L-14-quickgelu"}[preset]
    with torch.device("meta"):
        tower = VisionTower(PRESETS[preset].image)
        model = open_clip.create_model(name, load_weights=False, device="meta")
    expected = {key: value.shape for key, value in model.visual.state_dict().items()}
    assert {key: value.shape for key, value in tower.state_dict().items()} == expected
    assert PRESETS[preset].image.heads == model.visual.transformer.resblocks[0].attn.num_heads


@pytest.fixture
def named(tmp_path: Path) -> None:
    """Names in open_clip for small models: `tiny`, `tiny-quickgelu` and one that is no plain ViT."""
    vision = {"image_size": 40, "patch_size": 8, "width": 128, "layers": 2}
    text = {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 1, "layers": 1}
    for name, changes, more in (
        ("tiny", {}, {}),
        ("tiny-quickgelu", {"quick_gelu": True}, {}),
        ("tiny-averaged", {}, {"pool_type": "avg"}),
        ("tiny-heads", {}, {"head_width": 32}),
        ("tiny-wide", {}, {"image_size": 48}),
    ):
        config = {"embed_dim": 16, "vision_cfg": vision | more, "text_cfg": text, **changes}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(tmp_path / f"{name}.json")


@gelus
@pytest.mark.usefixtures("named")
def test_a_file_goes_in_as_open_clip_itself_loads_it(tmp_path: Path, quick: bool) -> None:
    name, path = "tiny-quickgelu" if quick else "tiny", tmp_path / "weights.safetensors"
    save_file(open_clip.create_model(name).state_dict(), path)
    tower = VisionTower(SHAPE.model_copy(update={"quick_gelu": quick})).eval()
    load_pretrained(tower, name, path)
    theirs = open_clip.create_model(name, pretrained=str(path)).visual.eval()
    with torch.no_grad():
        found = tower(collate([patchify(noise(40, 40), SHAPE)]))
        assert far(found, theirs(as_clip(noise(40, 40)))) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "quick", "reason"),
    [
        ("tiny", True, "quick_gelu is False; accepted: True"),
        ("tiny-quickgelu", False, "quick_gelu is True; accepted: False"),
        ("tiny-averaged", False, "its image tower has pool_type; accepted: a plain ViT"),
        ("tiny-heads", False, "heads is 4; accepted: 2"),
        ("tiny-wide", False, "image_size is 48; accepted: 40"),
        ("ViT-L-14-336", False, "patch_size is 14; accepted: 8"),
        ("RN50", False, "patch_size is None; accepted: 8"),
        ("hf-hub:somebody/something", False, "open_clip has no model 'hf-hub:somebody/something'"),
        ("local-dir:/tmp", False, "open_clip has no model 'local-dir:/tmp'"),
    ],
)
@pytest.mark.usefixtures("named")
def test_names_of_other_towers_are_refused(tmp_path: Path, name: str, quick: bool, reason: str) -> None:
    tower, path = VisionTower(SHAPE.model_copy(update={"quick_gelu": quick})), tmp_path / "w.safetensors"
    save_file(reference(quick).state_dict(), path)
    with pytest.raises(BadInput, match=reason):
        load_pretrained(tower, name, path)


@pytest.mark.usefixtures("named")
def test_weights_that_need_quickgelu_by_their_name_or_are_no_weights(tmp_path: Path) -> None:
    tower, path = VisionTower(SHAPE), tmp_path / "vit_tiny.OpenAI" / "w.safetensors"
    path.parent.mkdir()
    save_file(reference(False).state_dict(), path)
    with pytest.raises(BadInput, match=r"OpenAI's weights, which need QuickGELU; accepted: tiny-quickgelu"):
        load_pretrained(tower, "tiny", path)
    with pytest.raises(BadInput, match=r"w\.pt: cannot be read"):
        load_pretrained(tower, "tiny", tmp_path / "w.pt")
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadInput, match=r"w\.pt: pickled weights"):
        load_pretrained(tower, "tiny", tmp_path / "w.pt")
