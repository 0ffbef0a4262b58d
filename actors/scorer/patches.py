"""Pictures as rows of patches: never cropped, never stretched, padded to the longest in a batch. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from actors.errors import BadInput
from actors.pixels import Pixels
from actors.scorer.architecture import ImageShape

MIN_SIDE_PX = 16
MIN_RATIO = 1 / 32
"""Pictures narrower than this share of their length hold nothing that a patch could show."""


@dataclass(frozen=True)
class Grid:
    """Patches of a picture: rows down, columns across."""

    rows: int
    cols: int

    def __len__(self) -> int:
        return self.rows * self.cols


@dataclass(frozen=True)
class Patches:
    """One picture as uint8 [rows * cols, 3 * patch * patch], each patch in (channel, row, column) order."""

    pixels: NDArray[np.uint8]
    grid: Grid


@dataclass(frozen=True)
class PatchBatch:
    """Pictures of several shapes, [batch, longest, 3 * patch * patch] uint8; beyond `grids` all is zero."""

    pixels: NDArray[np.uint8]
    grids: tuple[Grid, ...]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """[batch, longest], True where there is a patch."""
        lengths = np.array([len(grid) for grid in self.grids])
        return np.arange(self.pixels.shape[1])[None] < lengths[:, None]


@lru_cache(maxsize=4096)
def choose_grid(width: int, height: int, budget: int) -> Grid:
    """The grid within the budget that holds a picture of this shape largest, with least of it left empty.

    Raises:
        BadInput: the picture is too small, or too long and narrow.
    """
    if min(width, height) < max(MIN_SIDE_PX, MIN_RATIO * max(width, height)):
        raise BadInput(
            f"the picture is {width} x {height} px; accepted: a shorter side of at least {MIN_SIDE_PX} px "
            "and of 1/32 of the longer one"
        )
    # More columns than the rows can use show nothing larger, more than the budget allows there are none.
    grids = [
        Grid(rows, min(math.ceil(rows * width / height), budget // rows)) for rows in range(1, budget + 1)
    ]
    return max(grids, key=lambda grid: (_covered(grid, width, height), -len(grid), grid.rows))


def _covered(grid: Grid, width: int, height: int) -> float:
    """Area, in patches, that the picture takes when it is scaled to fit into the grid."""
    scale = min(grid.cols / width, grid.rows / height)
    return round(width * height * scale * scale, 6)


def patchify(pixels: Pixels, shape: ImageShape) -> Patches:
    """Scale a picture, its shape kept, to fit its grid; the edge is repeated where a last patch is not full.

    Raises:
        BadInput: the picture is too small, or too long and narrow.
    """
    height, width = pixels.shape[:2]
    side, grid = shape.patch, choose_grid(width, height, shape.budget)
    scale = min(grid.cols / width, grid.rows / height) * side
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    if (wide, high) != (width, height):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pixels = np.asarray(cv2.resize(np.ascontiguousarray(pixels), (wide, high), interpolation=how))
    room = ((0, grid.rows * side - high), (0, grid.cols * side - wide), (0, 0))
    if any(after for _, after in room):
        pixels = np.pad(pixels, room, mode="edge")
    cells = pixels.reshape(grid.rows, side, grid.cols, side, 3).transpose(0, 2, 4, 1, 3)
    return Patches(np.ascontiguousarray(cells).reshape(len(grid), 3 * side * side), grid)


def collate(pictures: Sequence[Patches]) -> PatchBatch:
    """Several pictures, padded with zeros to the longest of them."""
    longest = max(len(picture.grid) for picture in pictures)
    pixels = np.zeros((len(pictures), longest, pictures[0].pixels.shape[1]), np.uint8)
    for row, picture in zip(pixels, pictures, strict=True):
        row[: len(picture.grid)] = picture.pixels
    return PatchBatch(pixels, tuple(picture.grid for picture in pictures))
