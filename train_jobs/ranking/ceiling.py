"""The judge's own noise: does it name the same winner when pictures change by less than an eye can see?

No scorer can be expected to follow a judge beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from actors.artifacts import Artifacts
from actors.contracts import Dimension, Failure, Judgement, PairRecord, Picture, derive_seed
from actors.intervals import wilson
from actors.pairs.folder import Folder
from actors.pixels import Pixels, decode, encode_png
from actors.roles import Judge
from train_jobs.ranking.quality import TIE, Accuracy

CHUNK = 32


def unnoticeable(pixels: Pixels, seed: int) -> Pixels:
    """Every channel of every pixel up or down by one level of 255, or left, at random."""
    noise = np.random.default_rng(seed).integers(-1, 2, pixels.shape, dtype=np.int16)
    return np.asarray(np.clip(pixels + noise, 0, 255), np.uint8)


async def ceiling(
    judge: Judge,
    artifacts: Artifacts,
    uri: str,
    records: Sequence[PairRecord],
    seed: int = 0,
    tell: Callable[[int], None] = lambda done: None,
) -> dict[Dimension, Accuracy]:
    """How often the judge's scores of changed pictures name the winner that it named in the dataset.

    Over judge-labelled pairs that have a winner, a dimension; pictures that cannot be judged are left out.
    """
    folder, right, counted = Folder(uri), dict.fromkeys(Dimension, 0.0), dict.fromkeys(Dimension, 0)
    judged = [record for record in records if record.labelled_by == "judge"]
    for start in range(0, len(judged), CHUNK):
        chunk = judged[start : start + CHUNK]
        pictures = [
            _changed(record, side, folder, artifacts, seed) for record in chunk for side in ("a", "b")
        ]
        answers = await judge.judge(pictures, [record.query for record in chunk for _ in range(2)])
        for record, a, b in zip(chunk, answers[0::2], answers[1::2], strict=True):
            if not isinstance(a, Failure) and not isinstance(b, Failure):
                for name, hit in _agreements(record.labels, a, b).items():
                    right[name] += hit
                    counted[name] += 1
        tell(min(start + CHUNK, len(judged)))
    return {
        name: Accuracy(n=n, accuracy=right[name] / n, interval=wilson(right[name], n))
        for name, n in counted.items()
        if n
    }


def _agreements(labels: Mapping[Dimension, float], a: Judgement, b: Judgement) -> dict[Dimension, float]:
    found: dict[Dimension, float] = {}
    for name, label in labels.items():
        first, second = a.score(name), b.score(name)
        if abs(label - 0.5) >= TIE and first is not None and second is not None:
            found[name] = 0.5 if first == second else float((first > second) == (label > 0.5))
    return found


def _changed(record: PairRecord, name: str, folder: Folder, artifacts: Artifacts, seed: int) -> Picture:
    side = record.a if name == "a" else record.b
    pixels = unnoticeable(decode(folder.read(side.path)), derive_seed(seed, record.id, name))
    return Picture(
        sha256=artifacts.put(encode_png(pixels)),
        width=pixels.shape[1],
        height=pixels.shape[0],
        prompt_id=side.prompt.id,
        seed=side.seed,
        generator_version="changed",
    )
