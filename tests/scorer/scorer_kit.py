"""Tiny models, tokenizers and pictures for the tests of the scorer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from actors.contracts import Dimension
from actors.pixels import Pixels
from actors.scorer.architecture import Architecture, ImageShape, TextShape
from actors.scorer.calibration import Calibration
from actors.scorer.model import AestheticModel
from actors.scorer.patches import PatchBatch, collate, patchify
from actors.scorer.text import Tokenizer

torch.set_num_threads(1)  # beside other work, threads that wait for one another take a hundred times as long

IMAGE = ImageShape(patch=4, grid=5, budget=30, width=32, layers=2, heads=2, output=16)
TEXT = TextShape(vocabulary=260, width=16, layers=2, heads=2, intermediate=32, context=32, positions=34)
ARCHITECTURE = Architecture(preset="tiny", image=IMAGE, text=TEXT, embed=24, hidden=16)
STEMMED = ImageShape(patch=32, grid=5, budget=30, width=32, layers=2, heads=2, output=16, stem=4)
SHAPES = ((20, 20), (28, 16), (16, 28), (60, 16), (16, 24), (80, 16))
"""(width, height) px of pictures whose grids all differ."""


def tiny(seed: int = 0, architecture: Architecture = ARCHITECTURE) -> AestheticModel:
    """A model in eval mode with random weights, none of them zero or one."""
    torch.manual_seed(seed)
    model = AestheticModel(architecture).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    """A picture of random blocks, so that something is left of it at any scale."""
    dice = np.random.default_rng((seed, width, height))
    blocks = dice.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(blocks.repeat(4, 0).repeat(4, 1)[:height, :width])


def pictures(sizes: tuple[tuple[int, int], ...] = SHAPES, image: ImageShape = IMAGE) -> PatchBatch:
    """A batch of noise, one picture a size."""
    return collate([patchify(noise(*size, seed), image) for seed, size in enumerate(sizes)])


def alone(batch: PatchBatch, index: int) -> PatchBatch:
    """One picture of a batch without any padding."""
    grid = batch.grids[index]
    return PatchBatch(batch.pixels[index : index + 1, : len(grid)], (grid,))


def tokenizer_file(folder: Path) -> Path:
    """A `tokenizer.json` of single bytes."""
    from tokenizers import Tokenizer as Built
    from tokenizers import models, pre_tokenizers, processors

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    built = Built(models.BPE(vocabulary, []))
    built.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    path = folder / "tokenizer.json"
    path.write_text(built.to_str(), "utf-8")
    return path


def tokenizer(folder: Path) -> Tokenizer:
    """The same, loaded."""
    return Tokenizer(tokenizer_file(folder), TEXT.context)


def calibration(dimensions: tuple[Dimension, ...] = ARCHITECTURE.dimensions) -> Calibration:
    """Each dimension with numbers of its own; that of the first has no temperature."""
    return Calibration(
        mean={name: 0.1 * i for i, name in enumerate(dimensions)},
        deviation={name: 1.0 + i for i, name in enumerate(dimensions)},
        temperature={name: 0.5 * i or None for i, name in enumerate(dimensions)},
    )


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest distance of two tensors."""
    return float((a - b).abs().max())
