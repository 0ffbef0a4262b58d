"""The loop over a language model: what it samples, learns, pays for, and goes on with after a stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from actors.contracts import Draw, Failure, Query
from actors.errors import BadInput, StageFailed
from actors.policy.tiny.sampling import Answers
from actors.studio import Job
from configs.ppo import KlSettings, LlmPolicySettings, PpoSettings, WarmStartSettings
from tests.ppo import bandit
from tests.ppo import llm_kit as kit
from tests.ppo.test_ppo_trainer import numbers
from train_jobs.ppo.llm.model import load_words
from train_jobs.ppo.llm.networks import LlmNetworks
from train_jobs.ppo.llm.sampling import LocalSampler
from train_jobs.ppo.llm.speech import LlmSpeech
from train_jobs.ppo.llm.texts import Chat
from train_jobs.ppo.llm.warm_start import warm_start
from train_jobs.ppo.rollout import Roller
from train_jobs.ppo.state import PolicyState
from train_jobs.ppo.trainer import Trainer
from train_jobs.ppo.update import Batch, Learner
from train_jobs.training.ranks import ALONE

RECORDS = [kit.record(index, kit.SAID[index % 3]) for index in range(12)]
SETTINGS = PpoSettings(
    steps=10,
    batch=32,
    epochs=2,
    minibatches=2,
    micro_tokens=20_000,
    lr=5e-3,
    critic_lr=1e-2,
    warm_up=1,
    last_rate=1.0,
    advantages="gae",
    group=1,
    decay=1.0,
    entropy=0.01,
    smoothing=0.0,
    kl=KlSettings(coefficient=0.05),
    checkpoint_steps=3,
    warm_start=WarmStartSettings(steps=40, batch=12, lr=2e-2),
    loggers=(),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has been warmed up: it answers with one of three styles, in JSON."""
    folder = kit.write_model(tmp_path_factory.mktemp("models") / "llama")
    settings = kit.policy(folder, lora=None)
    found = kit.networks(settings, critic=False)
    losses: list[float] = []
    warm_start(
        found,
        Chat(load_words(folder), settings),
        RECORDS,
        SETTINGS,
        progress=lambda step, steps, metrics: losses.append(metrics["loss"]),
    )
    # Three styles, as often each, are a third's surprise on one token of four.
    assert losses[0] > 3 and losses[-1] < 0.4
    from train_jobs.ppo.llm.checkpoint import save_model

    return save_model(folder.with_name("warm"), found.whole(), folder, {})


def speech(settings: LlmPolicySettings, found: LlmNetworks, rows: int = 64) -> LlmSpeech:
    words = load_words(settings.model)
    sampler = LocalSampler(found, longest=settings.longest_answer, ends=words.ends, pad=words.pad, rows=rows)
    return LlmSpeech(Chat(words, settings), settings, sampler)


def queries(index: int) -> Query:
    return Query.of(f"something {index}", lang="en")


async def rate(jobs: Sequence[Job]) -> list[Draw | Failure]:
    """Retro is what is wanted."""
    return [bandit.draw_of(job, float("retro" in job.prompt.text)) for job in jobs]


def train(settings: PpoSettings, policy: LlmPolicySettings, **more: Any) -> PolicyState:
    found = kit.networks(policy)
    trainer = Trainer(settings, found, speech(policy, found), queries, rate, **more)
    return asyncio.run(trainer.run())


@pytest.mark.parametrize(
    ("lora", "change"),
    [(kit.LORA, {}), (None, {"lr": 1e-3}), (kit.LORA, {"advantages": "grpo", "group": 4})],
    ids=["lora", "full", "grpo"],
)
def test_what_is_wanted_is_learnt(model: Path, lora: Any, change: dict[str, Any]) -> None:
    settings = PpoSettings.model_validate(SETTINGS.model_dump() | change)
    curve = train(settings, kit.policy(model, lora=lora)).progress.curve
    assert curve[0]["admission"] < 0.5 and sum(row["admission"] for row in curve[-3:]) / 3 > 0.75
    assert all(row["mismatch_kl"] < 1e-3 for row in curve[:1])
    assert [row["staleness"] for row in curve[:3]] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_run_that_stopped_goes_on_to_the_same_curve(tmp_path: Path, model: Path, ahead: int) -> None:
    settings = SETTINGS.model_copy(
        update={"steps": 6, "ahead": ahead, "kl": KlSettings(coefficient=0.05, target=1.0, horizon=500)}
    )
    policy = kit.policy(model)
    whole = train(settings, policy, keep=lambda state: state.save(tmp_path / str(state.progress.step)))
    resumed = train(settings, policy, state=PolicyState.load(tmp_path / "3"))
    assert numbers(resumed) == pytest.approx(numbers(whole), abs=1e-6)


