"""Workers that misbehave on purpose, for pools."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from actors.contracts import Dimension, Failure, Judgement, Picture, Prompt, Query, content_id, derive_seed


class Generator:
    """Draws nothing, 20 ms a picture; hangs on seeds that say so, and says which process it is."""

    def __init__(self, folder: str, hangs: int) -> None:
        self._hangs = hangs
        Path(folder, f"{os.getpid()}.pid").touch()

    def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture]:
        """One picture a prompt."""
        if any(derive_seed(seed, "hang") % 100 < self._hangs for seed in seeds):
            time.sleep(3600)
        time.sleep(0.02 * len(seeds))
        return [
            Picture(
                sha256=content_id(p.text, seed).ljust(64, "0"),
                width=8,
                height=8,
                prompt_id=p.id,
                seed=seed,
                generator_version="g",
                phash=content_id(p.text, seed, "hash"),
            )
            for p, seed in zip(prompts, seeds, strict=True)
        ]


class Judge:
    """Scores by hash, 10 ms a picture; answers nothing readable for 5% of the pictures."""

    def __init__(self, folder: str) -> None:
        Path(folder, f"{os.getpid()}.pid").touch()

    def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        """A total, or a failure."""
        time.sleep(0.01 * len(pictures))
        return [
            Failure(stage="judge", kind="BadAnswer", message="no JSON in the answer")
            if derive_seed(p.sha256) % 100 < 5
            else Judgement(scores={Dimension.TOTAL: int(p.sha256[:2], 16) / 255}, judge_version="j")
            for p in pictures
        ]
