"""Pretrained towers from local files: what goes in unchanged, and what is refused."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from actors.errors import BadInput
from actors.scorer.openclip import load_openclip, load_pretrained, load_xlm_roberta
from actors.scorer.text import TextTower
from actors.scorer.vision import VisionTower
from tests.scorer.scorer_kit import ARCHITECTURE, STEMMED, TEXT, tiny

CONFIG = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-05,
    "num_attention_heads": 2,
    "pad_token_id": 1,
    "position_embedding_type": "absolute",
}


def image_tower(seed: int) -> VisionTower:
    return tiny(seed).image


def text_tower(seed: int) -> TextTower:
    return tiny(seed).text


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    theirs = b.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in a.state_dict().items())


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in tensors.items()}


@pytest.mark.parametrize("prefix", ["visual.", ""])
def test_an_openclip_file_fills_the_tower(tmp_path: Path, prefix: str) -> None:
    source, path = image_tower(1).state_dict(), tmp_path / "clip.safetensors"
    # A whole model's text tower has names that the bare image tower has too.
    text = {"positional_embedding": torch.zeros(3, 2), "token_embedding.weight": torch.zeros(2, 2)}
    others = {"text.proj": torch.zeros(1), "logit_scale": torch.zeros(())}
    save_file(prefixed(prefix, source) | others | (text if prefix else {}), path)
    tower = image_tower(0)
    load_openclip(tower, path)
    assert same(tower, image_tower(1))


def test_another_tower_is_refused_by_its_first_wrong_tensor(tmp_path: Path) -> None:
    path, tensors = tmp_path / "clip.safetensors", image_tower(1).state_dict()
    tensors["positional_embedding"] = torch.zeros(17, 32)
    save_file(tensors, path)
    with pytest.raises(BadInput, match=r"first positional_embedding \[17, 32\], expected \[26, 32\]"):
        load_openclip(image_tower(0), path)
    save_file({"token_embedding.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(BadInput, match=r"32 tensors are missing, first class_embedding \[32\]; 1 tensors"):
        load_openclip(image_tower(0), path)
    save_file(image_tower(1).state_dict(), path)
    stemmed = tiny(architecture=ARCHITECTURE.model_copy(update={"image": STEMMED})).image
    with pytest.raises(BadInput, match=r"1 tensors are unexpected, first conv1\.weight \[32, 3, 4, 4\]"):
        load_openclip(stemmed, path)


@pytest.mark.parametrize("name", ["clip.pt", "clip.bin", "clip.safetensors"])
def test_pickled_towers_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps({"visual.proj": [1.0]}))
    with pytest.raises(BadInput, match="pickled weights"):
        load_openclip(image_tower(0), tmp_path / name)


def test_without_open_clip_a_name_asks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(BadInput, match=r"pip install 'atelier-ray\[clip\]'"):
        load_pretrained(image_tower(0), "ViT-L-14", tmp_path / "clip.safetensors")


def hugging_face(folder: Path, tensors: dict[str, Tensor], **changes: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}), "utf-8")
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("prefix", ["roberta.", ""])
def test_an_xlm_roberta_folder_fills_the_tower(tmp_path: Path, prefix: str) -> None:
    own = {"pooler.dense.weight": torch.zeros(2, 2), "embeddings.position_ids": torch.zeros(1, 34)}
    tensors = prefixed(prefix, text_tower(1).transformer.state_dict() | own)
    head = {"lm_head.bias": torch.zeros(2)} if prefix else {}
    tower = text_tower(0)
    load_xlm_roberta(tower, hugging_face(tmp_path, tensors | head))
    assert same(tower, text_tower(1))


def test_the_folder_that_transformers_writes_fills_the_tower(tmp_path: Path) -> None:
    text_tower(1).transformer.save_pretrained(tmp_path)
    tower = text_tower(0)
    load_xlm_roberta(tower, tmp_path)
    assert same(tower, text_tower(1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_attention_heads": 4}, "num_attention_heads is 4; accepted: 2"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'; accepted: 'gelu'"),
        ({"layer_norm_eps": 1e-12}, "layer_norm_eps is 1e-12"),
        ({"pad_token_id": 0}, "pad_token_id is 0; accepted: 1"),
    ],
)
def test_what_its_weights_do_not_tell_is_read_from_the_config(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadInput, match=reason):
        load_xlm_roberta(
            text_tower(0), hugging_face(tmp_path, text_tower(1).transformer.state_dict(), **changes)
        )


def test_folders_without_weights_or_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"config\.json: cannot be read"):
        load_xlm_roberta(text_tower(0), tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(BadInput, match=r"config\.json: no configuration"):
        load_xlm_roberta(text_tower(0), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(BadInput, match=r"model\.safetensors: cannot be read"):
        load_xlm_roberta(text_tower(0), tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(BadInput, match="its weights are pickled; accepted: a folder with model"):
        load_xlm_roberta(text_tower(0), tmp_path)
    tensors = text_tower(1).transformer.state_dict()
    shape = [TEXT.vocabulary, TEXT.width]
    name = "embeddings.word_embeddings.weight"
    tensors[name] = torch.zeros(7, TEXT.width)
    with pytest.raises(BadInput) as caught:
        load_xlm_roberta(text_tower(0), hugging_face(tmp_path, tensors))
    assert f"first {name} [7, {TEXT.width}], expected {shape}" in str(caught.value)
