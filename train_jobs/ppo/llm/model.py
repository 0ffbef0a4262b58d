"""A causal language model's folder: what is loaded of it, what in it does not belong together."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from actors.engines.checks import check_adapter, check_model, shapes_in
from actors.errors import BadInput
from configs.ppo import LlmPolicySettings

_HIGHEST_RANK = 512


@dataclass(frozen=True)
class Words:
    """A tokenizer, and where answers end."""

    tokenizer: Any
    """Of `transformers`."""
    ends: frozenset[int]
    """Tokens that end an answer, as for an engine: the tokenizer's and those of the generation's config."""
    pad: int

    @property
    def end(self) -> int:
        """The end that answers are taught."""
        return int(self.tokenizer.eos_token_id)


def device_of(settings: LlmPolicySettings) -> torch.device:
    """Where this process computes.

    Raises:
        BadInput: a GPU is asked for, and none is seen.
    """
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise BadInput("ppo.policy.device=cuda, and this process sees no GPU; accepted: auto, cpu")
    if settings.device == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def dtype_of(settings: LlmPolicySettings, device: torch.device) -> torch.dtype:
    """What is computed in."""
    if settings.dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.dtype]
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def check(settings: LlmPolicySettings) -> None:
    """Hold model, tokenizer and adapter against one another; headers alone are read of the weights.

    Raises:
        BadInput: a file is missing, the tokenizer is another model's, or the adapter is for another base.
    """
    if not (settings.model / "config.json").is_file():
        raise BadInput(
            f"ppo.policy.model {settings.model} holds no config.json; accepted: a model's folder with "
            "config.json, *.safetensors and a tokenizer"
        )
    check_model(settings.model, settings.model)
    shapes = shapes_in(settings.model)
    if settings.adapter is not None:
        _check_base(settings.adapter, settings.model)
        check_adapter(settings.adapter, shapes, _HIGHEST_RANK)
    load_words(settings.model)


def load_words(folder: Path) -> Words:
    """The tokenizer of a model's folder.

    Raises:
        BadInput: there is none, or it knows no chat template or no end.
    """
    from transformers import AutoTokenizer, GenerationConfig

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{folder}: no tokenizer ({_line(error)}); accepted: a model's folder with its own"
        ) from None
    if not tokenizer.chat_template:
        raise BadInput(
            f"the tokenizer in {folder} has no chat template, so a policy cannot be asked; accepted: an "
            "instruction-tuned model, or a tokenizer whose chat_template is set"
        )
    if tokenizer.eos_token_id is None:
        raise BadInput(f"the tokenizer in {folder} names no eos_token, so no answer would end; set one")
    ends = {int(tokenizer.eos_token_id)}
    if (folder / "generation_config.json").is_file():
        found = GenerationConfig.from_pretrained(folder).eos_token_id
        ends |= set(found if isinstance(found, list) else [] if found is None else [int(found)])
    pad = tokenizer.pad_token_id
    return Words(tokenizer, frozenset(ends), int(tokenizer.eos_token_id if pad is None else pad))


def load_causal(folder: Path, dtype: torch.dtype, words: Words, *, recompute: bool = False) -> Any:
    """The model on the CPU, without dropout, whose embeddings hold every token of the words.

    Raises:
        BadInput: it cannot be read, or the tokenizer is another model's.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        for name, value in vars(config).items():
            # Layers recompute in train mode alone, where dropout would change an answer's probability.
            if isinstance(value, float) and name.endswith(("dropout", "pdrop")):
                setattr(config, name, 0.0)
        causal = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"{folder}: no causal language model ({_line(error)})") from None
    rows = causal.get_input_embeddings().weight.shape[0]
    if len(words.tokenizer) > rows:
        raise BadInput(
            f"the tokenizer of {folder} has {len(words.tokenizer)} tokens and its model {rows} embeddings; "
            "accepted: a model and its own tokenizer"
        )
    if recompute:
        causal.activation_checkpointing_enable({"use_reentrant": False})
        return causal.train()
    return causal.eval()


def with_adapter(causal: Any, adapter: Path) -> Any:
    """The model with an adapter added into its weights."""
    peft = peft_library()
    with quiet():
        return peft.PeftModel.from_pretrained(causal, str(adapter)).merge_and_unload()


@contextmanager
def quiet() -> Iterator[None]:
    """Without what peft is warned of: it asks transformers by names that are about to change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def peft_library() -> Any:
    """The library of adapters.

    Raises:
        BadInput: it is not installed.
    """
    try:
        import peft
    except ImportError:
        raise BadInput(
            "training adapters needs the library peft; pip install 'atelier-ray[llm]', or set "
            "ppo.policy.lora=null to train all weights"
        ) from None
    return peft


def _check_base(adapter: Path, model: Path) -> None:
    try:
        named = str(
            json.loads((adapter / "adapter_config.json").read_bytes())["base_model_name_or_path"] or ""
        )
        own = json.loads((model / "config.json").read_bytes()).get("_name_or_path") or ""
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BadInput(
            f"ppo.policy.adapter {adapter}: no adapter ({_line(error)}); accepted: a folder in PEFT's form"
        ) from None
    names = {Path(name).name.lower() for name in (str(model), own) if name}
    if named and Path(named).name.lower() not in names:
        raise BadInput(
            f"the adapter in {adapter} is for another base model: it was made for {named!r}, and "
            f"ppo.policy.model is {model}; give its own base, or correct base_model_name_or_path if it is"
        )


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
