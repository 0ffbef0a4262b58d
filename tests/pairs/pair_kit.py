"""Pairs with real, tiny pictures."""

from __future__ import annotations

import hashlib
import io
from functools import cache

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from actors.contracts import Dimension, PairRecord, PairSide, Prompt, Query
from actors.pairs.dataset import Sample, picture_path

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text
)
UNIT = st.floats(0, 1)


@cache
def picture(seed: int, suffix: str = "png") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (6 + seed % 3, 8, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, FORMATS[suffix])
    return sink.getvalue()


def side(query: Query, seed: int, suffix: str = "png") -> PairSide:
    digest = hashlib.sha256(picture(seed, suffix)).hexdigest()
    prompt = Prompt.of(f"{query.text} no. {seed}", query=query, strategy_id="s", policy_version="p")
    path = picture_path(digest, suffix)
    return PairSide(prompt=prompt, sha256=digest, path=path, width=8, height=6 + seed % 3, seed=seed)


def sample(number: int = 0, total: float | None = 1.0, text: str = "the moon over a lake") -> Sample:
    """A judged pair; `color` is won by the other picture than the total."""
    query = Query.of(text)
    labels = {} if total is None else {Dimension.TOTAL: total, Dimension.COLOR: 1 - total}
    record = PairRecord(
        id=f"pair-{number}",
        kind="two_seeds",
        query=query,
        a=side(query, 2 * number),
        b=side(query, 2 * number + 1),
        scores={d: {"winner": 0.75, "loser": 0.5} for d in labels},
        labels=labels,
        raw=('{"total": 7}',),
        versions={"judge": "measured-1"},
    )
    return Sample(record, picture(2 * number), picture(2 * number + 1))


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Any pair that a contract allows."""
    query = Query.of(
        draw(TEXT),
        title=draw(st.none() | TEXT),
        aspect=draw(st.sampled_from(["1:1", "9:16"])),
        seed=draw(st.integers(0, 2**31 - 1)),
    )
    seeds, suffixes = st.integers(0, 5), st.sampled_from(list(FORMATS))
    (s, x), (t, y) = draw(st.tuples(st.tuples(seeds, suffixes), st.tuples(seeds, suffixes)))
    both = {"winner": UNIT, "loser": UNIT}
    record = PairRecord(
        id=draw(TEXT),
        kind=draw(st.sampled_from(["two_seeds", "raw_engineered", "mismatched_query", "imported"])),
        query=query,
        a=side(query, s, x),
        b=side(query, t, y).model_copy(update={"phash": "0123456789abcdef"}),
        scores=draw(st.dictionaries(st.sampled_from(Dimension), st.fixed_dictionaries({}, optional=both))),
        labels=draw(st.dictionaries(st.sampled_from(Dimension), UNIT)),
        consistent=draw(st.sampled_from((True, False, None))),
        labelled_by=draw(st.sampled_from(["judge", "human"])),
        raw=tuple(draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=2))),
        versions=draw(st.dictionaries(TEXT, TEXT, max_size=2)),
    )
    return Sample(record, picture(s, x), picture(t, y))


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""
