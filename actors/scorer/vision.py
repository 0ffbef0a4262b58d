"""A CLIP vision transformer whose padding cannot be seen, under OpenCLIP's own weight names.

The attention of `torch.nn.MultiheadAttention` takes no mask over keys alone that the fused kernels run
with; here it is [batch, 1, 1, tokens], True where a key may be seen. The class token always may, so no row is
without keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from actors.scorer.architecture import ImageShape
from actors.scorer.patches import Grid, PatchBatch
from actors.scorer.stem import Stem

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the RGB channels in 0..1, as OpenAI and OpenCLIP normalise them."""


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self attention with the parameters of `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """[batch, tokens, width] -> the same; `seen` [batch, 1, 1, tokens] is None where all tokens are."""
        batch, tokens, width = x.shape
        joint = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = joint.view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        answer: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return answer


class Block(nn.Module):
    """A pre-norm residual block."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        inner = int(shape.width * shape.mlp_ratio)
        self.ln_1, self.ln_2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.attn = Attention(shape.width, shape.heads)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(shape.width, inner))
        self.mlp.add_module("gelu", QuickGELU() if shape.quick_gelu else nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(inner, shape.width))

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """[batch, tokens, width] -> the same."""
        x = x + self.attn(self.ln_1(x), seen)
        after: Tensor = x + self.mlp(self.ln_2(x))
        return after


class _Blocks(nn.Module):
    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))


class VisionTower(nn.Module):
    """Patches of pictures -> their projected class tokens."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.shape = shape
        scale = shape.width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(shape.width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(shape.grid**2 + 1, shape.width))
        if shape.stem is None:
            self.conv1 = nn.Conv2d(3, shape.width, shape.patch, shape.patch, bias=False)
        else:
            self.stem = Stem(shape.stem, shape.width)
        self.ln_pre, self.ln_post = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.transformer = _Blocks(shape)
        self.proj = nn.Parameter(scale * torch.randn(shape.width, shape.output))

    def forward(self, batch: PatchBatch) -> Tensor:
        """[batch, output]."""
        projected: Tensor = self.ln_post(self.tokens(batch)[:, 0]) @ self.proj
        return projected

    def tokens(self, batch: PatchBatch) -> Tensor:
        """[batch, 1 + longest, width] after the last block: the class token, then the patches.

        What stands where a picture has no patch is meaningless.
        """
        device = self.class_embedding.device
        valid = torch.from_numpy(batch.valid).to(device)
        embedded, glance = self._embedded(batch)
        embedded = (embedded + self._places(batch.grids, valid.shape[1])) * valid[..., None]
        start = (self.class_embedding + self.positional_embedding[0]).expand(len(valid), 1, -1)
        if glance is not None:
            start = start + glance[:, None]
        x: Tensor = self.ln_pre(torch.cat([start, embedded.to(start.dtype)], 1))
        seen = None
        if not bool(batch.valid.all()):
            seen = functional.pad(valid, (1, 0), value=True)[:, None, None]
        for block in self.transformer.resblocks:
            x = block(x, seen)
        return x

    def _embedded(self, batch: PatchBatch) -> tuple[Tensor, Tensor | None]:
        """Each patch by itself, [batch, longest, width]; or, with a stem, with what is around it, and what a
        glance at the picture shows, [batch, width]."""
        if self.shape.stem is not None:
            found: tuple[Tensor, Tensor] = self.stem(batch, batch.pixels.shape[1])
            return found
        pixels = torch.from_numpy(batch.pixels).to(self.class_embedding.device)
        return functional.linear(self._normalised(pixels), self.conv1.weight.flatten(1)), None

    def _normalised(self, pixels: Tensor) -> Tensor:
        """uint8 [..., 3 * patch * patch] -> float, each channel shifted and scaled."""
        area = self.shape.patch**2
        mean = torch.tensor(MEAN, device=pixels.device).repeat_interleave(area)
        deviation = torch.tensor(DEVIATION, device=pixels.device).repeat_interleave(area)
        return pixels.float().div_(255).sub_(mean).div_(deviation)

    def _places(self, grids: Sequence[Grid], longest: int) -> Tensor:
        """The position embedding of each picture's patches, [batch, longest, width]."""
        places = {
            grid: functional.pad(self._grid(grid), (0, 0, 0, longest - len(grid))) for grid in set(grids)
        }
        return torch.stack([places[grid] for grid in grids])

    def _grid(self, grid: Grid) -> Tensor:
        learnt, side = self.positional_embedding[1:], self.shape.grid
        if (grid.rows, grid.cols) != (side, side):
            square = learnt.float().view(1, side, side, -1).permute(0, 3, 1, 2)
            size = (grid.rows, grid.cols)
            resized = functional.interpolate(square, size=size, mode="bicubic", antialias=True)
            learnt = resized.permute(0, 2, 3, 1).reshape(len(grid), -1)
        return learnt
