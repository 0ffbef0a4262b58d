"""What a policy's training has to remember, on disk: safetensors for numbers, JSON for the rest."""

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
        """Write into an empty folder; the JSON comes last and makes it whole."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _TENSORS:
            tensors: Tensors = getattr(self, name)
            save_file(
                {key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors"
            )
        data = {"format": _FORMAT, **asdict(self.progress)}
        (folder / "state.json").write_text(json.dumps(data), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> PolicyState:
        """Read what `save` wrote.

        Raises:
            BadInput: a file is missing, damaged or of another format.
        """
        try:
            data = json.loads((folder / "state.json").read_text("utf-8"))
            if data.pop("format") != _FORMAT:
                raise ValueError("another format")
            tensors = {name: load_file(folder / f"{name}.safetensors") for name in _TENSORS}
            return cls(Progress(**data), **tensors)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BadInput(
                f"{folder}: no checkpoint of a policy's training ({error}); accepted: a folder that it wrote"
            ) from None
