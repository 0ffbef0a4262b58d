"""A training's checkpoint on disk: safetensors for numbers, JSON for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from actors.errors import BadInput
from train_jobs.training.optimiser import Tensors

STATE = "state.json"
_FORMAT = 1


def write(folder: Path, progress: Mapping[str, Any], tensors: Mapping[str, Tensors]) -> None:
    """Write into an empty folder; the JSON comes last and makes it whole."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in tensors.items():
        save_file({key: value.contiguous() for key, value in values.items()}, _file(folder, name))
    (folder / STATE).write_text(json.dumps({"format": _FORMAT, **progress}), "utf-8")


def read(folder: Path, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Tensors]]:
    """The progress and the named tensors that `write` wrote.

    Raises:
        BadInput: a file is missing, damaged or of another format.
    """
    try:
        progress = json.loads((folder / STATE).read_text("utf-8"))
        if progress.pop("format") != _FORMAT:
            raise ValueError("another format")
        return progress, {name: load_file(_file(folder, name)) for name in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise BadInput(
            f"{folder}: no checkpoint of a training run ({error}); accepted: a folder that training wrote"
        ) from None


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"
