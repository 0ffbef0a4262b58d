"""A policy with random weights, and queries for it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from actors.contracts import ASPECTS, Query
from actors.policy import grammar
from actors.policy.tiny.checkpoint import save
from actors.policy.tiny.model import CausalLm
from actors.policy.tiny.tokens import Tokens
from train_jobs.ppo.start import new

FAMILIAR = ("moon", "lake", "pagoda", "cat")


@cache
def tokens() -> Tokens:
    return Tokens(FAMILIAR)


def model(seed: int = 0) -> CausalLm:
    return new(tokens(), seed, width=32, hidden=64, layers=2, heads=2).eval()


def queries(count: int, seed: int = 0) -> list[Query]:
    return [grammar.query(seed, index, list(ASPECTS), ("en", "zh")) for index in range(count)]


def folder(path: Path, seed: int = 0) -> Path:
    """A saved policy."""
    path.mkdir(exist_ok=True)
    save(path / "policy", model(seed), FAMILIAR, {"note": "random"})
    return path / "policy"
