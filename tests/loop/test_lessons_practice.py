"""Practice against a world whose best answers are known."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from actors.contracts import ASPECTS, Draw, Failure, Judgement, Query, Reward, derive_seed
from actors.errors import StageFailed
from actors.policy import grammar
from actors.policy.expander import default_strategy
from actors.policy.tiny.tokens import WRITTEN
from actors.studio import Job
from actors.vocabulary import keys, read, read_query
from configs.loop import LoopSettings, PracticeSettings, RewardModelSettings
from train_jobs.loop.lessons.practice import Practice, course, rounds

SETTINGS = LoopSettings(
    lessons=64,
    practice=PracticeSettings(
        draws=3000,
        first=600,
        looks=30_000,
        model=RewardModelSettings(crosses=(0, 2), width=8, hidden=64, batch=64),
    ),
)


def _query(index: int) -> Query:
    return grammar.query(1, index, list(ASPECTS), ["en", "zh"])


def _wanted(query: Query) -> dict[str, str]:
    """One layout a frame, one palette a language."""
    named = {"layout": (query.aspect,), "palette": (query.lang,)}
    asked = read_query(query)
    return {
        facet: keys(facet)[derive_seed("world", *on) % len(keys(facet))]
        for facet, on in named.items()
        if not asked.keys(facet)
    }


def _draw(job: Job) -> Draw:
    said = read(job.prompt.text)
    shown = {"layout": "composition", "palette": "color"}
    parts = {shown[facet]: float(said.first(facet) == key) for facet, key in _wanted(job.query).items()}
    right = all(parts.values())
    reward = Reward(
        value=float(right), admitted=right, gates={"intent": True}, picture=1.0, prompt=1.0, parts=parts
    )
    judgement = Judgement(scores={}, judge_version="world")
    return Draw(
        query_id=job.query.id,
        index=job.index,
        prompt=job.prompt,
        picture=None,
        judgement=judgement,
        reward=reward,
    )


class World:
    """Counts what is drawn, and may break down."""

    def __init__(self, last: int = 1_000_000) -> None:
        self.drawn: list[tuple[str, int]] = []
        self._last = last

    async def draws(self, stage: str, jobs: Sequence[Job]) -> list[Draw | Failure]:
        if len(self.drawn) == self._last:
            raise RuntimeError("the world ends")
        self.drawn.append((stage, len(jobs)))
        return [_draw(job) for job in jobs]


def _practice(folder) -> Practice:
    return Practice(SETTINGS, _query, 10, default_strategy(), folder)


def test_it_finds_what_the_world_wants_and_a_stopped_one_goes_on(tmp_path):
    world = World()
    records = asyncio.run(_practice(tmp_path / "whole").run(world.draws))
    assert len(records) > 0.9 * SETTINGS.lessons
    assert all(record.reward.admitted for record in records)
    assert sum(count for _, count in world.drawn) == _practice(tmp_path / "none").draws
    seen = {each["index"] for path in (tmp_path / "whole").iterdir() for each in _lines(path)}
    assert not seen & {next(i for i in range(9000) if _query(i).id == r.query.id) for r in records[:5]}

    broken, rest = World(last=3), World()
    with pytest.raises(RuntimeError, match="the world ends"):
        asyncio.run(_practice(tmp_path / "stopped").run(broken.draws))
    again = asyncio.run(_practice(tmp_path / "stopped").run(rest.draws))
    assert broken.drawn + rest.drawn == world.drawn
    assert len(again) > 0.9 * SETTINGS.lessons


def test_rounds_hold_the_answers_and_how_they_were_judged(tmp_path):
    asyncio.run(_practice(tmp_path).run(World().draws))
    for each in _lines(tmp_path / "round-01.jsonl"):
        query = _query(each["index"])
        assert set(each["values"]) <= set(WRITTEN)
        right = _wanted(query).items() <= each["values"].items()
        assert each["admitted"] == right
    went = course(tmp_path)
    assert [each["draws"] for each in went][-1] == SETTINGS.practice.draws
    assert went[-1]["best"] > 0.9 > went[0]["other"]


@pytest.mark.parametrize("growth", [0.1, 0.5, 2.0])
def test_rounds_grow_and_come_to_what_is_to_be_drawn(growth):
    sizes = rounds(10_000, 500, growth)
    assert sizes[0] == 250 and 2 * sum(sizes) == 10_000
    assert sizes[1:-1] == sorted(sizes[1:-1])
    assert rounds(10, 500, growth) == [5]


def _lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_round_without_a_judgement_ends_it(tmp_path):
    async def dead(stage: str, jobs: Sequence[Job]) -> list[Draw | Failure]:
        failure = Failure(stage="judge", kind="StageFailed", message="the judge is down")
        return [Draw(query_id=job.query.id, index=0, failure=failure) for job in jobs]

    with pytest.raises(StageFailed, match=r"none of 600 draws.*the judge is down"):
        asyncio.run(_practice(tmp_path).run(dead))
    assert not list(tmp_path.iterdir())
