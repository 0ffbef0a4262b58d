"""A small causal transformer, Llama's architecture with Llama's own weight names (Touvron et al. 2023, arXiv
2302.13971), so that any loader of Llama checkpoints reads it and it needs no import but torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, [B, heads, L, head size]."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of the transformer."""

    vocabulary: int
    width: int = 128
    hidden: int = 352
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
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


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
        self, x: Tensor, rope: tuple[Tensor, Tensor], seen: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """`x` [B, L, width]; `seen` [B, 1, L, past + L], true where a key may be looked at."""
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _rotate(q, rope), _rotate(k, rope)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
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
        self, x: Tensor, rope: tuple[Tensor, Tensor], seen: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `Attention.forward`."""
        mixed, kept = self.self_attn(self.input_layernorm(x), rope, seen, past)
        x = x + mixed
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

    def forward(self, ids: Tensor, mask: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Hidden states of the new tokens.

        Args:
            ids: [B, L] new tokens, padded anywhere.
            mask: [B, past + L] bool, false at padding, the past's included.
            cache: of the past, as returned by the call before.

        Returns:
            [B, L, width], and the cache with the new tokens.
        """
        length = ids.shape[1]
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
        rope = _angles(positions, self.shape)
        causal = torch.ones(length, mask.shape[1], dtype=torch.bool, device=ids.device)
        causal = causal.tril(mask.shape[1] - length)
        seen = (causal & mask[:, None, :])[:, None]
        # A padding token looks at itself: a row that sees nothing would be NaN.
        itself = torch.eye(length, dtype=torch.bool, device=ids.device)
        seen = seen | F.pad(itself, (mask.shape[1] - length, 0))
        x = self.embed_tokens(ids)
        kept: Cache = []
        for i, layer in enumerate(self.layers):
            x, pair = layer(x, rope, seen, cache[i] if cache else None)
            kept.append(pair)
        return self.norm(x), kept


class CausalLm(nn.Module):
    """The trunk under a head that shares the embeddings."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.model = Trunk(shape)

    def forward(self, ids: Tensor, mask: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Logits [B, L, vocabulary] of the token after each, and the cache; arguments as `Trunk.forward`."""
        hidden, cache = self.model(ids, mask, cache)
        return hidden @ self.model.embed_tokens.weight.T, cache


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


def _angles(positions: Tensor, shape: Architecture) -> tuple[Tensor, Tensor]:
    """Cosine and sine [B, 1, L, head size] of the rotary positions (Su et al. 2021, arXiv 2104.09864)."""
    size = shape.width // shape.heads
    rates = shape.rope_theta ** (-torch.arange(0, size, 2, device=positions.device) / size)
    angles = (positions[:, None, :, None] * rates).repeat(1, 1, 1, 2)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * rope[0] + torch.cat([-second, first], dim=-1) * rope[1]