def sampled(policy: LlmPolicySettings, found: LlmNetworks, rows: int = 64) -> tuple[Roller, Any, Batch]:
    roller = Roller(SETTINGS, speech(policy, found, rows), queries, ALONE)
    rollout = asyncio.run(roller.sample(0))
    draws = asyncio.run(rate(roller.jobs(rollout)))
    return roller, rollout, roller.batch(rollout, draws)[0]


def test_sampled_log_probs_are_those_of_the_networks(model: Path) -> None:
    policy = kit.policy(model)
    found = kit.networks(policy)
    _, rollout, batch = sampled(policy, found)
    said = found.log_probs(batch.texts).log_probs.detach()
    mask = batch.texts.mask
    torch.testing.assert_close(batch.sampled[mask], said[mask], atol=1e-5, rtol=0)
    _, few, _ = sampled(policy, found, rows=5)
    assert few.prompts == rollout.prompts, "an answer does not hang on what is sampled beside it"
    assert len({prompt.text for prompt in rollout.prompts if prompt}) >= 3


def test_an_answer_without_a_prompt_earns_nothing(model: Path) -> None:
    policy = kit.policy(model, longest_answer=2)
    roller, rollout, batch = sampled(policy, kit.networks(policy))
    assert not any(rollout.prompts) and roller.jobs(rollout) == []
    assert batch.texts.mask.any() and not batch.scores.any()
    curve = train(SETTINGS.model_copy(update={"steps": 1}), policy).progress.curve
    assert (curve[0]["unread"], curve[0]["unended"], curve[0]["judged"]) == (1.0, 1.0, 1.0)


def test_length_and_a_missing_end_cost_what_the_settings_say(model: Path) -> None:
    words = load_words(model)
    ids = torch.tensor([[5, words.end, words.pad, words.pad], [5, 5, 5, words.end], [5, 5, 5, 5]])
    answers = Answers(ids, ids != words.pad, torch.zeros(3, 4))
    scores = torch.ones(3)

    def priced(**change: Any) -> tuple[list[float], list[int]]:
        policy = kit.policy(model, longest_answer=4, **change)
        found, mask = speech(policy, kit.networks(policy)).priced(answers, scores)
        return found.tolist(), mask.sum(1).tolist()

    assert priced() == ([1, 1, 1], [2, 4, 4])
    assert priced(missing_end_penalty=0.5) == ([1, 1, 0.5], [2, 4, 4])
    assert priced(overlong_buffer=4, overlong_penalty=0.4)[0] == pytest.approx([0.8, 0.6, 0.6])
    assert priced(learn_cut_off=False) == ([1, 1, 1], [2, 4, 0])


def test_numbers_that_are_none_leave_the_batch_behind(tmp_path: Path, model: Path) -> None:
    policy = kit.policy(model)
    found = kit.networks(policy)
    _, _, batch = sampled(policy, found)
    learner = Learner(found, SETTINGS, 0, folder=tmp_path)
    with torch.no_grad():
        next(iter(found.trained["actor"].values())).fill_(torch.nan)
    with pytest.raises(StageFailed, match=r"step 4: .*not finite.*log_probs; the batch is in") as caught:
        learner.learn(batch, 4)
    (place,) = tmp_path.iterdir()
    assert str(place) in str(caught.value)
    assert torch.equal(load_file(place / "batch.safetensors")["answers"], batch.texts.answers)
    assert json.loads((place / "batch.json").read_text())["step"] == 4
    with pytest.raises(StageFailed, match="logits are not finite"):
        sampled(policy, found)


def test_a_warm_start_that_breaks_leaves_the_batch_behind(tmp_path: Path, model: Path) -> None:
    policy = kit.policy(model)
    found = kit.networks(policy, critic=False)
    with torch.no_grad():
        next(iter(found.trained["actor"].values())).fill_(torch.nan)
    chat = Chat(load_words(model), policy)
    with pytest.raises(StageFailed, match=r"warm start, step 0: .*is in .*broken-warm-start-0-rank-0"):
        warm_start(found, chat, RECORDS, SETTINGS, folder=tmp_path)
    assert (tmp_path / "broken-warm-start-0-rank-0" / "batch.safetensors").exists()


def test_what_is_too_long_is_said(model: Path) -> None:
    chat = Chat(load_words(model), kit.policy(model, longest_query=5, longest_answer=3))
    with pytest.raises(BadInput, match=r"longest_query=5"):
        chat.query(queries(0))
    with pytest.raises(BadInput, match=r"longest_answer=3"):
        chat.answer(RECORDS[0].prompt)
