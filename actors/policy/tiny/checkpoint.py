"""A tiny policy's folder: `policy.safetensors`, and `policy.json` about it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue, ValidationError

from actors.contracts import Contract
from actors.errors import BadInput
from actors.folders import replace_files
from actors.policy.tiny.model import Architecture, CausalLm
from actors.policy.tiny.tokens import Tokens
from actors.tensors import fill, read_tensors

WEIGHTS, CARD = "policy.safetensors", "policy.json"


class PolicyCard(Contract):
    """What `policy.json` holds."""

    version: str
    """`tiny-<8 hex digits of the weights' sha256>`."""
    architecture: dict[str, float]
    familiar: tuple[str, ...]
    """Subjects that it was trained on."""
    card: dict[str, JsonValue]
    """Whatever whoever saved it had to say: data, recipe, quality."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A model in eval mode, float32, and what belongs to it."""

    model: CausalLm
    tokens: Tokens
    version: str
    familiar: tuple[str, ...]
    card: dict[str, Any]


def save(folder: Path, model: CausalLm, familiar: tuple[str, ...], card: Mapping[str, Any]) -> str:
    """Write a policy's folder, weights as float16, and return its version; same weights, same version.

    Raises:
        BadInput: a weight is no finite number as it would be stored.
        StageFailed: the disk refused the files.
    """
    from safetensors.torch import save

    weights = {name: tensor.detach().cpu().to(torch.float16) for name, tensor in model.state_dict().items()}
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise BadInput(f"{name} holds numbers that float16 cannot; the policy was not saved")
    data = save(weights)
    version = f"tiny-{hashlib.sha256(data).hexdigest()[:8]}"
    about = PolicyCard(
        version=version,
        architecture=dataclasses.asdict(model.model.shape),
        familiar=familiar,
        card=dict(card),
    )
    files = {
        WEIGHTS: data,
        CARD: (about.model_dump_json(indent=1) + "\n").encode("utf-8"),
    }
    replace_files(folder, files)
    return version


def load(folder: Path) -> LoadedPolicy:
    """Read a policy's folder.

    Raises:
        BadInput: a file is missing, damaged or pickled; weights and vocabulary do not belong together.
    """
    about = _read_card(folder / CARD)
    shape = Architecture(**{name: _number(value) for name, value in about.architecture.items()})
    tensors = read_tensors(folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:8]
    if about.version != f"tiny-{digest}":
        raise BadInput(
            f"{folder / WEIGHTS}: not the one that {CARD} was saved with; copy or save the whole folder"
        )
    tokens = Tokens(about.familiar)
    if tokens.size != shape.vocabulary:
        raise BadInput(
            f"{folder}: the policy knows {shape.vocabulary} tokens, the vocabulary makes {tokens.size}; "
            "accepted: a policy that was trained with this vocabulary"
        )
    model = CausalLm(shape)
    fill(model, tensors, folder / WEIGHTS)
    return LoadedPolicy(model.float().eval(), tokens, about.version, about.familiar, dict(about.card))


def _read_card(path: Path) -> PolicyCard:
    try:
        return PolicyCard.model_validate(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); accepted: a folder that holds {WEIGHTS} and {CARD}"
        ) from None
    except (ValidationError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise BadInput(f"{path}: no card of a policy ({problem}); accepted: what `save` writes") from None


def _number(value: float) -> Any:
    return int(value) if value == int(value) and value >= 1 else value
