"""The warm start of a language model: it learns to answer with the winners' prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from actors.contracts import DistillRecord
from actors.errors import BadInput, StageFailed
from actors.policy.tiny.sampling import pad_left
from configs.ppo import PpoSettings
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.dump import dump
from train_jobs.ppo.llm.networks import LlmNetworks
from train_jobs.ppo.llm.texts import Chat, pad_right
from train_jobs.ppo.networks import Texts
from train_jobs.ppo.warm_start import Progress, batches
from train_jobs.training.optimiser import gathered
from train_jobs.training.ranks import ALONE, Ranks


def distinct(records: Sequence[DistillRecord]) -> list[DistillRecord]:
    """One of each query and prompt.

    Raises:
        BadInput: there is none.
    """
    if not records:
        raise BadInput(
            "no winner to warm the policy up with; accepted: a run of `atelier evolve` whose "
            "distill/records.jsonl holds some"
        )
    found = {(each.query.id, each.prompt.text, each.prompt.negative): each for each in records}
    return list(found.values())


def warm_start(
    networks: LlmNetworks,
    chat: Chat,
    records: Sequence[DistillRecord],
    settings: PpoSettings,
    ranks: Ranks = ALONE,
    folder: Path | None = None,
    progress: Progress = lambda step, steps, metrics: None,
) -> None:
    """Minimise the negative log-likelihood of the winners' answers, in place.

    Args:
        records: the same on every rank, which share each batch.
        folder: where a batch is left whose loss is not finite.

    Raises:
        StageFailed: a loss is not finite; the message names the batch's folder.
    """
    room = settings.warm_start
    parameters = list(networks.trained["actor"].values())
    optimiser = torch.optim.AdamW(parameters, lr=room.lr, weight_decay=room.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / room.steps))
    )
    for step, batch in enumerate(batches(distinct(records), room, settings.seed)):
        texts = _texts(batch[ranks.rank :: ranks.size], chat)
        mine = Whole.of(texts.mask)
        sizes = ranks.sum(torch.tensor([mine.tokens, mine.sequences]))
        whole = Whole(int(sizes[0]), int(sizes[1]))
        optimiser.zero_grad(set_to_none=False)
        loss = torch.zeros(1, dtype=torch.float64)
        for part, _ in networks.parts(texts, settings.micro_tokens):
            share = aggregate(-networks.log_probs(part).log_probs, part.mask, whole)
            share.backward()  # type: ignore[no-untyped-call]
            loss += share.detach()
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            if not networks.sharded:
                ranks.sum(parameter.grad)
        norm = float(gathered(nn.utils.clip_grad_norm_(parameters, room.clip)))
        value = float(ranks.sum(loss))
        if not math.isfinite(value + norm):
            raise _broken(texts, step, value, norm, ranks, folder)
        optimiser.step()
        schedule.step()
        progress(step + 1, room.steps, {"loss": value})


def _texts(records: Sequence[DistillRecord], chat: Chat) -> Texts:
    """Queries and answers to learn by heart, an answer each; at least one, that no rank is without work."""
    pad = chat.words.pad
    if not records:
        none = torch.zeros(0, 1, dtype=torch.int64)
        return Texts(none, none.bool(), none[:, 0], none, none.bool())
    queries, seen = pad_left([chat.query(each.query) for each in records], pad)
    answers, mask = pad_right([chat.answer(each.prompt) for each in records], pad)
    return Texts(queries, seen, torch.arange(len(records)), answers, mask)


def _broken(
    texts: Texts, step: int, loss: float, norm: float, ranks: Ranks, folder: Path | None
) -> StageFailed:
    tensors = {name: getattr(texts, name) for name in ("queries", "seen", "of", "answers", "mask")}
    place = folder and folder / f"broken-warm-start-{step}-rank-{ranks.rank}"
    problem = f"warm start, step {step}: the loss {loss} or its gradient {norm} is not finite"
    left = dump(place, tensors, {"problem": problem, "step": step, "rank": ranks.rank, "loss": loss})
    return StageFailed(f"{problem}; {left}; lower ppo.warm_start.lr, or look at the batch")
