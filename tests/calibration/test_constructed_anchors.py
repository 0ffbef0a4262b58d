from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actors.artifacts import Artifacts
from actors.contracts import Dimension, Failure, Picture, Prompt, Query, Strategy, derive_seed
from actors.errors import StageFailed
from actors.hosts import in_process
from actors.pixels import decode, encode_png
from actors.policy.expander import default_strategy
from actors.vocabulary import read_query
from configs.load import load
from tests.fake_roles import FakeGenerator, fake_roles
from train_jobs.calibration.constructed import construct, with_titles
from train_jobs.calibration.damage import DAMAGES
from train_jobs.calibration.job import Anchor, calibrate

QUERIES = [
    Query.of('the moon over a lake, "City Walk"', title="City Walk"),
    Query.of('cover for an article titled "Tea", a bridge'),
    Query.of("灯塔，水彩", aspect="3:4"),
    Query.of("a cat and a lantern"),
]


class Painter(FakeGenerator):
    """Noise by prompt and seed, really stored; a prompt with `undrawable` fails."""

    def __init__(self, artifacts: Artifacts) -> None:
        super().__init__()
        self.artifacts, self.texts = artifacts, []

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture | Failure]:
        self.texts += [prompt.text for prompt in prompts]
        drawn = await super().draw(prompts, seeds)
        return [
            self._stored(picture, prompt.text, seed) if isinstance(picture, Picture) else picture
            for picture, prompt, seed in zip(drawn, prompts, seeds, strict=True)
        ]

    def _stored(self, picture: Picture, text: str, seed: int) -> Picture:
        rng = np.random.default_rng(derive_seed(text, seed))
        pixels = rng.integers(40, 200, (48, 36, 3)).astype(np.uint8)
        return picture.model_copy(
            update={"sha256": self.artifacts.put(encode_png(pixels)), "width": 36, "height": 48}
        )


def quiet(stage: str, done: int, total: int) -> None:
    pass


def made(folder: Path, queries: Sequence[Query] = QUERIES, seed: int = 1) -> tuple[list[Anchor], Painter]:
    painter = Painter(Artifacts(str(folder)))
    roles = fake_roles(painter)
    strategy = Strategy.of({})
    return asyncio.run(construct(roles, painter.artifacts, queries, strategy, seed, quiet)), painter


def test_each_kind_is_made_and_labelled(tmp_path: Path) -> None:
    anchors, _ = made(tmp_path)
    assert sorted({a.source for a in anchors if a.query == QUERIES[0]}) == [
        "another_query",
        "blur",
        "no_title",
    ]
    assert {a.source for a in anchors if a.query == QUERIES[3]} == {"another_query", "overexposed"}
    for anchor in anchors:
        assert len(set(anchor.labels.values())) == 1 and Dimension.TOTAL in anchor.labels
        assert anchor.group == anchor.query.id
    of = {"another_query": "intent_match", "no_title": "legibility", "blur": "technical"}
    assert all(set(a.labels) == {Dimension.TOTAL, of[a.source]} for a in anchors if a.source in of)


def test_the_winner_is_the_querys_own_picture_on_either_side(tmp_path: Path) -> None:
    anchors, _ = made(tmp_path, [Query.of(f"the moon and a cat number{i}") for i in range(40)])
    winners = {a.query.id: (a.a if a.labels[Dimension.TOTAL] == 1.0 else a.b).sha256 for a in anchors}
    assert all(
        winners[a.query.id] == (a.a if a.labels[Dimension.TOTAL] == 1.0 else a.b).sha256 for a in anchors
    )
    left = sum(a.labels[Dimension.TOTAL] == 1.0 for a in anchors)
    assert 0.3 < left / len(anchors) < 0.7


def test_the_same_seed_makes_the_same_anchors(tmp_path: Path) -> None:
    assert made(tmp_path / "one")[0] == made(tmp_path / "two")[0]
    assert made(tmp_path / "one")[0] != made(tmp_path / "three", seed=2)[0]


def test_titles_are_left_out_whole(tmp_path: Path) -> None:
    _, painter = made(tmp_path, QUERIES[1:2])
    titled, bare = painter.texts
    assert 'titled "Tea"' in titled
    assert "itle" not in bare and "Tea" not in bare and '"' not in bare and "a bridge" in bare


def test_what_cannot_be_drawn_has_no_anchors(tmp_path: Path) -> None:
    anchors, _ = made(tmp_path, [*QUERIES, Query.of("an undrawable owl"), Query.of("unpromptable")])
    assert {a.query.id for a in anchors} == {q.id for q in QUERIES}
    with pytest.raises(StageFailed, match="cannot draw"):
        made(tmp_path, [Query.of("an undrawable owl")])
    with pytest.raises(StageFailed, match="no policy"):
        made(tmp_path, [Query.of("unpromptable")])


def test_only_a_query_that_shares_nothing_is_another(tmp_path: Path) -> None:
    anchors, _ = made(tmp_path, [Query.of("the moon"), Query.of("the moon, watercolour")])
    assert {a.source for a in anchors} == {"blur", "noise"}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_seen_and_repeats(name: str) -> None:
    stripes = np.zeros((120, 90, 3), np.uint8)
    stripes[::2], stripes[:, 40:] = (200, 120, 40), (90, 160, 220)
    worse = DAMAGES[name](stripes, 5)
    assert worse.shape == stripes.shape and worse.dtype == np.uint8
    assert np.abs(worse.astype(int) - stripes).mean() > 4
    assert (DAMAGES[name](stripes, 5) == worse).all()
    assert (decode(encode_png(worse)) == worse).all()


def test_titles_are_lent_to_some() -> None:
    queries = [Query.of(f"a moon, {i}", aspect="9:16") for i in range(9)]
    lent = with_titles([*queries, QUERIES[1]])
    assert [read_query(q).title is not None for q in lent] == [True, False, False] * 3 + [True]
    assert lent[1] == queries[1] and lent[0].aspect == "9:16" and lent[0].id != queries[0].id
    assert len({q.title for q in lent if q.title}) == 3


def test_the_embedded_judge_knows_the_winners(tmp_path: Path) -> None:
    settings = load("embedded", [f"paths.artifacts={tmp_path}", "generator.long_side=256"])
    texts = ("a lighthouse at night", "a bridge in autumn", "cats, flat illustration", "mountains, ink wash")
    queries = with_titles(
        [Query.of(f"{text}, {tone}") for text in texts for tone in ("calm", "festive", "warm")]
    )

    async def run() -> None:
        async with in_process(settings) as roles:
            roles = replace(roles)
            anchors = await construct(roles, Artifacts(str(tmp_path)), queries, default_strategy(), 3, quiet)
            report = await calibrate(roles, settings, anchors, "constructed", quiet)
            assert report.anchors == "constructed"
            assert report.failures == {}
            assert report.before.accuracy is not None and report.before.accuracy > 0.8
            assert report.sources["another_query"].accuracy > 0.9

    asyncio.run(run())
