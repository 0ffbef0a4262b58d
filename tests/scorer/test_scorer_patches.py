"""Pictures as patches: the wanted grids, nothing cropped, nothing stretched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import ASPECTS
from actors.errors import BadInput
from actors.pixels import Pixels, frame_size
from actors.scorer.architecture import PRESETS, ImageShape
from actors.scorer.patches import MIN_RATIO, Grid, Patches, choose_grid, collate, patchify
from tests.scorer.scorer_kit import IMAGE, noise

LARGE = PRESETS["vit-l-14-336"].image
EXACT = {"1:1": (24, 24), "3:4": (28, 21), "4:3": (21, 28), "9:16": (32, 18), "16:9": (18, 32)}
sides = st.integers(16, 600)


def canvas(patches: Patches, side: int) -> Pixels:
    """Patches put together again."""
    rows, cols = patches.grid.rows, patches.grid.cols
    cells = patches.pixels.reshape(rows, cols, 3, side, side)
    return cells.transpose(0, 3, 1, 4, 2).reshape(rows * side, cols * side, 3)


def quarters(width: int, height: int) -> Pixels:
    """Four flat colours, one a corner; red tells left from right, green top from bottom."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :, 0] = 200
    pixels[height // 2 :, :, 1] = 200
    return pixels


@pytest.mark.parametrize("long_side", [512, 1024, 2048])
@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_five_frames_fill_their_grids(aspect: str, long_side: int) -> None:
    assert choose_grid(*frame_size(aspect, long_side), LARGE.budget) == Grid(*EXACT[aspect])


def test_a_picture_of_the_grid_s_size_is_cut_and_not_resampled() -> None:
    pixels = noise(28 * 14, 21 * 14)
    patches = patchify(pixels, LARGE)
    assert patches.grid == Grid(21, 28)
    assert np.array_equal(canvas(patches, LARGE.patch), pixels)
    second_row = patches.pixels[28].reshape(3, 14, 14)
    assert np.array_equal(second_row, pixels[14:28, :14].transpose(2, 0, 1))


@settings(max_examples=60, deadline=None)
@given(sides, sides)
def test_nothing_is_cropped_and_nothing_stretched(width: int, height: int) -> None:
    if min(width, height) < MIN_RATIO * max(width, height):
        return
    seen = canvas(patchify(quarters(width, height), LARGE), LARGE.patch)
    corners = seen[[0, 0, -1, -1], [0, -1, 0, -1], :2]
    assert corners.tolist() == [[0, 0], [200, 0], [0, 200], [200, 200]]
    across, down = int((seen[0, :, 0] < 100).sum()), int((seen[:, 0, 1] < 100).sum())
    if width >= height:
        assert abs(down - across / (width // 2) * (height // 2)) <= 1.5
    else:
        assert abs(across - down / (height // 2) * (width // 2)) <= 1.5


@settings(max_examples=60, deadline=None)
@given(sides, sides)
def test_the_edge_is_repeated_in_a_last_patch_that_is_not_full(width: int, height: int) -> None:
    if min(width, height) < MIN_RATIO * max(width, height):
        return
    side, patches = LARGE.patch, patchify(noise(width, height), LARGE)
    rows, cols = patches.grid.rows, patches.grid.cols
    scale = min(cols / width, rows / height) * side
    wide, high = round(width * scale), round(height * scale)
    assert (cols - 1) * side <= wide <= cols * side
    assert (rows - 1) * side <= high <= rows * side
    assert wide == cols * side or high == rows * side
    seen = canvas(patches, side)
    assert (seen[:, wide:] == seen[:, wide - 1 : wide]).all()
    assert (seen[high:] == seen[high - 1 : high]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 200), st.integers(16, 200), st.integers(20, 60))
def test_no_grid_within_the_budget_shows_the_picture_larger(width: int, height: int, budget: int) -> None:
    def shown(rows: int, cols: int) -> float:
        return min(cols / width, rows / height)

    chosen = choose_grid(width, height, budget)
    assert len(chosen) <= budget
    best = max(shown(rows, cols) for rows in range(1, budget + 1) for cols in range(1, budget // rows + 1))
    assert shown(chosen.rows, chosen.cols) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (15, 15), (4000, 1), (1, 4000), (4000, 124)])
def test_pictures_that_show_nothing_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match=rf"{size[0]} x {size[1]} px; accepted: .* at least 16 px"):
        choose_grid(*size, LARGE.budget)
    assert choose_grid(4000, 125, LARGE.budget).rows == 4


def test_a_batch_is_as_long_as_its_longest_picture() -> None:
    wide, square = patchify(noise(60, 16), IMAGE), patchify(noise(20, 20), IMAGE)
    batch = collate([wide, square])
    assert batch.pixels.shape == (2, len(wide.grid), 3 * IMAGE.patch**2)
    assert batch.pixels.dtype == np.uint8
    assert batch.valid.sum(1).tolist() == [len(wide.grid), len(square.grid)]
    assert np.array_equal(batch.pixels[1][batch.valid[1]], square.pixels)
    assert not batch.pixels[~batch.valid].any()


def test_the_small_preset_takes_every_frame() -> None:
    small: ImageShape = PRESETS["small"].image
    for aspect in ASPECTS:
        assert len(choose_grid(*frame_size(aspect, 256), small.budget)) >= 0.85 * small.budget
