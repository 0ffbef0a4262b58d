"""Log-probabilities of chosen tokens and entropy from logits, under a grammar if there is one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from actors.errors import BadInput

CHUNK = 2**24
"""Logits worked on at a time: 64 MiB in float32."""


@dataclass(frozen=True)
class TokenLogProbs:
    """[sequences, tokens] each, float32 or better; all carry gradients."""

    log_probs: Tensor
    """Of the chosen tokens, nats; -inf of a token that is not allowed."""
    entropy: Tensor
    """Of the distribution over the vocabulary, nats, 0 or more; 0 where no token is allowed, and where it was
    not asked for."""
    mean: Tensor
    """Log-probability of an allowed token that is not impossible, on average, nats; 0 where there is none,
    and where it was not asked for."""


def token_log_probs(
    logits: Tensor,
    tokens: Tensor,
    temperature: float = 1.0,
    allowed: Tensor | None = None,
    chunk: int = CHUNK,
    *,
    entropy: bool = False,
    mean: bool = False,
) -> TokenLogProbs:
    """What a policy that samples at this temperature, from the allowed tokens, says of the chosen ones.

    Beside the logits and their gradient, memory is needed for a few copies of one chunk: the softmax of a
    chunk is thrown away and computed again for the gradient.

    Args:
        logits: any floating type, [sequences, tokens, vocabulary]; -inf is probability 0.
        tokens: chosen at each place, [sequences, tokens] int64, in the vocabulary also under padding.
        temperature: that of the sampling, above 0.
        allowed: tokens of the grammar, [sequences, tokens, vocabulary] bool; the others have probability
            exactly 0 and gradient exactly 0. Where none is allowed all gradients are 0.
        chunk: logits worked on at a time.
        entropy, mean: whether it is wanted, which takes a pass more over the logits.

    Raises:
        BadInput: the shapes do not fit, a token is not in the vocabulary, or the temperature is not above 0.
    """
    _refuse_misfits(logits, tokens, temperature, allowed)
    return TokenLogProbs(*_Said.apply(logits, tokens, allowed, temperature, chunk, entropy, mean))


class _Said(torch.autograd.Function):
    """Log-probabilities and more of them, their gradient by hand: nothing as large as the logits is kept.

    With p the probabilities, the logits' gradient is (chosen - p) / temperature of a log-probability,
    -p (log p + entropy) / temperature of an entropy, and (1 / n - p) / temperature of the mean over n tokens.
    """

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        chosen: Tensor,
        allowed: Tensor | None,
        temperature: float,
        chunk: int,
        of_entropy: bool,
        of_mean: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        log_probs = torch.empty(chosen.shape, dtype=_wide(logits), device=logits.device)
        entropy, mean = torch.zeros_like(log_probs), torch.zeros_like(log_probs)
        for part in _parts(logits.shape, chunk):
            scaled = _scaled(logits, allowed, temperature, part)
            token = chosen[part].unsqueeze(-1)
            impossible = scaled.gather(-1, token).squeeze(-1).isneginf()
            finite = _finite(scaled)
            every = finite.log_softmax(dim=-1)
            log_probs[part] = every.gather(-1, token).squeeze(-1).masked_fill(impossible, -math.inf)
            if of_entropy:
                dead = scaled.amax(dim=-1).isneginf()
                entropy[part] = -torch.linalg.vecdot(finite.softmax(dim=-1), every).masked_fill(dead, 0.0)
            if of_mean:
                mean[part] = torch.linalg.vecdot(_even(scaled), every)
        ctx.save_for_backward(logits, chosen, allowed, log_probs, entropy)
        ctx.temperature, ctx.chunk = temperature, chunk
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*([] if of_entropy else [entropy]), *([] if of_mean else [mean]))
        return log_probs, entropy, mean

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, of_log_probs: Tensor | None, of_entropy: Tensor | None, of_mean: Tensor | None
    ) -> tuple[Any, ...]:
        logits, chosen, allowed, log_probs, entropy = ctx.saved_tensors
        # What is impossible stays so whatever the logits; an entropy of 0 is at its least, or of no token.
        first = None if of_log_probs is None else of_log_probs.masked_fill(log_probs.isneginf(), 0.0)
        second = None if of_entropy is None else of_entropy.masked_fill(entropy == 0, 0.0)
        gradient = torch.empty_like(logits)
        for part in _parts(logits.shape, ctx.chunk):
            scaled = _scaled(logits, allowed, ctx.temperature, part)
            finite = _finite(scaled)
            share = finite.softmax(dim=-1)
            slope = torch.zeros_like(share) if first is None else share * -first[part].unsqueeze(-1)
            if first is not None:
                slope.scatter_add_(-1, chosen[part].unsqueeze(-1), first[part].unsqueeze(-1))
            if second is not None:
                turned = finite.log_softmax(dim=-1).add_(entropy[part].unsqueeze(-1)).mul_(share)
                slope.addcmul_(turned, second[part].unsqueeze(-1), value=-1)
            if of_mean is not None:
                even = _even(scaled)
                live = even.any(dim=-1, keepdim=True)
                slope.addcmul_((even - share).mul_(live), of_mean[part].unsqueeze(-1))
            gradient[part] = slope if ctx.temperature == 1 else slope.div_(ctx.temperature)
        return gradient, None, None, None, None, None, None


def _parts(shape: Sequence[int], chunk: int) -> Iterator[tuple[slice, slice]]:
    """Sequences and places of a chunk of logits: whole sequences, or places of one."""
    sequences, places, vocabulary = shape
    rows, columns = max(1, chunk // max(1, places * vocabulary)), max(1, chunk // vocabulary)
    for row in range(0, sequences, rows):
        for column in range(0, places, columns):
            yield slice(row, row + rows), slice(column, column + columns)


def _scaled(logits: Tensor, allowed: Tensor | None, temperature: float, part: tuple[slice, slice]) -> Tensor:
    """What the softmax is taken of, -inf where the probability is 0; the logits themselves where they are."""
    scaled = logits[part].to(_wide(logits))
    if temperature != 1:
        scaled = scaled / temperature
    return scaled if allowed is None else scaled.masked_fill(~allowed[part], -math.inf)


def _finite(scaled: Tensor) -> Tensor:
    """The same without infinities: 0 * -inf is NaN, and so is the softmax of a row that is all -inf."""
    return scaled.clamp(min=torch.finfo(scaled.dtype).min)


def _even(scaled: Tensor) -> Tensor:
    """The uniform distribution over what is not impossible; 0 where nothing is possible."""
    free = ~scaled.isneginf()
    return free / free.sum(dim=-1, keepdim=True).clamp(min=1).to(scaled.dtype)


def _wide(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


def _refuse_misfits(logits: Tensor, tokens: Tensor, temperature: float, allowed: Tensor | None) -> None:
    fits = logits.ndim == 3 and logits.shape[2] > 0 and tokens.shape == logits.shape[:2]
    if not fits or not logits.is_floating_point():
        raise BadInput(
            f"logits of shape {tuple(logits.shape)} {logits.dtype} for tokens of shape "
            f"{tuple(tokens.shape)}; accepted: [sequences, tokens, vocabulary] and [sequences, tokens]"
        )
    if tokens.dtype != torch.int64:
        raise BadInput(f"tokens of type {tokens.dtype}; accepted: torch.int64")
    if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < logits.shape[2]:
        raise BadInput(
            f"tokens from {int(tokens.min())} to {int(tokens.max())}; accepted: 0 to {logits.shape[2] - 1}, "
            "also under padding"
        )
    if allowed is not None and (allowed.shape != logits.shape or allowed.dtype != torch.bool):
        raise BadInput(
            f"allowed tokens of shape {tuple(allowed.shape)} {allowed.dtype} for logits of shape "
            f"{tuple(logits.shape)}; accepted: the same shape, torch.bool"
        )
    if not 0 < temperature < math.inf:
        raise BadInput(f"a temperature of {temperature}; accepted: above 0")
