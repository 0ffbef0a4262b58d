"""A convolutional stem for small models: the hybrid of Dosovitskiy et al. (2021), section 3.1.

Pictures of one grid go through it together and without padding, so that padding cannot be seen here either.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actors.scorer.patches import Grid, PatchBatch

_TONE, _GRAIN = 24, 16


class Stem(nn.Module):
    """Patches of 2 * 16 px -> one vector each.

    Three views of a patch are joined: shapes, from a picture halved and freed of its palette and light (each
    channel brought to zero mean and unit deviation); tone, its plain colours; grain, at full size.
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
        self.tone = nn.ModuleList([nn.Conv2d(3, _TONE, 1), nn.Conv2d(_TONE, _TONE, 1)])
        self.grain = nn.Conv2d(3, _GRAIN, 3, 1, 1)
        self.join = nn.Linear(deep + 2 * early + _TONE + 2 * _GRAIN, width)

    def forward(self, batch: PatchBatch, longest: int) -> Tensor:
        """[batch, longest, width], zero where a picture has no patch."""
        device = self.join.weight.device
        pixels = torch.from_numpy(batch.pixels).to(device)
        found = torch.zeros(len(batch.grids), longest, self.join.out_features, device=device)
        for grid in dict.fromkeys(batch.grids):
            rows = torch.tensor([i for i, other in enumerate(batch.grids) if other == grid], device=device)
            tokens = self._tokens(_whole(pixels[rows, : len(grid)], grid))
            found = found.to(tokens.dtype).index_copy(
                0, rows, functional.pad(tokens, (0, 0, 0, longest - len(grid)))
            )
        return found

    def _tokens(self, pictures: Tensor) -> Tensor:
        """[n, 3, height, width] in 0..1 -> [n, patches, width]."""
        x, early = _freed(functional.avg_pool2d(pictures, 2)), pictures
        for place, convolution in enumerate(self.shapes):
            x = functional.relu(convolution(x))
            if place == 1:
                early = x
        size = (x.shape[2], x.shape[3])
        tone = functional.avg_pool2d(pictures, 8)
        for convolution in self.tone:
            tone = functional.relu(convolution(tone))
        grain = functional.relu(self.grain(pictures))
        views = [x, *_pooled(early, size), functional.adaptive_avg_pool2d(tone, size), *_pooled(grain, size)]
        tokens: Tensor = self.join(torch.cat(views, 1).flatten(2).transpose(1, 2))
        return tokens


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
