"""What a training run has to remember."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from actors.errors import BadInput
from train_jobs.training.checkpoint import read, write
from train_jobs.training.optimiser import Tensors

_TENSORS = ("model", "optimiser", "best", "average")


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
        """Write into an empty folder."""
        write(folder, asdict(self.progress), {name: getattr(self, name) for name in _TENSORS})

    @classmethod
    def load(cls, folder: Path) -> TrainingState:
        """Read what `save` wrote.

        Raises:
            BadInput: a file is missing, damaged or of another format.
        """
        data, tensors = read(folder, _TENSORS)
        try:
            progress = Progress(**data)
        except TypeError as error:
            raise BadInput(f"{folder}: no checkpoint of this training ({error})") from None
        return cls(progress, **tensors)
