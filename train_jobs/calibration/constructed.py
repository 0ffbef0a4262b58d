"""Anchors whose winner is known by how they are made, for when people have labelled none.

They check that a judge and what stands around it work at all. They say nothing about agreement with people.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import replace

from actors.artifacts import Artifacts
from actors.contracts import Dimension, Failure, Lang, Picture, Prompt, Query, Recall, Strategy, derive_seed
from actors.errors import AtelierError, StageFailed
from actors.pixels import decode, encode_png
from actors.roles import Generator, Roles
from actors.vocabulary import read_query
from train_jobs.calibration.damage import DAMAGES
from train_jobs.calibration.job import Anchor, Progress

STAGE = "drawing anchors"
TITLES: dict[Lang, tuple[str, ...]] = {
    "en": ("City Walk", "Tea and Rain", "Annual Report"),
    "zh": ("城市漫步", "茶与雨", "年度报告"),
}
_BATCH = 32
_QUOTES = "\"'“”‘’「」『』《》〈〉"
_ANNOUNCED = r"(?:\b(?:titled?|called|named)\b|标题为?|题为|名为)?[\s:：]*"
Job = tuple[Prompt, int]


def with_titles(queries: Sequence[Query]) -> list[Query]:
    """The queries, every third of those without a title lent one: few queries name a title."""
    bare = [query.id for query in queries if read_query(query).title is None][::3]
    lent = {id: place for place, id in enumerate(bare)}
    return [
        query
        if query.id not in lent
        else Query.of(
            query.text,
            aspect=query.aspect,
            title=TITLES[query.lang][lent[query.id] % len(TITLES[query.lang])],
            seed=query.seed,
            lang=query.lang,
        )
        for query in queries
    ]


async def construct(
    roles: Roles,
    artifacts: Artifacts,
    queries: Sequence[Query],
    strategy: Strategy,
    seed: int,
    progress: Progress,
) -> list[Anchor]:
    """Up to three anchors a query; the same arguments give the same anchors.

    - `intent`: the query's picture against another query's, judged for the query;
    - `technical`: the picture against itself, damaged in one of the ways of `damage`;
    - `legibility`, where the query has a title: the picture against one drawn without the title.

    Each is labelled in that dimension and in the total. Sides are swapped at random. A query that cannot be
    drawn has no anchors.

    Raises:
        StageFailed: nothing could be drawn; the message holds the first reason.
    """
    proposed = await roles.policy.propose(queries, [Recall() for _ in queries], strategy, 1, seed)
    jobs: dict[str, Job] = {
        query.id: (answer[0], derive_seed(seed, query.id))
        for query, answer in zip(queries, proposed, strict=True)
        if not isinstance(answer, Failure)
    }
    by_id = {query.id: query for query in queries}
    bare = {id: job for id in jobs if (job := _untitled(by_id[id], jobs[id])) is not None}
    pictures = await _drawn(roles.generator, [*jobs.values(), *bare.values()], progress)
    own = dict(zip(jobs, pictures[: len(jobs)], strict=True))
    untitled = dict(zip(bare, pictures[len(jobs) :], strict=True))
    good = {id: picture for id, picture in own.items() if isinstance(picture, Picture)}
    if not good:
        failed = (answer.message for answer in (*pictures, *proposed) if isinstance(answer, Failure))
        raise StageFailed(
            f"no anchor could be drawn: {next(failed, 'there are no queries')}; "
            "give a file of anchors, or mend the generator"
        )
    drawn = [by_id[id] for id in good]
    anchors = []
    for index, query in enumerate(drawn):
        foreign = _foreign(index, drawn)
        damage = list(DAMAGES)[index % len(DAMAGES)]
        damaged = await asyncio.to_thread(_damaged, artifacts, good[query.id], damage, seed)
        worse = (
            (Dimension.INTENT_MATCH, "another_query", good[foreign.id] if foreign else None),
            (Dimension.TECHNICAL, damage, damaged),
            (Dimension.LEGIBILITY, "no_title", untitled.get(query.id)),
        )
        anchors += [
            _anchor(query, dimension, source, good[query.id], bad, seed)
            for dimension, source, bad in worse
            if isinstance(bad, Picture) and bad.sha256 != good[query.id].sha256
        ]
    return anchors


async def _drawn(generator: Generator, jobs: Sequence[Job], progress: Progress) -> list[Picture | Failure]:
    pictures: list[Picture | Failure] = []
    for start in range(0, len(jobs), _BATCH):
        progress(STAGE, start, len(jobs))
        part = jobs[start : start + _BATCH]
        pictures += await generator.draw([prompt for prompt, _ in part], [seed for _, seed in part])
    progress(STAGE, len(jobs), len(jobs))
    return pictures


def _foreign(index: int, queries: Sequence[Query]) -> Query | None:
    """The next query that shares nothing that this one names; None where there is none."""
    named = _named(queries[index])
    later = (queries[(index + step) % len(queries)] for step in range(1, len(queries)))
    return next((other for other in later if named and not named & _named(other)), None)


def _named(query: Query) -> set[str]:
    reading = read_query(query)
    return {*reading.keys("subject"), *reading.unknown}


def _untitled(query: Query, job: Job) -> Job | None:
    """The same prompt and seed without the title; None for a query that has none."""
    title = read_query(query).title
    prompt, seed = job
    if title is None or title not in prompt.text:
        return None
    text = re.sub(f"{_ANNOUNCED}[{_QUOTES}]*{re.escape(title)}[{_QUOTES}]*", "", prompt.text).strip(" ,，")
    bare = Prompt.of(
        text or "picture",
        query=query,
        strategy_id=prompt.strategy_id,
        policy_version=prompt.policy_version,
        negative=prompt.negative,
    )
    return bare, seed


def _damaged(artifacts: Artifacts, picture: Picture, damage: str, seed: int) -> Picture | None:
    """The picture made worse; None where it cannot be read."""
    try:
        pixels = DAMAGES[damage](decode(artifacts.get(picture.sha256)), derive_seed(seed, picture.sha256))
    except AtelierError:
        return None
    return picture.model_copy(
        update={"sha256": artifacts.put(encode_png(pixels)), "media_type": "image/png", "phash": ""}
    )


def _anchor(
    query: Query, dimension: Dimension, source: str, good: Picture, bad: Picture, seed: int
) -> Anchor:
    anchor = Anchor(
        id=f"{query.id}:{dimension}",
        group=query.id,
        query=query,
        a=good,
        b=bad,
        labels={dimension: 1.0, Dimension.TOTAL: 1.0},
        source=source,
    )
    if random.Random(derive_seed(seed, "side", anchor.id)).random() < 0.5:
        return replace(anchor, a=bad, b=good, labels=dict.fromkeys(anchor.labels, 0.0))
    return anchor
