"""Practice against a world whose best answers are known."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import ASPECTS, DistillRecord, Draw, Failure, Judgement, Query, Reward, derive_seed
from actors.errors import BadInput, StageFailed
from actors.policy import grammar
from actors.policy.expander import default_strategy
from actors.policy.tiny.tokens import WRITTEN
from actors.studio import Job
from actors.vocabulary import keys, read, read_query
from configs.loop import LoopSettings, PracticeSettings, RewardModelSettings
from train_jobs.loop.job import Progress
from train_jobs.loop.lessons.practice import Draws, Practice, course, judged, rounds, to_draw
from train_jobs.ppo.lessons import read_records
from train_jobs.ppo.reward_model.features import Features

SETTINGS = LoopSettings(
    lessons=64,
    practice=PracticeSettings(
        draws=3000,
        first=600,
        looks=12_000,
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


def _practice(folder: Path, settings: LoopSettings = SETTINGS, tell: Progress = lambda *_: None) -> Practice:
    return Practice(settings, _query, 10, default_strategy(), folder, tell)


def _practised(
    folder: Path, draws: Draws, settings: LoopSettings = SETTINGS, fits: list[int] | None = None
) -> list[DistillRecord]:
    def tell(stage: str, done: int, total: int) -> None:
        if fits is not None and done == total:
            fits.append(total)

    asyncio.run(_practice(folder, settings, tell).run(draws))
    return [record for path in sorted(folder.glob("lessons-*")) for record in read_records(path)]


def test_it_finds_what_the_world_wants(tmp_path):
    world = World()
    records = _practised(tmp_path, world.draws)
    assert len(records) > 0.9 * SETTINGS.lessons
    assert all(record.reward.admitted for record in records)
    assert sum(count for _, count in world.drawn) == _practice(tmp_path / "none").draws
    practised = {each["index"] for path in tmp_path.glob("round-*") for each in _lines(path)}
    assert len(practised) == SETTINGS.practice.draws // 2
    assert not {_query(index).id for index in practised} & {record.query.id for record in records}
    went = course(tmp_path)
    assert went[-1]["draws"] == SETTINGS.practice.draws
    assert went[-1]["best"] > 0.8 > 2 * went[0]["other"]


@pytest.mark.parametrize("last", [1, 3, 5])
def test_a_stopped_one_goes_on_as_if_it_never_stopped(tmp_path, monkeypatch, last):
    monkeypatch.setattr("train_jobs.loop.lessons.practice.PART", 60)
    room = SETTINGS.practice.model_copy(update={"draws": 500, "first": 200, "looks": 2000})
    small = SETTINGS.model_copy(update={"practice": room, "lessons": 40})
    whole, broken, rest = World(), World(last), World()
    fits: list[int] = []
    again: list[int] = []
    _practised(tmp_path / "whole", whole.draws, small, fits)
    with pytest.raises(RuntimeError, match="the world ends"):
        _practised(tmp_path / "stopped", broken.draws, small, again)
    _practised(tmp_path / "stopped", rest.draws, small, again)
    assert broken.drawn + rest.drawn == whole.drawn and fits == again
    for path in (tmp_path / "whole").glob("*.jsonl"):
        assert (tmp_path / "stopped" / path.name).read_bytes() == path.read_bytes()
    _practised(tmp_path / "stopped", World(last=0).draws, small)


def test_rounds_hold_the_answers_and_how_they_were_judged(tmp_path):
    room = SETTINGS.practice.model_copy(update={"draws": 300, "first": 200, "looks": 1000})
    _practised(tmp_path, World().draws, SETTINGS.model_copy(update={"practice": room}))
    tries = _lines(tmp_path / "round-001-000.jsonl")
    assert [each["best"] for each in tries] == [True, False] * 50
    for each in tries:
        query = _query(each["index"])
        assert set(each["values"]) <= set(WRITTEN)
        assert each["admitted"] == (_wanted(query).items() <= each["values"].items())


@pytest.mark.parametrize("stage", ["practice, round 1", "lessons"])
def test_what_mostly_cannot_be_judged_is_not_kept(tmp_path, stage):
    room = SETTINGS.practice.model_copy(update={"draws": 200, "first": 200, "looks": 1000})
    small = SETTINGS.model_copy(update={"practice": room})
    lost = Failure(stage="judge", kind="StageFailed", message="the judge is down")

    def dying(share: int) -> Draws:
        async def draws(now: str, jobs: Sequence[Job]) -> list[Draw | Failure]:
            return [
                lost if now == stage and place % 10 < share else _draw(job) for place, job in enumerate(jobs)
            ]

        return draws

    with pytest.raises(StageFailed, match=r"of \d+ draws could not be judged.*the judge is down"):
        _practised(tmp_path, dying(6), small)
    assert not list(tmp_path.glob(f"{stage.split(',')[0].replace('practice', 'round')}*"))
    _practised(tmp_path, dying(4), small)
    assert course(tmp_path)[0]["draws"] == (120 if stage != "lessons" else 200)


def test_a_course_is_told_of_queries_that_were_not_chosen_by_doubt(tmp_path):
    _practised(tmp_path, World().draws)
    last = max(path.name for path in tmp_path.glob("round-*"))
    tries = [each for each in _lines(tmp_path / last) if each["best"]]
    doubted = [each["admitted"] for each in tries if each["doubted"]]
    others = [each["admitted"] for each in tries if not each["doubted"]]
    assert len(doubted) == round(len(tries) * SETTINGS.practice.doubted)
    assert course(tmp_path)[-1]["best"] == sum(others) / len(others)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=60), st.floats(0, 1), st.data())
def test_what_is_doubted_most_is_drawn_and_some_whatever_is_thought_of_it(values, share, data):
    count = data.draw(st.integers(1, len(values)))
    chosen = to_draw(values, count, share)
    plain = [place for place, doubted in chosen.items() if not doubted]
    doubted = {place for place, is_doubted in chosen.items() if is_doubted}
    passed_over = set(range(len(values))) - set(chosen)
    assert len(chosen) == count and plain == list(range(max(1, count - round(count * share))))
    assert all(values[one] <= values[other] for one in doubted for other in passed_over)


@given(st.integers(2, 3000), st.integers(2, 3000), st.floats(0.05, 3))
def test_rounds_come_to_what_is_to_be_drawn(draws, first, growth):
    sizes = rounds(draws, first, growth)
    assert 2 * sum(sizes) == draws - draws % 2 and min(sizes) > 0
    assert sizes[1:-1] == sorted(sizes[1:-1])


def test_draws_of_other_queries_are_not_taken_for_those_of_these(tmp_path):
    room = SETTINGS.practice.model_copy(update={"draws": 200, "first": 200, "looks": 1000})
    _practised(tmp_path, World().draws, SETTINGS.model_copy(update={"practice": room}))
    path = tmp_path / "round-000-000.jsonl"
    assert len(judged(path, Features(), _query)) == 200
    with pytest.raises(BadInput, match="a new run"):
        judged(path, Features(), lambda index: _query(index + 1))


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
