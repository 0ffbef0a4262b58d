"""The warm start: a policy learns by heart what the search's winners said (supervised fine-tuning)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.sampling import pad_left
from actors.policy.tiny.tokens import Tokens
from actors.policy.tiny.worker import grammar_of
from configs.ppo import WarmStartSettings
from train_jobs.ppo.aggregation import Whole, aggregate
from train_jobs.ppo.lessons import Lesson
from train_jobs.ppo.networks import Texts, answer_log_probs

T = TypeVar("T")
Progress = Callable[[int, int, dict[str, float]], None]
"""`progress(step, steps, metrics)`."""


def warm_start(
    model: CausalLm,
    tokens: Tokens,
    lessons: Sequence[Lesson],
    settings: WarmStartSettings,
    seed: int,
    progress: Progress = lambda step, steps, metrics: None,
) -> None:
    """Minimise the negative log-likelihood of the lessons' answers under the grammar, in place."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    )
    model.train()
    for step, batch in enumerate(batches(lessons, settings, seed)):
        blur = random.Random(f"{seed} blur {step}")
        queries, seen = pad_left([tokens.query(each.query, blur) for each in batch], tokens.pad)
        answers, mask = _pad_right([tokens.answer(each.values) for each in batch], tokens.pad)
        grammar = grammar_of(tokens, [each.query for each in batch])
        texts = Texts(queries, seen, torch.arange(len(batch)), answers, mask, grammar)
        said = answer_log_probs(model, texts, tokens.pad)
        loss = aggregate(-said.log_probs, mask, Whole.of(mask))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimiser.step()
        schedule.step()
        progress(step + 1, settings.steps, {"loss": float(loss.detach())})
    model.eval()


def batches(lessons: Sequence[T], settings: WarmStartSettings, seed: int) -> Iterator[list[T]]:
    """Every lesson once an epoch, in another order each time."""
    rng = random.Random(f"{seed} lessons")
    waiting: list[T] = []
    for _ in range(settings.steps):
        while len(waiting) < settings.batch:
            waiting += rng.sample(list(lessons), len(lessons))
        yield waiting[: settings.batch]
        del waiting[: settings.batch]


def _pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, rows))
    ids = torch.tensor([list(row) + [pad] * (length - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    return ids, mask
