"""Random batches of responses with holes and padding, and what a mask hides filled with garbage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

torch.set_num_threads(1)
GARBAGE = (math.nan, math.inf, -math.inf, 1e30, -7.0)


@dataclass(frozen=True)
class Batch:
    """Some tensors of one shape and a mask, [sequences, tokens]; float64."""

    mask: Tensor
    seed: int

    def tensor(self, name: int, spread: float = 1.0, mean: float = 0.0) -> Tensor:
        """Normal numbers; each name gives others."""
        rng = np.random.default_rng((self.seed, name))
        return torch.tensor(rng.normal(mean, spread, tuple(self.mask.shape)))

    def scores(self) -> Tensor:
        """One number a sequence."""
        return torch.tensor(np.random.default_rng((self.seed, 99)).normal(0, 2, len(self.mask)))

    def groups(self) -> Tensor:
        """Some groups of one, some larger, with gaps in the numbering."""
        rng = np.random.default_rng((self.seed, 98))
        return torch.tensor(rng.integers(0, max(1, len(self.mask) // 2), len(self.mask)) * 5 - 3)


@st.composite
def batches(draw: st.DrawFn, least: int = 0) -> Batch:
    """Any masks, or those of responses: real tokens up to an end, padding after it."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    sequences, tokens = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    if draw(st.booleans()):
        mask = rng.random((sequences, tokens)) < draw(st.sampled_from((0.0, 0.3, 0.7, 1.0)))
    else:
        mask = np.arange(tokens) < rng.integers(0, tokens + 1, (sequences, 1))
    if least:
        mask[0, 0] = mask[-1, -1] = True
    return Batch(torch.tensor(mask), seed)


def spoilt(values: Tensor, mask: Tensor) -> Tensor:
    """The same values, and garbage where the mask is false."""
    fill = torch.tensor(GARBAGE, dtype=values.dtype).repeat(mask.numel() // len(GARBAGE) + 1)
    return torch.where(mask, values, fill[: mask.numel()].reshape(mask.shape))
