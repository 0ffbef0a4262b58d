"""A convolutional stem for small models: the hybrid of Dosovitskiy et al. (2021), section 3.1.

Pictures of one grid go through it together and without padding, so that padding cannot be seen here either.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actors.scorer.patches import Grid, PatchBatch

TONE, GRAIN, SPOTS, WHERE = 24, 16, 48, 16
"""Channels of tone and grain, of what is looked for anywhere, and of the coarse map that a glance keeps."""
_MAP, _ZONES = 6, 3


class Stem(nn.Module):
    """Patches of 2 * 16 px -> one vector each, and one of a glance at the whole picture.

    Three views of a patch are joined: shapes, from a picture halved and freed of its palette and light (each
    channel brought to zero mean and unit deviation); tone, its plain colours; grain, at full size. A glance
    joins what shapes there are on average and at most (what is there), a coarse map of them (where it is),
    their early features (texture), tone by zone, and how far the picture is from its mirror image.
    """

    def __init__(self, stem: int, width: int) -> None:
        super().__init__()
        early, deep = 2 * stem, 6 * stem
        self.shapes = nn.ModuleList(
            [
                nn.Conv2d(3, stem, 5, 2, 2),
                nn.Conv2d(stem, early, 3, 2, 1),
                nn.Conv2d(early, 4 * stem, 3, 2, 1),
                nn.Conv2d(4 * stem, deep, 3, 2, 1),
                nn.Conv2d(deep, deep, 3, 1, 1),
            ]
        )
        self.tone = nn.ModuleList([nn.Conv2d(3, TONE, 1), nn.Conv2d(TONE, TONE, 1)])
        self.grain = nn.Conv2d(3, GRAIN, 3, 1, 1)
        self.spots, self.where = nn.Conv2d(deep, SPOTS, 1), nn.Conv2d(deep, WHERE, 1)
        self.join = nn.Linear(deep + 2 * early + TONE + 2 * GRAIN, width)
        looked_at = 2 * deep + _MAP**2 * WHERE + 3 * early + _ZONES**2 * TONE + 3 + SPOTS
        self.glance = nn.Linear(looked_at, width)

    def forward(self, batch: PatchBatch, longest: int) -> tuple[Tensor, Tensor]:
        """[batch, longest, width], zero where a picture has no patch, and [batch, width]."""
        device = self.join.weight.device
        pixels = torch.from_numpy(batch.pixels).to(device)
        found = torch.zeros(len(batch.grids), longest, self.join.out_features, device=device)
        glances = torch.zeros(len(batch.grids), self.join.out_features, device=device)
        for grid in dict.fromkeys(batch.grids):
            rows = torch.tensor([i for i, other in enumerate(batch.grids) if other == grid], device=device)
            tokens, glance = self._look(_whole(pixels[rows, : len(grid)], grid))
            found = found.to(tokens.dtype).index_copy(
                0, rows, functional.pad(tokens, (0, 0, 0, longest - len(grid)))
            )
            glances = glances.to(glance.dtype).index_copy(0, rows, glance)
        return found, glances

    def _look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """[n, 3, height, width] in 0..1 -> [n, patches, width] and [n, width]."""
        free = _freed(functional.avg_pool2d(pictures, 2))
        shapes, early = free, free
        for place, convolution in enumerate(self.shapes):
            shapes = functional.relu(convolution(shapes))
            if place == 1:
                early = shapes
        tone = functional.avg_pool2d(pictures, 8)
        for convolution in self.tone:
            tone = functional.relu(convolution(tone))
        return self._tokens(pictures, shapes, early, tone), self._glance(free, shapes, early, tone)

    def _tokens(self, pictures: Tensor, shapes: Tensor, early: Tensor, tone: Tensor) -> Tensor:
        size = (shapes.shape[2], shapes.shape[3])
        grain = functional.relu(self.grain(pictures))
        tones = functional.adaptive_avg_pool2d(tone, size)
        views = torch.cat([shapes, *_pooled(early, size), tones, *_pooled(grain, size)], 1)
        tokens: Tensor = self.join(views.flatten(2).transpose(1, 2))
        return tokens

    def _glance(self, free: Tensor, shapes: Tensor, early: Tensor, tone: Tensor) -> Tensor:
        where = functional.adaptive_avg_pool2d(functional.relu(self.where(shapes)), _MAP)
        views = [
            *(shapes.mean((2, 3)), shapes.amax((2, 3))),
            where.flatten(1),
            *(early.mean((2, 3)), early.amax((2, 3)), early.square().mean((2, 3)).add(1e-6).sqrt()),
            functional.adaptive_avg_pool2d(tone, _ZONES).flatten(1),
            (free - free.flip(3)).abs().mean((2, 3)),
            self.spots(shapes).amax((2, 3)),
        ]
        glance: Tensor = self.glance(torch.cat(views, 1))
        return glance


def _whole(patches: Tensor, grid: Grid) -> Tensor:
    """uint8 [n, rows * cols, 3 * side * side] -> [n, 3, rows * side, cols * side] in 0..1."""
    side = round((patches.shape[2] / 3) ** 0.5)
    cells = patches.view(len(patches), grid.rows, grid.cols, 3, side, side).permute(0, 3, 1, 4, 2, 5)
    whole = cells.reshape(len(patches), 3, grid.rows * side, grid.cols * side)
    return whole.float().div(255).contiguous(memory_format=torch.channels_last)


def _pooled(x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    return functional.adaptive_avg_pool2d(x, size), functional.adaptive_max_pool2d(x, size)


def _freed(pictures: Tensor) -> Tensor:
    """Lightness and two colour differences, each with zero mean and unit deviation over the picture."""
    red, green, blue = pictures.unbind(1)
    planes = torch.stack([0.3 * red + 0.59 * green + 0.11 * blue, red - green, blue - green], 1)
    centred = planes - planes.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True).sqrt() + 0.03)
