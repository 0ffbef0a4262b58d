"""Tiny random models with tokenizers of their own, written as a hub would hold them.

transformers is imported where it is used: the usual tests collect this folder and run none of it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% else %}<image>{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIDE = 56
"""Pixels of a side of what the tiny judge sees."""
PLAIN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(template: str = PLAIN_TEMPLATE) -> Any:
    """Bytes, and the few special tokens that a chat needs."""
    from transformers import PreTrainedTokenizerFast

    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytewise = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=[
            "<|im_start|>",
            "<image>",
            "<fake_token_around_image>",
            "<global-img>",
            "<end_of_utterance>",
        ],
    )
    fast.chat_template = template
    return fast


def text_config(vocabulary: Any) -> Any:
    """Two layers, heads of 64: the narrowest that vLLM's attention takes on a CPU."""
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=vocabulary.eos_token_id,
        pad_token_id=vocabulary.pad_token_id,
        bos_token_id=None,
        dtype="float32",
    )


def write_qwen(folder: Path, seed: int = 0) -> Path:
    """A random Qwen3 whose answers differ by seed."""
    from transformers import Qwen3ForCausalLM

    words = tokenizer()
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(text_config(words))
    _stir(model)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def write_idefics(folder: Path) -> Path:
    """A random Idefics3: a SigLIP tower over 4 by 4 patches, four tokens a picture, before a Llama."""
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    words = tokenizer(TEMPLATE)
    torch.manual_seed(0)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 1,
            "image_size": SIDE,
            "patch_size": 14,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(words),
            "hidden_size": 128,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 4096,
            "eos_token_id": words.eos_token_id,
            "bos_token_id": None,
            "pad_token_id": words.pad_token_id,
        },
        scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"),
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=False,
        dtype="float32",
    )
    model = Idefics3ForConditionalGeneration(config)
    _stir(model)
    model.generation_config.eos_token_id = words.eos_token_id
    model.save_pretrained(folder)
    edge = {"longest_edge": SIDE}
    eyes = Idefics3ImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False)
    Idefics3Processor(eyes, words, image_seq_len=4).save_pretrained(folder)
    return folder


def weights(folder: Path) -> list[bytes]:
    """A model's tensors in two chunks, as bytes."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    return [save({name: tensors[name] for name in half}) for half in (names[::2], names[1::2])]


def write_adapter(folder: Path, *, rank: int = 4, width: int = 128, strength: float = 1.0) -> Path:
    """A LoRA adapter over both query projections, in PEFT's form."""
    folder.mkdir(parents=True)
    torch.manual_seed(1)
    tensors = {}
    for layer in range(2):
        stem = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, width) * strength
        tensors[f"{stem}.lora_B.weight"] = torch.randn(128, rank) * strength
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj"],
        "base_model_name_or_path": "tiny",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return folder


def _stir(model: torch.nn.Module) -> None:
    """Weights wide enough that the likeliest token is no matter of rounding."""
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
