"""The loop learns what is there to be learnt, nothing else, and goes on as if it had not stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from actors.contracts import Draw, Failure
from actors.errors import StageFailed
from actors.policy.tiny.sampling import pad_left
from actors.policy.tiny.worker import grammar_of
from actors.studio import Job
from actors.vocabulary import read
from configs.ppo import KlSettings, PpoSettings
from tests.ppo import bandit
from train_jobs.ppo.state import PolicyState
from train_jobs.ppo.trainer import Trainer


def train(settings: PpoSettings, seed: int = 0, rate: Any = bandit.rate, **more: Any) -> PolicyState:
    torch.manual_seed(0)
    trainer = Trainer(settings, bandit.actor(seed), bandit.tokens(), bandit.queries, rate, **more)
    return asyncio.run(trainer.run())


def admission(state: PolicyState, last: int = 5) -> float:
    rows = state.progress.curve[-last:]
    return sum(row["admission"] for row in rows) / len(rows)


@pytest.mark.parametrize("seed", range(5))
def test_the_known_best_answer_is_found(seed: int) -> None:
    state = train(bandit.SETTINGS.model_copy(update={"seed": seed}), seed)
    assert state.progress.curve[0]["admission"] < 0.2
    assert admission(state) > 0.85


def test_each_frame_gets_its_own_answer() -> None:
    settings = bandit.SETTINGS.model_copy(update={"steps": 60, "lr": 3e-3})
    assert admission(train(settings, rate=bandit.rate_by_frame)) > 0.85


@pytest.mark.parametrize("advantages", ["grpo", "rloo"])
def test_groups_do_without_a_critic(advantages: str) -> None:
    update = {"advantages": advantages, "group": 4, "steps": 40}
    assert admission(train(PpoSettings.model_validate(bandit.SETTINGS.model_dump() | update))) > 0.85


def test_rewards_of_others_teach_nothing() -> None:
    async def permuted(jobs: Sequence[Job]) -> list[Draw | Failure]:
        values = [bandit.worth(job) for job in jobs]
        random.Random(jobs[0].seed).shuffle(values)
        return [bandit.draw_of(job, value) for job, value in zip(jobs, values, strict=True)]

    told: list[float] = []

    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        told.append(sum(bandit.worth(job) > 0.75 for job in jobs) / len(jobs))
        return await permuted(jobs)

    train(bandit.SETTINGS.model_copy(update={"entropy": 0.02}), rate=rate)
    assert sum(told[-10:]) / 10 < 0.3


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_run_that_stopped_goes_on_to_the_same_curve(tmp_path: Path, ahead: int) -> None:
    settings = bandit.SETTINGS.model_copy(update={"steps": 20, "ahead": ahead})
    settings = settings.model_copy(update={"kl": KlSettings(coefficient=0.05, target=1.0, horizon=500)})

    def keep(state: PolicyState) -> None:
        state.save(tmp_path / str(state.progress.step))

    whole = train(settings, keep=keep)
    for stop in (7, 14):
        resumed = train(settings, seed=99, state=PolicyState.load(tmp_path / str(stop)))
        assert numbers(resumed) == pytest.approx(numbers(whole), abs=1e-6)


def test_an_answer_that_nobody_judged_teaches_nothing() -> None:
    """Half of the draws fail; the rest teaches as if there were no others."""

    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        draws = await bandit.rate(jobs)
        lost = Failure(stage="generator", kind="TimedOut", message="too slow")
        return [lost if i % 2 else draw for i, draw in enumerate(draws)]

    state = train(bandit.SETTINGS, rate=rate)
    assert all(row["judged"] == 0.5 for row in state.progress.curve)
    assert admission(state) > 0.85


def test_a_step_without_any_judgement_says_why() -> None:
    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        return [Failure(stage="judge", kind="TimedOut", message="the judge is down") for _ in jobs]

    with pytest.raises(StageFailed, match=r"no answer of step 0 could be judged; .*the judge is down"):
        train(bandit.SETTINGS, rate=rate)


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        return await bandit.rate(jobs)

    settings = bandit.SETTINGS.model_copy(update={"warm_up": 0, "lr": 1e30})
    with pytest.raises(StageFailed, match="not finite"):
        train(settings, rate=rate)


def test_distance_is_kept_by_its_price() -> None:
    free = train(bandit.SETTINGS.model_copy(update={"kl": KlSettings(coefficient=0)}))
    dear = train(bandit.SETTINGS.model_copy(update={"kl": KlSettings(coefficient=0.8)}))
    assert dear.progress.curve[-1]["kl"] < 0.5 * free.progress.curve[-1]["kl"]


def test_the_next_batch_is_drawn_while_one_is_learnt_from() -> None:
    async def slow(jobs: Sequence[Job]) -> list[Draw | Failure]:
        await asyncio.sleep(0.15)
        return await bandit.rate(jobs)

    def idle(ahead: int) -> float:
        settings = bandit.SETTINGS.model_copy(update={"steps": 8, "ahead": ahead, "epochs": 12})
        rows = train(settings, rate=slow).progress.curve[2:]
        return float(sum(row["idle"] for row in rows) / len(rows))

    assert idle(1) < 0.5 * idle(0)


def numbers(state: PolicyState) -> list[float]:
    return [
        row[name]
        for row in state.progress.curve
        for name in ("admission", "kl", "entropy", "policy_loss", "value_loss", "kl_coefficient")
    ]


@pytest.mark.parametrize("advantages", ["rloo", "gae"])
def test_credits_teach_each_word_by_itself(advantages: str) -> None:
    """The reward at the end is always nothing; only the dimensions tell which words are right."""
    wanted = {"composition": "thirds", "color": "cool", "lighting": "soft"}
    facets = {"composition": "layout", "color": "palette", "lighting": "light"}
    right: list[float] = []

    async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
        draws: list[Draw | Failure] = []
        for job in jobs:
            said = read(job.prompt.text.removeprefix(job.query.text))
            parts = {name: float(key in said.keys(facets[name])) for name, key in wanted.items()}  # type: ignore[arg-type]
            right.append(sum(parts.values()) / 3)
            draw = bandit.draw_of(job, 0.0)
            assert draw.reward is not None
            draws.append(draw.model_copy(update={"reward": draw.reward.model_copy(update={"parts": parts})}))
        return draws

    def learnt(credit: float) -> float:
        right.clear()
        update = {"advantages": advantages, "group": 4, "decay": 0.2, "credit": credit, "steps": 30}
        settings = PpoSettings.model_validate(bandit.SETTINGS.model_dump() | update)
        train(settings, rate=rate, weights=dict.fromkeys(wanted, 1.0))
        return sum(right[-256:]) / 256

    assert learnt(6.0) > 0.8
    assert learnt(0.0) < 0.4


def test_smoothing_keeps_every_word_in_reach() -> None:
    """An entropy bonus cannot: its gradient fades with the probability."""

    def rarest(**update: float) -> float:
        settings = bandit.SETTINGS.model_copy(update={"steps": 40, "lr": 1e-2, **update})
        actor, asked = bandit.actor(), [bandit.queries(0)]
        actor.load_state_dict(train(settings).actor)
        ids, mask = pad_left([bandit.tokens().query(query) for query in asked], bandit.tokens().pad)
        usable = grammar_of(bandit.tokens(), asked).after(torch.tensor([bandit.tokens().pad]))
        with torch.no_grad():
            logits = actor(ids, mask, last=1)[0][:, -1].masked_fill(~usable, -torch.inf)
        return float(logits.softmax(-1)[usable].min())

    without, with_it = rarest(entropy=0.05), rarest(smoothing=0.3)
    assert with_it > 5 * without


def test_a_step_tells_what_it_cost_and_what_it_learnt_from() -> None:
    state = train(bandit.SETTINGS.model_copy(update={"steps": 3}))
    for row in state.progress.curve:
        assert 0 <= row["score_min"] <= row["reward"] + row["admission"] <= row["score_max"] <= 2
        assert row["advantage_std"] > 0 and row["return_std"] > 0
        assert 0 < row["learning_seconds"] <= row["seconds"] and row["sampling_seconds"] > 0
        assert row["tokens_per_second"] > 0
