"""Files that do not belong together are told from their headers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from actors.engines.checks import check_adapter, check_model, check_weights, shapes_in, shapes_of
from actors.engines.errors import EngineRefused

BASE = {"model.embed.weight": (300, 8), "model.layers.0.q_proj.weight": (16, 8)}


def model(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    fields = {"vocab_size": 300, "eos_token_id": 2} | config
    (folder / "config.json").write_text(json.dumps(fields), "utf-8")
    return folder


def tokenizer(folder: Path, ids: range, added: tuple[int, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    words = {"model": {"vocab": {f"t{i}": i for i in ids}}, "added_tokens": [{"id": i} for i in added]}
    (folder / "tokenizer.json").write_text(json.dumps(words), "utf-8")
    return folder


def adapter(folder: Path, rank: int = 4, width: int = 8, layer: str = "model.layers.0.q_proj") -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}), "utf-8")
    stem = f"base_model.model.{layer}"
    tensors = {
        f"{stem}.lora_A.weight": np.zeros((rank, width), np.float32),
        f"{stem}.lora_B.weight": np.zeros((16, rank), np.float32),
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_a_tokenizer_of_the_model_passes(tmp_path: Path):
    check_model(model(tmp_path / "m"), tokenizer(tmp_path / "t", range(290), (299,)))
    check_model(
        model(tmp_path / "seeing", vocab_size=None, text_config={"vocab_size": 300, "eos_token_id": [1, 2]}),
        tokenizer(tmp_path / "t", range(300)),
    )
    check_model(tmp_path / "m", tmp_path)  # a tokenizer of another kind: vLLM itself has to judge


@pytest.mark.parametrize(
    ("ids", "added", "said"),
    [
        (range(300), (300,), "has a token 300, and the model's vocabulary ends at 299"),
        (range(3, 300), (), "ends its answers with token 2, which the tokenizer has not"),
    ],
)
def test_a_tokenizer_of_another_model_is_refused(
    tmp_path: Path, ids: range, added: tuple[int, ...], said: str
):
    with pytest.raises(EngineRefused, match=said):
        check_model(model(tmp_path / "m"), tokenizer(tmp_path / "t", ids, added))


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    with pytest.raises(EngineRefused, match=r"config\.json cannot be read"):
        check_model(tmp_path, tmp_path)
    with pytest.raises(EngineRefused, match="holds no"):
        shapes_in(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b'\x04\0\0\0\0\0\0\0{"a"'])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(EngineRefused, match="no safetensors file that can be read"):
        shapes_of(file)


def test_an_update_holds_the_models_tensors_and_no_others():
    check_weights(BASE, BASE)
    check_weights({**BASE, "lm_head.weight": (300, 8)}, BASE)  # tied: a trainer may send it once more
    for change, said in (
        ({"model.embed.weight": (301, 8)}, r"has the shape \[301, 8\], and the model \[300, 8\]"),
        ({"model.layers.1.q_proj.weight": (16, 8)}, "model.layers.1.q_proj.weight is not among its tensors"),
    ):
        with pytest.raises(EngineRefused, match=said):
            check_weights({**BASE, **change}, BASE)
    with pytest.raises(EngineRefused, match=r"model\.embed\.weight is missing"):
        check_weights({name: shape for name, shape in BASE.items() if "embed" not in name}, BASE)


def test_an_adapter_for_the_model_passes(tmp_path: Path):
    check_adapter(adapter(tmp_path / "a"), BASE, 8)


@pytest.mark.parametrize(
    ("change", "most", "said"),
    [
        ({}, 0, "takes no adapters.*lora_rank"),
        ({"rank": 16}, 8, "has rank 16; accepted: up to engine.lora_rank=8"),
        ({"width": 12}, 8, "another base model: .*lora_A.weight has width 12, and the engine's model has 8"),
        ({"layer": "model.layers.7.q_proj"}, 8, r"another base model: it changes model\.layers\.7\.q_proj"),
    ],
)
def test_an_adapter_for_another_model_is_refused(
    tmp_path: Path, change: dict[str, Any], most: int, said: str
):
    with pytest.raises(EngineRefused, match=said):
        check_adapter(adapter(tmp_path / "a", **change), BASE, most)
