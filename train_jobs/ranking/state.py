"""What a training run has to remember, on disk: safetensors for numbers, JSON for the rest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from actors.errors import BadInput
from train_jobs.training.optimiser import Tensors

_FORMAT = 1


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    """Optimiser steps done."""
    best: float = -1.0
    """Highest validation accuracy so far: half that of the total, which has few pairs and is noisy, half the
    mean over the heads."""
    best_epoch: int = -1
    waited: int = 0
    """Epochs since the best one."""
    finished: bool = False
    curve: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the training curve, see `loop`."""


@dataclass
class TrainingState:
    """All that a resumed run needs to go on as if it had not stopped."""

    progress: Progress
    model: Tensors
    optimiser: Tensors
    best: Tensors
    """Weights of the best epoch; empty before the first one."""
    average: Tensors
    """Moving average of the weights; empty without one."""

    def save(self, folder: Path) -> None:
        """Write into an empty folder; the JSON comes last and makes it whole."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("model", "optimiser", "best", "average"):
            save_file(
                {key: value.contiguous() for key, value in getattr(self, name).items()}, _file(folder, name)
            )
        data = {"format": _FORMAT, **asdict(self.progress)}
        (folder / "state.json").write_text(json.dumps(data), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Read what `save` wrote.

        Raises:
            BadInput: a file is missing, damaged or of another format.
        """
        try:
            data = json.loads((folder / "state.json").read_text("utf-8"))
            if data.pop("format") != _FORMAT:
                raise ValueError("another format")
            tensors = {
                name: load_file(_file(folder, name)) for name in ("model", "optimiser", "best", "average")
            }
            return cls(Progress(**data), **tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BadInput(
                f"{folder}: no checkpoint of a training run ({error}); accepted: a folder that training wrote"
            ) from None


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"
