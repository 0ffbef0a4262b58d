"""The parts of a training run that are a language model's own.

`start/` holds the winners (`lessons.jsonl`) and, once the ranks have learnt them, the warmed-up model
(`model/`), which is the base of the adapters and the reference of what follows. `engine/` holds what an
engine was given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from actors.contracts import DistillRecord
from configs.ppo import LlmPolicySettings, PpoSettings
from train_jobs.ppo.lessons import read_records
from train_jobs.ppo.llm.checkpoint import CARD, save_model
from train_jobs.ppo.llm.engine import EngineSampler
from train_jobs.ppo.llm.model import Words, check, device_of, dtype_of, load_causal, load_words, with_adapter
from train_jobs.ppo.llm.networks import LlmNetworks
from train_jobs.ppo.llm.sampling import LocalSampler, Sampler
from train_jobs.ppo.llm.speech import LlmSpeech
from train_jobs.ppo.llm.texts import Chat
from train_jobs.ppo.llm.warm_start import distinct, warm_start
from train_jobs.training.optimiser import Tensors
from train_jobs.training.ranks import Ranks

Tell = Callable[[str, int, int], None]
LESSONS, MODEL, ENGINE = "lessons.jsonl", "model", "engine"
_SAMPLED = 8
"""Times as many tokens are sampled at once as are learnt from: nothing is kept for gradients."""


def begin(policy: LlmPolicySettings, records: Sequence[DistillRecord], start: Path) -> None:
    """Hold everything against one another that a training needs, and write the winners down.

    Raises:
        BadInput: there is no winner or one is too long; or model, tokenizer and adapter do not fit.
    """
    check(policy)
    chat = Chat(load_words(policy.model), policy)
    lessons = distinct(records)
    for each in lessons:
        chat.query(each.query)
        chat.answer(each.prompt)
    start.mkdir(parents=True, exist_ok=True)
    temporary = start / f"{LESSONS}.tmp"
    temporary.write_text("".join(each.model_dump_json() + "\n" for each in lessons), "utf-8")
    temporary.replace(start / LESSONS)


def opened(
    settings: PpoSettings, policy: LlmPolicySettings, start: Path, folder: Path, ranks: Ranks, tell: Tell
) -> tuple[LlmNetworks, LlmSpeech]:
    """Networks and speech of a warmed-up policy; the ranks warm it up together, if that is still to be done.

    Args:
        start: what `begin` made; all ranks see it.
        folder: the run's.

    Raises:
        BadInput: there is no GPU, no peft, or a damaged file.
        StageFailed: the warm start broke, see `warm_start`.
    """
    words = load_words(policy.model)
    chat = Chat(words, policy)
    if not (start / MODEL / CARD).is_file():
        _warm_up(settings, policy, chat, start, folder, ranks, tell)
    networks = LlmNetworks(_load(start / MODEL, policy, words), policy, ranks)
    longest = policy.longest_answer
    sampler: Sampler
    if policy.engine is not None:
        sampler = EngineSampler(
            policy.engine, networks, start / MODEL, folder / ENGINE, longest=longest, ranks=ranks
        )
    else:
        rows = max(1, _SAMPLED * settings.micro_tokens // (policy.longest_query + longest))
        sampler = LocalSampler(networks, longest=longest, ends=words.ends, pad=words.pad, rows=rows)
    return networks, LlmSpeech(chat, policy, sampler)


def finish(
    policy: LlmPolicySettings, start: Path, actor: Tensors, folder: Path, card: Mapping[str, Any]
) -> Path:
    """Write the trained policy as one plain model with its tokenizer.

    Args:
        actor: of the last checkpoint.
        folder: becomes that model's.
    """
    here = policy.model_copy(update={"device": "cpu", "dtype": "float32", "recompute": False})
    networks = LlmNetworks(_load(start / MODEL, here, load_words(start / MODEL)), here, critic=False)
    networks.restore({"actor": actor})
    return save_model(folder, networks.whole(), start / MODEL, card)


def _warm_up(
    settings: PpoSettings,
    policy: LlmPolicySettings,
    chat: Chat,
    start: Path,
    folder: Path,
    ranks: Ranks,
    tell: Tell,
) -> None:
    causal = _load(policy.model, policy, chat.words)
    if policy.adapter is not None:
        causal = with_adapter(causal, policy.adapter)
    networks = LlmNetworks(causal, policy, ranks, critic=False)
    records = read_records(start / LESSONS)
    warm_start(
        networks,
        chat,
        records,
        settings,
        ranks,
        folder,
        lambda step, steps, metrics: tell("warm start, steps", step, steps),
    )
    weights = networks.whole()
    if ranks.rank == 0:
        save_model(start / MODEL, weights, policy.model, {"stage": "warm start", "lessons": len(records)})
    ranks.sum(torch.zeros(1))  # the others read what the first has written


def _load(folder: Path, policy: LlmPolicySettings, words: Words) -> Any:
    """Weights that all learn are kept in float32: bfloat16 would lose most of a small step."""
    dtype = torch.float32 if policy.lora is None else dtype_of(policy, device_of(policy))
    return load_causal(folder, dtype, words, recompute=policy.recompute)
