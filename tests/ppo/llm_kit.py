"""Tiny random language models whose tokens are words, and a bandit whose best answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from actors.contracts import DistillRecord, Prompt, Query, Reward
from actors.policy.expander import default_strategy
from configs.ppo import LlmPolicySettings, LoraSettings
from train_jobs.ppo.llm.model import load_causal, load_words
from train_jobs.ppo.llm.networks import LlmNetworks
from train_jobs.ppo.networks import Texts
from train_jobs.training.ranks import ALONE, Ranks

torch.set_num_threads(1)
STRATEGY = default_strategy()
LORA = LoraSettings(rank=4, alpha=8)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content[-40:] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Chats by their ends: what a bandit's policy is told must not cost a thousand tokens."""
SAID = ("retro", "flat", "watercolour", "moon", "tree")


def tokenizer(words: tuple[str, ...] = SAID) -> Any:
    """Bytes, special tokens, and whole answers in JSON as tokens of their own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytewise = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    pieces = ['{"prompts": [{"text": "', '", "negative": ""}]}', *words]
    bytewise.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bytewise,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = TEMPLATE
    return fast


def write_model(folder: Path, *, seed: int = 0, tied: bool = True, kind: str = "llama", **sizes: int) -> Path:
    """A random model with its tokenizer, in Hugging Face form."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    words = tokenizer()
    fields: dict[str, Any] = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "tie_word_embeddings": tied,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": None,
        "dtype": "float32",
    } | sizes
    torch.manual_seed(seed)
    if kind == "llama":
        model: Any = LlamaForCausalLM(LlamaConfig(**fields))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**{"head_dim": 16, **fields}))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def policy(folder: Path, **change: Any) -> LlmPolicySettings:
    """Small settings, on the CPU."""
    fields: dict[str, Any] = {
        "model": folder,
        "lora": LORA,
        "device": "cpu",
        "longest_query": 256,
        "longest_answer": 12,
    }
    return LlmPolicySettings(**(fields | change))


def networks(settings: LlmPolicySettings, ranks: Ranks = ALONE, **more: Any) -> LlmNetworks:
    """The networks of a model's folder."""
    torch.manual_seed(0)
    causal = load_causal(settings.model, torch.float32, load_words(settings.model))
    return LlmNetworks(causal, settings, ranks, **more)


def texts(seed: int = 0, vocabulary: int = 250) -> Texts:
    """Queries of several lengths, two answers to each, of several lengths too."""
    dice = torch.Generator().manual_seed(seed)
    queries = torch.randint(vocabulary, (3, 7), generator=dice)
    seen = torch.arange(7) >= torch.tensor([[0], [4], [2]])
    answers = torch.randint(vocabulary, (6, 5), generator=dice)
    mask = torch.arange(5) < torch.tensor([[3], [4], [1], [2], [4], [3]])
    return Texts(queries, seen, torch.tensor([0, 0, 1, 1, 2, 2]), answers, mask)


def record(index: int, said: str = "retro") -> DistillRecord:
    """A winner whose prompt is one word."""
    query = Query.of(f"something {index}", lang="en")
    prompt = Prompt.of(said, query=query, strategy_id=STRATEGY.id, policy_version="t")
    worth = Reward(value=0.9, admitted=True, gates={}, picture=0.9, prompt=1.0, parts={})
    return DistillRecord(query=query, prompt=prompt, reward=worth, strategy=STRATEGY, seed=0)


def write_adapter(folder: Path, *, base: str, width: int = 32, rank: int = 4) -> Path:
    """An adapter of both query projections, in PEFT's form."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    stems = [f"base_model.model.model.layers.{layer}.self_attn.q_proj" for layer in range(2)]
    tensors = {f"{stem}.lora_A.weight": torch.ones(rank, width) for stem in stems}
    tensors |= {f"{stem}.lora_B.weight": torch.ones(32, rank) * 0.1 for stem in stems}
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": ["q_proj"],
        "base_model_name_or_path": base,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return folder
