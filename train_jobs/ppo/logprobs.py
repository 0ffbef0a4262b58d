"""Log-probabilities of chosen tokens and entropy from logits, under a grammar if there is one. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from actors.errors import BadInput

CHUNK = 2**24
"""Logits worked on at a time: 64 MiB in float32."""


@dataclass(frozen=True)
class TokenLogProbs:
    """[sequences, tokens] each, float32 or better; both carry gradients."""

    log_probs: Tensor
    """Of the chosen tokens, nats; -inf of a token that is not allowed."""
    entropy: Tensor
    """Of the distribution over the vocabulary, nats, 0 or more; 0 where no token is allowed."""


def token_log_probs(
    logits: Tensor,
    tokens: Tensor,
    temperature: float = 1.0,
    allowed: Tensor | None = None,
    chunk: int = CHUNK,
) -> TokenLogProbs:
    """What a policy that samples at this temperature, from the allowed tokens, says of the chosen ones.

    Beside the logits and their gradient, memory is needed for one chunk: the softmax of a chunk is thrown
    away and computed again for the gradient.

    Args:
        logits: any floating type, [sequences, tokens, vocabulary]; -inf is probability 0.
        tokens: chosen at each place, [sequences, tokens] int64, in the vocabulary also under padding.
        temperature: that of the sampling, above 0.
        allowed: tokens of the grammar, [sequences, tokens, vocabulary] bool; the others have probability
            exactly 0 and gradient exactly 0. Where none is allowed all gradients are 0.
        chunk: logits worked on at a time.

    Raises:
        BadInput: the shapes do not fit, a token is not in the vocabulary, or the temperature is not above 0.
    """
    _refuse_misfits(logits, tokens, temperature, allowed)
    _, places, vocabulary = logits.shape

    def of_steps(*pieces: Tensor) -> Tensor:
        return checkpoint(_of_piece, temperature, *pieces, use_reentrant=False, preserve_rng_state=False)

    def of_sequences(*pieces: Tensor) -> Tensor:
        return _in_pieces(of_steps, max(1, chunk // vocabulary), 1, pieces)

    given = (logits, tokens) if allowed is None else (logits, tokens, allowed)
    log_probs, entropy = _in_pieces(of_sequences, max(1, chunk // max(1, places * vocabulary)), 0, given)
    return TokenLogProbs(log_probs, entropy)


def _in_pieces(of: Callable[..., Tensor], size: int, dim: int, given: Sequence[Tensor]) -> Tensor:
    # Split, neither flattened nor sliced: `logits[:, :-1]` would be copied, and the gradient of every slice
    # would be as large as all logits.
    pieces = zip(*(torch.split(tensor, size, dim) for tensor in given), strict=True)
    return torch.cat([of(*piece) for piece in pieces], dim + 1)


def _of_piece(temperature: float, logits: Tensor, chosen: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Log-probabilities and entropy, [2, sequences, tokens]."""
    scaled = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    if allowed is not None:
        scaled = scaled.masked_fill(~allowed, -math.inf)
    dead = scaled.isneginf().all(dim=-1)
    # The softmax of a row that is all -inf is NaN, and so would be its gradient.
    every = scaled.masked_fill(dead.unsqueeze(-1), 0.0).log_softmax(dim=-1)
    log_probs = every.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    # 0 * -inf is NaN; p log p is 0 there.
    entropy = -(every.exp() * every.masked_fill(every.isneginf(), 0.0)).sum(dim=-1)
    return torch.stack((log_probs.masked_fill(dead, -math.inf), entropy.masked_fill(dead, 0.0)))


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
