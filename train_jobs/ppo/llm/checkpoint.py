"""A trained language model as a folder that any loader of Hugging Face models reads, vLLM among them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actors.errors import StageFailed
from train_jobs.training.optimiser import Tensors

CARD = "training.json"
"""Written last: a folder that has it is whole."""


def save_model(folder: Path, tensors: Tensors, start: Path, card: Mapping[str, Any]) -> Path:
    """Write weights, with config and tokenizer of the model that they began as, in that one's precision.

    Args:
        tensors: all weights by their names in the loaded model.
        start: that model's folder.
        card: whatever is to be said about them.

    Raises:
        StageFailed: the disk refused the files.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config = AutoConfig.from_pretrained(start, local_files_only=True)
    kind = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    stored = {name: value.to(kind) if value.is_floating_point() else value for name, value in tensors.items()}
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(config, dtype=kind)
    for twice in getattr(plain, "all_tied_weights_keys", None) or ():
        stored.pop(twice, None)
    fresh = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        plain.save_pretrained(fresh, state_dict=stored)
        AutoTokenizer.from_pretrained(start, local_files_only=True).save_pretrained(fresh)
        if (start / "generation_config.json").is_file():
            shutil.copyfile(start / "generation_config.json", fresh / "generation_config.json")
        (fresh / CARD).write_text(json.dumps(dict(card), ensure_ascii=False, indent=1), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    except OSError as error:
        raise StageFailed(f"cannot save the model in {folder}: {error.strerror or error}") from None
    return folder
