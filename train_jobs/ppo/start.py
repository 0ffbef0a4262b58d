"""A policy before it has learnt anything."""

from __future__ import annotations

import torch

from actors.policy.tiny.model import Architecture, CausalLm
from actors.policy.tiny.tokens import Tokens


def new(tokens: Tokens, seed: int, **sizes: int) -> CausalLm:
    """A model with random weights; `sizes` are those of `Architecture`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CausalLm(Architecture(tokens.size, **sizes))
