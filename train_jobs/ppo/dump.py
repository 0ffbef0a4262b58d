"""What a training leaves behind of a batch that broke it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from train_jobs.training.optimiser import Tensors

TENSORS, ABOUT = "batch.safetensors", "batch.json"


def dump(folder: Path | None, tensors: Tensors, about: Mapping[str, Any]) -> str:
    """Write a batch into a new folder; the answer says where it is, for an error's message.

    Args:
        folder: `batch.safetensors` and `batch.json` go there; None writes nothing.
        about: what JSON can hold; numbers that are not finite become texts.
    """
    if folder is None:
        return "the batch was not kept, since this training has no folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, folder / TENSORS
        )
        (folder / ABOUT).write_text(json.dumps(_plain(about), ensure_ascii=False, indent=1), "utf-8")
    except OSError as error:
        return f"the batch could not be written to {folder} ({error.strerror or error})"
    return f"the batch is in {folder}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
