"""A small causal transformer, Llama's architecture with Llama's own weight names (Touvron et al. 2023, arXiv
2302.13971), so that any loader of Llama checkpoints reads it and it needs no import but torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, [B, heads, L, head size]."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of the transformer."""

    vocabulary: int
    width: int = 144
    hidden: int = 400
    layers: int = 4
    heads: int = 4
    rope_theta: float = 10_000.0
    eps: float = 1e-6


class RmsNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same."""
        out: Tensor = _Normed.apply(x, self.weight, self.eps)
        return out


class _Normed(torch.autograd.Function):
    """The norm, its gradient by hand: torch's own is made of parts, which read the numbers twice as often."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = (torch.linalg.vecdot(x, x) / x.shape[-1] + eps).rsqrt_().unsqueeze(-1)
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        out: Tensor = normed * weight
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        normed, scale, weight = ctx.saved_tensors
        of_weight = (gradient * normed).flatten(0, -2).sum(0)
        inner = gradient * weight
        along = torch.linalg.vecdot(inner, normed).unsqueeze(-1)
        return torch.addcmul(inner, normed, along, value=-1 / normed.shape[-1]).mul_(scale), of_weight, None


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(
        self, x: Tensor, rope: Tensor, bias: Tensor, past: tuple[Tensor, Tensor] | None, last: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What the last tokens find, [B, last, width], and the keys and values of all.

        Args:
            x: [B, L, width].
            rope: see `_angles`.
            bias: [B, 1, L, past + L], -inf where a key may not be looked at, else 0.
        """
        q, k, v = (
            project(of).unflatten(-1, (self.heads, -1))
            for project, of in ((self.q_proj, _last(x, last)), (self.k_proj, x), (self.v_proj, x))
        )
        q, k = _rotate(q, _last(rope, last, 1)), _rotate(k, rope)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=_last(bias, last))
        return self.o_proj(mixed.transpose(1, 2).flatten(-2)), (k, v)


class Mlp(nn.Module):
    """Gated feed-forward (SwiGLU, Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same."""
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(shape.width, shape.eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RmsNorm(shape.width, shape.eps)
        self.mlp = Mlp(shape)

    def forward(
        self, x: Tensor, rope: Tensor, bias: Tensor, past: tuple[Tensor, Tensor] | None, last: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `Attention.forward`."""
        mixed, kept = self.self_attn(self.input_layernorm(x), rope, bias, past, last)
        x = _last(x, last) + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), kept


class Trunk(nn.Module):
    """Embeddings, layers and the last norm."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape.width, shape.eps)
        self.apply(_start)

    def forward(
        self, ids: Tensor, mask: Tensor, cache: Cache | None = None, last: int | None = None
    ) -> tuple[Tensor, Cache]:
        """Hidden states of new tokens.

        Args:
            ids: [B, L] new tokens, padded anywhere.
            mask: [B, past + L] bool, false at padding, the past's included.
            cache: of the past, as returned by the call before.
            last: how many of the last tokens are asked for; None = all.

        Returns:
            [B, last, width], and the cache with all new tokens.
        """
        length, places = ids.shape[1], mask.shape[1]
        causal = torch.ones(length, places, dtype=torch.bool, device=ids.device).tril(places - length)
        # A padding token looks at itself: a row that sees nothing would be NaN.
        itself = F.pad(torch.eye(length, dtype=torch.bool, device=ids.device), (places - length, 0))
        seen = ((causal & mask[:, None, :]) | itself)[:, None]
        x = self.embed_tokens(ids)
        # As numbers: each layer would make them of a bool by itself.
        bias = torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill_(~seen, -torch.inf)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, places - length :]
        rope = _angles(positions, places, self.shape)
        kept: Cache = []
        for i, layer in enumerate(self.layers):
            # Of a token that is not asked for, the top layer owes the others its key and value.
            top = i == len(self.layers) - 1 and last is not None
            x, pair = layer(x, rope, bias, cache[i] if cache else None, last if top else length)
            kept.append(pair)
        return self.norm(x), kept


class CausalLm(nn.Module):
    """The trunk under a head that shares the embeddings."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.model = Trunk(shape)

    def forward(
        self, ids: Tensor, mask: Tensor, cache: Cache | None = None, last: int | None = None
    ) -> tuple[Tensor, Cache]:
        """Logits [B, last, vocabulary] of the token after each, and the cache; see `Trunk.forward`."""
        hidden, cache = self.model(ids, mask, cache, last)
        return hidden @ self.model.embed_tokens.weight.T, cache


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.06)


def _last(x: Tensor, count: int, dim: int = -2) -> Tensor:
    """The last places along a dimension; all are not sliced, since a slice costs a copy of the gradient."""
    return x if count == x.shape[dim] else x.narrow(dim, -count, count)


def _angles(positions: Tensor, places: int, shape: Architecture) -> Tensor:
    """Rotary positions [B, L], all below `places` (Su et al. 2021, arXiv 2104.09864).

    Returns:
        [B, L, 2, heads, head size]: the cosine, and the sine with the sign that `_rotate` wants. Each head
        has a copy: numbers that lie as those they meet are multiplied three times as fast.
    """
    size, device = shape.width // shape.heads, positions.device
    rates = shape.rope_theta ** (-torch.arange(0, size, 2, device=device) / size)
    angles = torch.arange(places, device=device)[:, None] * rates
    cos, sin = angles.cos(), angles.sin()
    table = torch.stack((torch.cat((cos, cos), 1), torch.cat((-sin, sin), 1)), 1)
    copies = table[:, :, None].expand(-1, -1, shape.heads, -1)
    return F.embedding(positions, copies.flatten(1)).view(*positions.shape, *copies.shape[1:])


def _rotate(x: Tensor, rope: Tensor) -> Tensor:
    """[B, L, heads, head size]: each number of a head's first half is turned together with that of the
    second."""
    cos, sin = rope.unbind(2)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
