"""Pretrained towers from local files: OpenCLIP's for pictures, Hugging Face's XLM-RoBERTa for texts.

The weights go in as they are. What weights do not tell, and load without a word, is checked wherever
something tells it: activation, number of heads. OpenAI's weights need QuickGELU; in a GELU tower they load
too and see worse.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from actors.errors import BadInput
from actors.scorer.architecture import ImageShape
from actors.scorer.text import PAD, TextTower
from actors.scorer.vision import VisionTower
from actors.tensors import PICKLED, fill, read_tensors

_VISUAL = "visual."
_PLAIN = {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio"}
"""Of the settings of OpenCLIP's vision transformers, those that the tower has."""
_NOT_VISUAL = ("text.", "logit_scale", "logit_bias")
_ROBERTA = "roberta."
_NOT_ENCODER = ("pooler.", "lm_head.", "classifier.", "embeddings.position_ids")
_XLM_ROBERTA = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "pad_token_id": PAD,
    "position_embedding_type": "absolute",
}
"""What every XLM-RoBERTa has, and so has the text tower."""


def load_openclip(tower: VisionTower, source: Path) -> None:
    """Fill a tower from a safetensors file of a whole OpenCLIP model or of its `visual` alone.

    The file does not tell the activation or the number of heads: those of the tower must be right.

    Raises:
        BadInput: the file is missing, pickled or damaged, or its tensors are not the tower's.
    """
    tensors = read_tensors(source)
    visual = {name.removeprefix(_VISUAL): t for name, t in tensors.items() if name.startswith(_VISUAL)}
    bare = {name: t for name, t in tensors.items() if not name.startswith(_NOT_VISUAL)}
    fill(tower, visual or bare, source)


def load_pretrained(tower: VisionTower, name: str, path: Path) -> None:
    """Fill a tower from a safetensors file of the architecture that the `open_clip` package knows by name.

    The package says what the name stands for; it does not open the file. Its create_model gives whatever is
    no safetensors to torch.load, stretches positions of another size, and asks only of weights that it
    downloads itself whether they suit the activation.

    Args:
        tower: of the architecture that the name stands for.
        name: one of `open_clip.list_models()`, e.g. `ViT-L-14-336-quickgelu`.
        path: as for `load_openclip`; with `openai` in its own or its folder's name the weights are taken for
            OpenAI's, which need QuickGELU.

    Raises:
        BadInput: open_clip is not installed or has no such name; the name stands for another architecture or
            activation; the file is missing, pickled, damaged or of another architecture.
    """
    _check_shape(tower.shape, name, _named(name))
    if "openai" in f"{path.parent.name}/{path.name}".lower() and not tower.shape.quick_gelu:
        raise BadInput(
            f"{path}: by its name OpenAI's weights, which need QuickGELU; accepted: {name}-quickgelu and a "
            "tower of quick_gelu"
        )
    load_openclip(tower, path)


def load_xlm_roberta(tower: TextTower, folder: Path) -> None:
    """Fill a tower from a local Hugging Face folder: `config.json` and `model.safetensors`.

    Names may begin with `roberta.`, as those of a language model or a classifier do; its own layers are
    left aside.

    Raises:
        BadInput: a file is missing, pickled or damaged, or it is not of the tower's architecture.
    """
    weights, shape = folder / "model.safetensors", tower.shape
    config = _read_config(folder / "config.json")
    for name, wanted in {**_XLM_ROBERTA, "num_attention_heads": shape.heads}.items():
        if (found := config.get(name, wanted)) != wanted:
            raise BadInput(f"{folder / 'config.json'}: {name} is {found!r}; accepted: {wanted!r}")
    if not weights.exists() and any(file.suffix in PICKLED for file in folder.iterdir()):
        raise BadInput(f"{folder}: its weights are pickled; accepted: a folder with model.safetensors")
    named = {name.removeprefix(_ROBERTA): tensor for name, tensor in read_tensors(weights).items()}
    encoder: dict[str, Tensor] = {
        name: tensor for name, tensor in named.items() if not name.startswith(_NOT_ENCODER)
    }
    fill(tower.transformer, encoder, weights)


def _named(name: str) -> dict[str, Any]:
    try:
        import open_clip
    except ImportError as error:
        raise BadInput(
            f"the open_clip package cannot be imported ({error}); install it with "
            "`pip install 'atelier-ray[clip]'`, or give the safetensors file without a name"
        ) from None
    # A name with a scheme would be looked up on a hub.
    if name not in open_clip.list_models():
        raise BadInput(f"open_clip has no model {name!r}; accepted: a name of open_clip.list_models()")
    config: dict[str, Any] = open_clip.get_model_config(name)
    return config


def _check_shape(shape: ImageShape, name: str, config: dict[str, Any]) -> None:
    vision = config["vision_cfg"]
    if strange := vision.keys() - _PLAIN:
        raise BadInput(
            f"{name}: its image tower has {sorted(strange)[0]}; accepted: a plain ViT of OpenCLIP's"
        )
    width = vision["width"]
    for what, named, own in (
        ("patch_size", vision["patch_size"], shape.patch),
        ("image_size", vision["image_size"], shape.patch * shape.grid),
        ("width", width, shape.width),
        ("layers", vision["layers"], shape.layers),
        ("heads", width // vision.get("head_width", 64), shape.heads),
        ("mlp_ratio", vision.get("mlp_ratio", 4.0), shape.mlp_ratio),
        ("embed_dim", config["embed_dim"], shape.output),
        ("quick_gelu", config.get("quick_gelu", False), shape.quick_gelu),
    ):
        if named != own:
            raise BadInput(f"{name}: {what} is {named}; accepted: {own}, which the tower has")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); accepted: a Hugging Face folder") from None
    if not isinstance(config, dict):
        raise BadInput(f"{path}: no configuration; accepted: a Hugging Face folder")
    return config
