import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from actors.contracts import Draw, Failure, Judgement, Prompt, Query, Recall, Reward
from actors.intervals import wilson
from actors.policy.expander import default_strategy, engineer, write
from actors.policy.tiny.checkpoint import save
from actors.policy.tiny.tokens import Tokens
from actors.studio import Job
from actors.vocabulary import keys
from configs.load import load
from configs.reward import RewardSettings
from train_jobs.loop import measuring
from train_jobs.loop.measuring import Measured, copies, drawn, measure, summaries, tail
from train_jobs.loop.unseen import unseen
from train_jobs.loop.winners import attempts, records
from train_jobs.ppo.start import new

QUERY = Query.of("a lighthouse at night", title="Home")
STRATEGY = default_strategy()


def draw(job: Job, admitted: bool) -> Draw:
    outcome = Reward(
        value=0.9 if admitted else 0.4,
        admitted=admitted,
        gates={"intent": True},
        picture=0.9 if admitted else 0.4,
        prompt=0.9,
        parts={},
    )
    return Draw(
        query_id=job.query.id,
        index=job.index,
        prompt=job.prompt,
        judgement=Judgement(scores={}, judge_version="fake"),
        reward=outcome,
    )


async def lucky(jobs: Sequence[Job]) -> list[Draw | Failure]:
    """Admits a prompt that pins the layout down, in two of three seeds."""
    return [draw(job, "layout" in job.prompt.text and job.seed % 3 > 0) for job in jobs]


def prompt(query: Query, text: str) -> Prompt:
    return Prompt.of(text, query=query, strategy_id="test", policy_version="test")


def measured(pattern: list[list[bool]]) -> Measured:
    queries = tuple(Query.of(f"a lighthouse {n}") for n in range(len(pattern)))
    prompts = tuple(prompt(query, query.text) for query in queries)
    draws = [
        draw(Job(query, said, turn, turn), admitted)
        for query, said, row in zip(queries, prompts, pattern, strict=True)
        for turn, admitted in enumerate(row)
    ]
    return Measured(queries, (), prompts, draws, len(pattern[0]), 1.0)


def test_a_prompt_copies_when_subjects_and_title_are_in_it() -> None:
    assert copies(QUERY, write(QUERY, {"style": "minimal"}))
    assert not copies(QUERY, "a lighthouse at night")  # the title is lost
    assert not copies(QUERY, 'a boat at night, title "Home"')


def test_a_tail_is_what_the_query_did_not_say() -> None:
    assert tail(QUERY, write(QUERY, {"style": "minimal", "layout": "thirds"})) == (
        "style=minimal",
        "layout=thirds",
    )


def test_attempts_begin_with_the_strategys_own_prompt_and_only_winners_become_records() -> None:
    queries = [Query.of("a lighthouse"), Query.of("一只猫")]
    jobs = attempts(queries, STRATEGY, 3, 5)
    assert [(job.query.id, job.index) for job in jobs] == [(q.id, n) for q in queries for n in range(3)]
    for query in queries:
        own = write(query, engineer(query, Recall(), STRATEGY))
        assert next(job.prompt.text for job in jobs if job.query is query) == own
    draws: list[Draw | Failure] = [draw(job, job.index == 1) for job in jobs]
    draws[4] = Failure(stage="judge", kind="Broken", message="no")
    found = records(jobs, draws, STRATEGY)
    assert [record.prompt.id for record in found] == [jobs[1].prompt.id]
    assert found[0].seed == jobs[1].seed


def test_best_of_k_counts_a_query_once_and_all_its_draws_as_cost() -> None:
    pattern = [[True, False], [False, False], [True, True], [False, True]]
    found = summaries(
        {"search": measured(pattern), "best_of_k": measured(pattern)}, RewardSettings(), frozenset()
    )
    assert found["search"]["admission"] == 0.5
    assert found["search"]["draws_per_admitted"] == 2.0
    best = found["best_of_k"]
    assert (best["k"], best["admission"], best["draws_per_admitted"]) == (2, 0.75, 2 / 0.75)
    assert best["admission_interval"] == wilson(3, 4)


def test_strangers_are_counted_apart() -> None:
    found = summaries({"sft": measured([[True]] * 3)}, RewardSettings(), frozenset({"lighthouse"}))["sft"]
    assert found["strange"]["admission"] == 1.0
    assert found["familiar"]["interval"] == (0.0, 1.0)


def test_a_gain_is_paired_and_its_interval_holds_it() -> None:
    before = measured([[False, False]] * 10 + [[True, True]] * 10)
    after = measured([[True, False]] * 10 + [[True, True]] * 10)
    arms = {"policy_before": before, "search": after, "sft": before, "policy_after": after}
    gain = measuring.gains(arms)
    assert gain["sft"]["points"] == 0.25
    low, high = gain["sft"]["interval"]
    assert 0.1 < low < 0.25 < high < 0.4
    assert gain["search"] == {"points": 0.0, "interval": (0.0, 0.0)}


def test_drawn_keeps_the_order_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "AT_ONCE", 4)
    jobs = [Job(QUERY, prompt(QUERY, f"text {n}"), n, n) for n in range(10)]
    told: list[int] = []
    draws = asyncio.run(drawn(lucky, jobs, lambda done, total: told.append(done)))
    assert [each.index for each in draws if isinstance(each, Draw)] == list(range(10))
    assert told == [0, 4, 8, 10]


def test_all_ways_meet_the_same_queries_with_the_same_seeds(tmp_path: Path) -> None:
    familiar = keys("subject")
    save(tmp_path / "policy", new(Tokens(familiar), 0), familiar, {})
    settings = load("embedded", ["loop.draws=2", "loop.best_of=3"])
    data = unseen(8, 2, frozenset())
    seeds: dict[str, set[int]] = {}

    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        for job in jobs:
            seeds.setdefault(job.query.id, set()).add(job.seed)
        return await lucky(jobs)

    policies = {"sft": tmp_path / "policy", "policy_after": tmp_path / "policy"}
    arms = asyncio.run(measure(settings, rate, data, STRATEGY, policies, lambda *told: None))
    assert list(arms) == ["search", "best_of_k", "sft", "policy_after"]
    assert {name: len(each.draws) for name, each in arms.items()} == {
        "search": 20,
        "best_of_k": 30,
        "sft": 20,
        "policy_after": 20,
    }
    # Two seeds of first draws, shared by all ways, and three of the best of several.
    assert {len(each) for each in seeds.values()} == {5}
    assert arms["sft"].draws == arms["policy_after"].draws
