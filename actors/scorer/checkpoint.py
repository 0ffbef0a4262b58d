"""A scorer's folder: `scorer.safetensors`, `tokenizer.json`, and `scorer.json`, which speaks for both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import JsonValue, ValidationError, model_validator
from torch import Tensor

from actors.contracts import Contract, Dimension
from actors.errors import BadInput
from actors.folders import replace_files
from actors.scorer.architecture import Architecture
from actors.scorer.calibration import Calibration
from actors.scorer.model import AestheticModel
from actors.scorer.text import Tokenizer
from actors.tensors import fill, read_tensors

WEIGHTS, CARD, TOKENIZER = "scorer.safetensors", "scorer.json", "tokenizer.json"


class ScorerCard(Contract):
    """What `scorer.json` holds."""

    version: str
    """`aesthetic-<preset>-<8 hex digits of the weights' sha256>`."""
    architecture: Architecture
    calibration: Calibration | None
    """None of a model whose scores are not calibrated yet."""
    sha256: dict[str, str]
    """Of the two other files, so that those of two savings are never taken for one scorer."""
    card: dict[str, JsonValue]
    """Whatever whoever saved it had to say: data, recipe, quality."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.sha256.keys() != {WEIGHTS, TOKENIZER}:
            raise ValueError(f"sha256 is not of {WEIGHTS} and {TOKENIZER}")
        if self.calibration and self.calibration.mean.keys() != set(self.architecture.dimensions):
            raise ValueError("the calibration is of other dimensions than the architecture")
        return self


@dataclass(frozen=True)
class LoadedScorer:
    """A model in eval mode, float32, and what belongs to it."""

    model: AestheticModel
    tokenizer: Tokenizer
    calibration: Calibration | None
    version: str
    card: dict[str, Any]


def save(
    folder: Path,
    model: AestheticModel,
    tokenizer: Path,
    calibration: Calibration | None,
    card: Mapping[str, Any],
    half: bool = True,
) -> str:
    """Write a scorer's folder and return its version; the same weights give the same one.

    The files change places one after the other, `scorer.json` last; if that is interrupted, `load` says so.

    Args:
        folder: made where it does not exist; the three files in it are replaced.
        model: on any device.
        tokenizer: the `tokenizer.json`, which may be the folder's own.
        calibration: of the model's dimensions, or None.
        card: free metadata, anything JSON can hold.
        half: float16 in place of float32.

    Raises:
        BadInput: a weight is no finite number as it would be stored, the tokenizer does not fit the model,
            or the card or calibration cannot be kept.
        StageFailed: the disk refused the files. None of those that were there is changed.
    """
    from safetensors.torch import save

    _read_tokenizer(tokenizer, model.architecture)
    files = {WEIGHTS: save(_storable(model, half)), TOKENIZER: tokenizer.read_bytes()}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    saved = _card(model.architecture, calibration, digests, card)
    files[CARD] = f"{saved.model_dump_json(indent=1)}\n".encode()
    replace_files(folder, files)
    return saved.version


def load(folder: Path, device: str = "cpu", dimensions: Sequence[Dimension] | None = None) -> LoadedScorer:
    """Read a scorer's folder.

    Args:
        folder: what `save` wrote.
        device: where the model shall be.
        dimensions: those that the caller needs, in any order; None takes what there is.

    Raises:
        BadInput: a file is missing, damaged, pickled or of another saving; the weights are not of the
            architecture; the dimensions are others; the tokenizer has more tokens than the model knows.
    """
    card = read_card(folder)
    architecture = card.architecture
    if dimensions is not None and set(dimensions) != set(architecture.dimensions):
        found, wanted = ", ".join(architecture.dimensions), ", ".join(dimensions)
        raise BadInput(f"{folder / CARD}: a scorer of {found}; accepted here: one of {wanted}")
    tensors = read_tensors(folder / WEIGHTS)
    tokenizer = _read_tokenizer(folder / TOKENIZER, architecture)
    model = AestheticModel(architecture)
    fill(model, tensors, folder / WEIGHTS)
    for name, digest in card.sha256.items():
        if _sha256(folder / name) != digest:
            raise BadInput(
                f"{folder / name}: not the one that {CARD} was saved with; copy or save the whole folder"
            )
    return LoadedScorer(model.eval().to(device), tokenizer, card.calibration, card.version, dict(card.card))


def read_card(folder: Path) -> ScorerCard:
    """The `scorer.json` of a folder.

    Raises:
        BadInput: it is missing or no such card.
    """
    path = folder / CARD
    try:
        return ScorerCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"{path}: cannot be read ({error.strerror}); accepted: the folder of a saved scorer"
        ) from None
    except ValidationError as error:
        raise BadInput(f"{path}: {_problem(error)}; accepted: what a saved scorer holds") from None


def _card(
    architecture: Architecture,
    calibration: Calibration | None,
    digests: dict[str, str],
    card: Mapping[str, Any],
) -> ScorerCard:
    version = f"aesthetic-{architecture.preset}-{digests[WEIGHTS][:8]}"
    try:
        return ScorerCard(
            version=version,
            architecture=architecture,
            calibration=calibration,
            sha256=digests,
            card=dict(card),
        )
    except ValidationError as error:
        raise BadInput(f"{CARD} cannot be written: {_problem(error)}") from None


def _storable(model: AestheticModel, half: bool) -> dict[str, Tensor]:
    dtype, tensors = torch.float16 if half else torch.float32, {}
    for name, value in model.state_dict().items():
        tensors[name] = value.detach().to("cpu", dtype).contiguous()
        if not bool(torch.isfinite(tensors[name]).all()):
            raise BadInput(f"{name} holds what is no number in {dtype}; train anew, or save with half=False")
    return tensors


def _read_tokenizer(path: Path, architecture: Architecture) -> Tokenizer:
    tokenizer, known = Tokenizer(path, architecture.text.context), architecture.text.vocabulary
    if tokenizer.size > known:
        raise BadInput(f"{path}: {tokenizer.size} tokens; accepted: at most the {known} of the text tower")
    return tokenizer


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
