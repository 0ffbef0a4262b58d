"""From winners to a policy that the studio uses, in this process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from actors.artifacts import Artifacts
from actors.contracts import DistillRecord, Draw, Failure, Picture, Prompt, Query, Recall, Reward
from actors.errors import BadInput
from actors.policy import grammar
from actors.policy.expander import default_strategy, engineer, write
from actors.policy.tiny.checkpoint import CARD
from actors.policy.tiny.tokens import OPEN
from actors.policy.tiny.worker import Tiny
from actors.studio import Job
from actors.vocabulary import keys, read_query
from configs.load import load
from configs.policy import TinySettings
from configs.pool import PoolSettings
from configs.ppo import PpoSettings, WarmStartSettings
from configs.reward_model import RewardModelSettings
from configs.schema import Settings
from train_jobs.ppo.job import begin, finish, made_queries, strangers, train_here
from train_jobs.ppo.lessons import distinct, lesson_of, read_records
from train_jobs.ppo.rating import Earned, StudioRater, earned
from train_jobs.ppo.reward_model.features import Features
from train_jobs.ppo.reward_model.model import RewardModel

STRATEGY = default_strategy()


def record(query: Query, reward: float = 0.8) -> DistillRecord:
    text = write(query, engineer(query, Recall(), STRATEGY))
    prompt = Prompt.of(text, query=query, strategy_id=STRATEGY.id, policy_version="expander-1")
    worth = Reward(value=reward, admitted=True, gates={}, picture=reward, prompt=1.0, parts={})
    return DistillRecord(query=query, prompt=prompt, reward=worth, strategy=STRATEGY, seed=0)


RECORDS = [record(grammar.query(5, index, ["1:1", "3:4", "16:9"], ("en", "zh"))) for index in range(60)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    room = PpoSettings(
        steps=3,
        batch=8,
        checkpoint_steps=2,
        warm_start=WarmStartSettings(steps=8, batch=16),
        workers=0,
        raters=PoolSettings(workers=0),
        loggers=(),
    )
    found = load("embedded", environ={})
    generator = found.generator.model_copy(update={"long_side": 96})
    return found.model_copy(update={"ppo": room, "generator": generator})


def test_a_reward_model_takes_the_place_of_draws(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, path = Features(), tmp_path / "model.safetensors"
    room = RewardModelSettings(crosses=(0,), width=4, hidden=16, layers=1)
    RewardModel(features.size, features.slots, room, 0, features.version).save(path, 1)
    ppo = settings.ppo.model_copy(update={"reward_model": path})
    monkeypatch.setattr(StudioRater, "rate", None)
    start = begin(ppo, RECORDS, tmp_path, lambda stage, done, total: None)
    state = train_here(settings.model_copy(update={"ppo": ppo}), start, tmp_path)
    assert state.progress.draws == 0
    assert [0 < row["reward"] < 2 for row in state.progress.curve] == [True] * ppo.steps
    made = finish(ppo, start, state, tmp_path)
    about = (made / CARD).read_text("utf-8")
    assert '"imagined": true' in about and str(tmp_path) not in about, "a policy goes to other machines"


def test_winners_become_a_policy_that_proposes(settings: Settings, tmp_path: Path) -> None:
    start = begin(settings.ppo, RECORDS, tmp_path, lambda stage, done, total: None)
    state = train_here(settings, start, tmp_path)
    assert [row["step"] for row in state.progress.curve] == [1, 2, 3] and state.progress.draws == 24
    assert all(row["judged"] == 1.0 for row in state.progress.curve)
    again = train_here(settings, start, tmp_path)
    assert again.progress == state.progress, "a run that is over draws nothing more"
    worker = Tiny(TinySettings(weights=finish(settings.ppo, start, state, tmp_path)), Artifacts("memory://x"))
    ((prompt,),) = worker.propose([Query.of("a moon")], [Recall()], STRATEGY, 1, 0)
    assert isinstance(prompt, Prompt) and prompt.text.startswith("a moon")
    assert json.loads((tmp_path / "curve.json").read_text()) == state.progress.curve


def test_the_warm_start_says_what_the_winners_said(settings: Settings, tmp_path: Path) -> None:
    records = RECORDS[:30]
    room = settings.ppo.model_copy(update={"warm_start": WarmStartSettings(steps=60, batch=30, lr=3e-3)})
    worker = Tiny(
        TinySettings(weights=begin(room, records, tmp_path, lambda stage, done, total: None)),
        Artifacts("memory://x"),
    )
    queries = [each.query for each in records]
    prompts = worker.propose(queries, [Recall()] * len(queries), STRATEGY, 1, 0)
    same = [
        isinstance(found, list) and lesson_of(record(query)).values == _values(query, found[0])
        for query, found in zip(queries, prompts, strict=True)
    ]
    assert sum(same) >= 0.8 * len(same)


def _values(query: Query, prompt: Prompt) -> dict[str, str]:
    worth = Reward(value=1, admitted=True, gates={}, picture=1, prompt=1, parts={})
    made = DistillRecord(query=query, prompt=prompt, reward=worth, strategy=STRATEGY, seed=0)
    return dict(lesson_of(made).values)


def test_training_names_no_stranger() -> None:
    unknown = strangers(9)
    assert len(unknown) == 9 and unknown < set(keys("subject")) and strangers(0) == frozenset()
    query = made_queries(PpoSettings())
    named = {key for index in range(400) for key in read_query(query(index)).keys("subject")}
    assert not named & unknown and len(named) > 30
    assert query(7) == made_queries(PpoSettings())(7) != made_queries(PpoSettings(seed=1))(7)


def test_lessons_are_what_the_prompt_adds() -> None:
    query = Query.of("moon, watercolour")
    prompt = Prompt.of(
        "moon, watercolour, cool colours, soft light, bright light",
        query=query,
        strategy_id="s",
        policy_version="p",
    )
    made = record(query).model_copy(update={"prompt": prompt})
    assert lesson_of(made).values == {"palette": "cool", "time": OPEN}, "what is said twice teaches nothing"
    assert len(distinct([lesson_of(made), lesson_of(made), lesson_of(RECORDS[0])])) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"cannot be read .*distill/records\.jsonl"),
        ("", "holds no record"),
        ('{"query": 1}\n', r"line 1: no DistillRecord"),
    ],
)
def test_records_that_are_none_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    (tmp_path / "distill").mkdir()
    if text is not None:
        (tmp_path / "distill" / "records.jsonl").write_text(text)
    with pytest.raises(BadInput, match=message):
        read_records(tmp_path)


def test_a_loops_records_are_its_searchs_and_its_practices(tmp_path: Path) -> None:
    for name, kept in (("search/distill/records", RECORDS[:3]), ("practice/lessons-000", RECORDS[3:5])):
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{each.model_dump_json()}\n" for each in kept))
    (tmp_path / "practice/lessons-001.jsonl").write_text("")
    assert read_records(tmp_path) == RECORDS[:5]
    assert read_records(tmp_path / "search") == RECORDS[:3]


def test_a_rater_draws_judges_and_keeps_no_picture(settings: Settings) -> None:
    rater = StudioRater(settings)
    jobs = [Job(each.query, each.prompt, seed) for seed, each in enumerate(RECORDS[:3])]

    async def rate() -> list[Draw | Failure]:
        try:
            return await rater.rate(jobs)
        finally:
            await rater.close()

    draws = asyncio.run(rate())
    assert all(isinstance(draw, Draw) and draw.reward is not None for draw in draws)
    assert not any(rater._pictures.has(draw.picture.sha256) for draw in draws if draw.picture)


def test_only_what_is_the_prompts_fault_counts_against_it() -> None:
    refused = Failure(stage="audit", kind="Refused", message="weapons")
    late = Failure(stage="judge", kind="TimedOut", message="too late")
    prompt = RECORDS[0].prompt
    assert earned(Draw(query_id="q", index=0, prompt=prompt, failure=refused)) == Earned(0.0, False, False)
    assert earned(Draw(query_id="q", index=0, prompt=prompt, failure=late)) is None
    assert earned(late) is None
    picture = Picture(sha256="0" * 64, width=1, height=1, prompt_id=prompt.id, seed=0, generator_version="g")
    reward = Reward(value=0.0, admitted=False, gates={"intent": False}, picture=0.9, prompt=1, parts={})
    drawn = Draw(query_id="q", index=0, prompt=prompt, picture=picture, reward=reward)
    assert earned(drawn) == Earned(0.0, False, False, gates={"intent": False})


@pytest.mark.parametrize(
    ("workers", "group", "said"),
    [(3, 4, "accepted: a multiple of 12"), (0, 3, "accepted: a multiple of 3"), (1, 1, "group 2 or more")],
)
def test_a_batch_that_cannot_be_divided_is_refused(workers: int, group: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PpoSettings(batch=256, workers=workers, group=group)


def test_a_reward_model_is_found_from_any_folder_and_missed_before_the_warm_start(tmp_path: Path) -> None:
    room = PpoSettings.model_validate({"reward_model": "model.safetensors"})
    assert room.reward_model is not None and room.reward_model.is_absolute()
    told: list[str] = []
    with pytest.raises(BadInput, match="cannot be read"):
        begin(room, RECORDS, tmp_path, lambda stage, done, total: told.append(stage))
    assert not told
