"""The model before the first pair: architecture, weights of the towers, tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.scorer.architecture import PRESETS, Architecture
from actors.scorer.model import OF_PAIRS, AestheticModel
from actors.scorer.text import Tokenizer
from configs.ranking import RankingSettings

TOWERS = Path(__file__).parents[1] / "towers" / "small"
"""What is shipped of the small preset's towers beside the picture tower, which the shipped scorer holds."""


@dataclass(frozen=True)
class Start:
    """A model that has not seen a pair."""

    model: AestheticModel
    tokenizer: Tokenizer
    origin: str
    """Where its towers come from, for the model card."""


def architecture_of(settings: RankingSettings) -> Architecture:
    """The preset with the heads of the settings.

    Raises:
        BadInput: a dimension is not known.
    """
    unknown = sorted(set(settings.dimensions) - {str(each) for each in Dimension})
    if unknown:
        raise BadInput(
            f"ranking.dimensions: {unknown[0]!r} is no dimension; accepted: {', '.join(Dimension)}"
        )
    names = tuple(Dimension(name) for name in settings.dimensions)
    return PRESETS[settings.preset].model_copy(update={"dimensions": names})


def start(settings: RankingSettings) -> Start:
    """Build the model that training begins with. The same settings give the same weights.

    Raises:
        BadInput: weights are missing or do not fit the preset.
    """
    architecture, given = architecture_of(settings), settings.start
    torch.manual_seed(settings.seed)
    if given.image is None and given.text is None and (given.folder or settings.preset == "small"):
        return _of_folder(given.folder, architecture) if given.folder else _shipped(architecture)
    if given.text is None:
        raise BadInput(
            f"ranking.start.text is not set and preset {settings.preset} ships no weights; "
            "accepted: the folder of an XLM-RoBERTa with its tokenizer.json"
        )
    from actors.scorer.openclip import load_openclip, load_xlm_roberta

    model = AestheticModel(architecture)
    load_xlm_roberta(model.text, given.text)
    if given.image:
        load_openclip(model.image, given.image)
    tokenizer = Tokenizer(given.text / "tokenizer.json", architecture.text.context)
    return Start(model, tokenizer, f"{given.image or 'random image tower'}, {given.text}")


def _shipped(architecture: Architecture) -> Start:
    """The shipped towers as they were before the first pair; heads are new."""
    from actors.scorer.checkpoint import TOKENIZER, load
    from actors.scorer.worker import SHIPPED
    from actors.tensors import read_tensors

    version = str(json.loads((TOWERS / "towers.json").read_text("utf-8"))["version"])
    scorer = load(SHIPPED)
    if scorer.card.get("towers") != version:
        raise BadInput(
            f"{SHIPPED} was trained from towers {scorer.card.get('towers')}, {TOWERS} holds {version}; "
            "reinstall, or set ranking.start.folder"
        )
    seen = {n: v for n, v in scorer.model.state_dict().items() if n.startswith("image.")}
    model = AestheticModel(architecture)
    model.load_state_dict(seen | read_tensors(TOWERS / "towers.safetensors"), strict=False)
    return Start(model, Tokenizer(TOWERS / TOKENIZER, architecture.text.context), version)


def _of_folder(folder: Path, architecture: Architecture) -> Start:
    """The towers and projections of a folder; heads are new."""
    from actors.scorer.checkpoint import load

    loaded = load(folder)
    found = loaded.model.architecture
    if (found.image, found.text, found.embed) != (architecture.image, architecture.text, architecture.embed):
        raise BadInput(
            f"{folder} holds the preset {found.preset}, ranking.preset is {architecture.preset}; "
            "accepted: a folder of the same preset"
        )
    model = AestheticModel(architecture)
    towers = {n: v for n, v in loaded.model.state_dict().items() if not n.startswith(OF_PAIRS)}
    model.load_state_dict(towers, strict=False)
    return Start(model, loaded.tokenizer, loaded.version)
