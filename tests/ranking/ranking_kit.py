"""Datasets of small pictures whose winner can be learnt: the lighter one, and for colour the redder one."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from actors.contracts import Dimension, PairRecord, PairSide, Prompt, Query
from actors.pairs.dataset import Sample, picture_path, write_pairs
from actors.scorer.architecture import Architecture
from actors.vocabulary import keys, phrase
from tests.scorer.scorer_kit import IMAGE, TEXT

TINY = Architecture(
    preset="tiny",
    image=IMAGE,
    text=TEXT,
    embed=24,
    hidden=16,
    dimensions=(Dimension.TOTAL, Dimension.COLOR, Dimension.TECHNICAL),
)
SIZES = ((20, 20), (28, 16), (16, 28))


def dataset(folder: Path, pairs: int, seed: int = 0, **changes: str) -> str:
    """Write so many pairs and return their URI."""
    uri = str(folder / f"pairs-{pairs}-{seed}")
    write_pairs(uri, samples(pairs, seed, **changes), {})
    return uri


def samples(pairs: int, seed: int = 0, **changes: str) -> Iterator[Sample]:
    """Pairs with their pictures; `changes` are fields of the records."""
    dice = np.random.default_rng(seed)
    subjects, styles = keys("subject"), keys("style")
    for number in range(pairs):
        subject, style = dice.choice(subjects), dice.choice(styles)
        query = Query.of(phrase("subject", str(subject), "en"), seed=number)
        lights, reds = (dice.permutation([low, low + 0.5]) for low in dice.uniform(0, 0.5, 2))
        size = SIZES[number % len(SIZES)]
        files = [_file(size, light, red, dice) for light, red in zip(lights, reds, strict=True)]
        a, b = (_side(query, str(style), data, size, i) for i, data in enumerate(files))
        wins = {Dimension.TOTAL: lights[0] > lights[1], Dimension.COLOR: reds[0] > reds[1]}
        record = PairRecord(
            id=f"pair-{seed}-{number}",
            kind="two_seeds",
            query=query,
            a=a,
            b=b,
            scores={name: {"winner": 0.7, "loser": 0.3} for name in wins},
            labels={name: 0.9 if won else 0.1 for name, won in wins.items()},
            versions={"generator": "test", "judge": "test"},
        )
        yield Sample(record.model_copy(update=changes), *files)


def _file(size: tuple[int, int], light: float, red: float, dice: np.random.Generator) -> bytes:
    pixels = np.full((size[1], size[0], 3), 40 + 170 * light)
    pixels[..., 0] += 60 * red - 30
    pixels += dice.normal(0, 6, pixels.shape)
    sink = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(sink, "PNG")
    return sink.getvalue()


def _side(query: Query, style: str, data: bytes, size: tuple[int, int], seed: int) -> PairSide:
    digest = hashlib.sha256(data).hexdigest()
    text = f"{query.text}, {phrase('style', style, 'en')}"  # type: ignore[arg-type]
    prompt = Prompt.of(text, query=query, strategy_id="s", policy_version="p")
    path = picture_path(digest, "png")
    return PairSide(prompt=prompt, sha256=digest, path=path, width=size[0], height=size[1], seed=seed)
