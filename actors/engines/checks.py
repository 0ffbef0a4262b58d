"""Files held against one another before an engine takes them: headers alone, no weights are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from actors.engines.errors import EngineRefused

Shapes = dict[str, tuple[int, ...]]
_MOST_HEADER = 100_000_000
_TIED = "lm_head.weight"


def shapes_of(file: Path) -> Shapes:
    """Names and shapes in a safetensors file.

    Raises:
        EngineRefused: it is missing or no safetensors file.
    """
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _MOST_HEADER:
                raise ValueError(f"its header would be {length} bytes long")
            header: dict[str, Any] = json.loads(stream.read(length))
        return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, struct.error, LookupError, TypeError, AttributeError) as error:
        raise EngineRefused(f"{file} is no safetensors file that can be read: {error}") from None


def shapes_in(folder: Path) -> Shapes:
    """Names and shapes of all safetensors files in a model's folder.

    Raises:
        EngineRefused: there is none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EngineRefused(f"{folder} holds no *.safetensors; accepted: a model's folder with its weights")
    return {name: shape for file in files for name, shape in shapes_of(file).items()}


def check_model(model: Path, tokenizer: Path) -> None:
    """Whether a model's folder is one, and its tokenizer speaks its vocabulary.

    Raises:
        EngineRefused: it is not, or does not.
    """
    config = _json(model / "config.json")
    text = config.get("text_config") or config
    vocabulary = int(text.get("vocab_size") or config.get("vocab_size") or 0)
    if not (tokenizer / "tokenizer.json").is_file() or not vocabulary:
        return  # another kind of tokenizer, or a model with its defaults: vLLM itself has to judge
    ids = _token_ids(tokenizer / "tokenizer.json")
    highest = max(ids, default=0)
    if highest >= vocabulary:
        raise EngineRefused(
            f"the tokenizer in {tokenizer} does not belong to the model in {model}: it has a token "
            f"{highest}, and the model's vocabulary ends at {vocabulary - 1}; give the model's own tokenizer"
        )
    ends = text.get("eos_token_id", config.get("eos_token_id"))
    unknown = [
        end for end in (ends if isinstance(ends, list) else [ends]) if end is not None and end not in ids
    ]
    if unknown:
        raise EngineRefused(
            f"the tokenizer in {tokenizer} does not belong to the model in {model}: the model ends its "
            f"answers with token {unknown[0]}, which the tokenizer has not; give the model's own tokenizer"
        )


def check_weights(found: Mapping[str, tuple[int, ...]], base: Mapping[str, tuple[int, ...]]) -> None:
    """Whether an update holds all of a model's weights and nothing else.

    Raises:
        EngineRefused: it does not; the message names the first difference.
    """
    tied = {_TIED} if _TIED not in base else set()
    problem = next(_differences({n: s for n, s in found.items() if n not in tied}, base), "")
    if problem:
        raise EngineRefused(
            f"the weights are not those of the engine's model: {problem}; accepted: all of its tensors, "
            "under the names and shapes of its own safetensors files"
        )


def check_adapter(folder: Path, base: Mapping[str, tuple[int, ...]], most_rank: int) -> None:
    """Whether a LoRA adapter fits the engine and its model.

    Raises:
        EngineRefused: it is missing, of too high a rank, or made for another model.
    """
    if not most_rank:
        raise EngineRefused(f"the engine takes no adapters, here {folder}; set engine.lora_rank")
    config = _json(folder / "adapter_config.json")
    rank = int(config.get("r") or 0)
    if rank > most_rank:
        raise EngineRefused(
            f"the adapter in {folder} has rank {rank}; accepted: up to engine.lora_rank={most_rank}"
        )
    for name, shape in shapes_of(folder / "adapter_model.safetensors").items():
        layer, side, _ = name.removeprefix("base_model.model.").rpartition(".lora_")
        if not side:
            continue
        part = name.rpartition(".lora_")[2][:1]
        weight = base.get(f"{layer}.weight")
        if weight is None:
            raise EngineRefused(
                f"the adapter in {folder} is for another base model: it changes {layer}, which the engine's "
                "model does not have"
            )
        there, wanted = (shape[-1], weight[-1]) if part == "A" else (shape[0], weight[0])
        if part in "AB" and there != wanted:
            raise EngineRefused(
                f"the adapter in {folder} is for another base model: {name} has width {there}, and the "
                f"engine's model has {wanted} there"
            )


def _differences(found: Mapping[str, tuple[int, ...]], base: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name, shape in found.items():
        if name not in base:
            yield f"{name} is not among its tensors"
        elif shape != base[name]:
            yield f"{name} has the shape {list(shape)}, and the model {list(base[name])}"
    yield from (f"{name} is missing" for name in base if name not in found)


def _token_ids(file: Path) -> set[int]:
    tokenizer = _json(file)
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    ids = set(vocabulary.values()) if isinstance(vocabulary, dict) else set(range(len(vocabulary)))
    return ids | {int(token["id"]) for token in tokenizer.get("added_tokens", [])}


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineRefused(f"{file} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise EngineRefused(f"{file} holds no JSON object")
    return value
