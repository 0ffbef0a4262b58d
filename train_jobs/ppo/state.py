"""What a policy's training has to remember."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from actors.errors import BadInput
from train_jobs.training.checkpoint import read, write
from train_jobs.training.optimiser import Tensors

_TENSORS = ("actor", "critic", "reference", "optimisers", "waiting")


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    """Batches learnt from."""
    coefficient: float = 0.0
    """Of the divergence."""
    draws: int = 0
    finished: bool = False
    curve: list[dict[str, Any]] = field(default_factory=list)
    """A row of metrics a step."""


@dataclass
class PolicyState:
    """All that a resumed run needs to go on as if it had not stopped."""

    progress: Progress
    actor: Tensors
    critic: Tensors
    reference: Tensors
    optimisers: Tensors
    waiting: Tensors
    """Answers that are sampled and not learnt from yet, by rank; empty where none wait."""

    def save(self, folder: Path) -> None:
        """Write into an empty folder."""
        write(folder, asdict(self.progress), {name: getattr(self, name) for name in _TENSORS})

    @classmethod
    def load(cls, folder: Path) -> PolicyState:
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
