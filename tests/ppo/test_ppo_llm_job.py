"""A run of a language model from winners to a folder that an engine serves, and what is refused before."""

from __future__ import annotations

import builtins
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from actors.engines.checks import check_model, check_weights, shapes_in
from actors.errors import BadInput
from configs.load import load
from configs.pool import PoolSettings
from configs.ppo import PpoSettings, WarmStartSettings
from configs.schema import Settings
from tests.ppo import llm_kit as kit
from train_jobs.ppo.job import begin, finish, train_here
from train_jobs.ppo.llm.model import check, load_words

RECORDS = [kit.record(index, kit.SAID[index % 3]) for index in range(6)]


def settings(model: Path, **change: Any) -> Settings:
    room = PpoSettings(
        policy=kit.policy(model, **change),
        steps=2,
        batch=4,
        micro_tokens=20_000,
        checkpoint_steps=1,
        lr=1e-3,
        warm_up=0,
        warm_start=WarmStartSettings(steps=60, batch=6, lr=3e-2),
        workers=0,
        raters=PoolSettings(workers=0),
        loggers=(),
    )
    found = load("embedded", environ={})
    generator = found.generator.model_copy(update={"long_side": 96})
    return found.model_copy(update={"ppo": room, "generator": generator})


@pytest.mark.parametrize("lora", [kit.LORA, None], ids=["lora", "full"])
def test_winners_become_a_model_that_others_load(tmp_path: Path, lora: Any) -> None:
    from transformers import AutoModelForCausalLM

    model = kit.write_model(tmp_path / "llama")
    room, told = settings(model, lora=lora), []
    start = begin(room.ppo, RECORDS, tmp_path, lambda stage, done, total: told.append(stage))
    state = train_here(room, start, tmp_path)
    assert [row["step"] for row in state.progress.curve] == [1, 2]
    if lora is None:  # adapters over a random base cannot learn to write
        assert state.progress.curve[0]["unread"] < 0.5, "the warm start has taught JSON"
    made = finish(room.ppo, start, state, tmp_path)
    check_model(made, made)
    check_weights(shapes_in(made), shapes_in(model))
    loaded = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32)
    warm = AutoModelForCausalLM.from_pretrained(start / "model", dtype=torch.float32)
    ids = torch.arange(8)[None]
    assert not torch.equal(loaded(ids).logits, warm(ids).logits)
    assert load_words(made).tokenizer.chat_template == kit.TEMPLATE
    assert json.loads((made / "training.json").read_text())["steps"] == 2
    again = train_here(room, start, tmp_path)
    assert str(again.progress) == str(state.progress), "a run that is over draws nothing more"


def test_a_training_begins_with_an_adapter(tmp_path: Path) -> None:
    model = kit.write_model(tmp_path / "llama")
    adapter = kit.write_adapter(tmp_path / "adapter", base="somebody/Llama")
    room = settings(model, adapter=adapter)
    check(room.ppo.policy)  # type: ignore[arg-type]
    start = begin(room.ppo, RECORDS, tmp_path, lambda stage, done, total: None)
    assert train_here(room, start, tmp_path).progress.finished


def refused(room: Settings, records: list[Any], folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        begin(room.ppo, records, folder, lambda stage, done, total: None)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert not (folder / "start").exists()
    return str(caught.value)


def test_what_does_not_belong_together_is_refused_at_once(tmp_path: Path) -> None:
    model = kit.write_model(tmp_path / "llama")
    run = tmp_path / "run"
    assert "no winner to warm the policy up with" in refused(settings(model), [], run)
    assert "holds no config.json" in refused(settings(tmp_path / "nothing"), RECORDS, run)

    small = kit.write_model(tmp_path / "small", vocab_size=100, pad_token_id=0, eos_token_id=1)
    assert "does not belong to the model" in refused(settings(small), RECORDS, run)

    for base, width, said in (
        ("somebody/other", 32, "it was made for 'somebody/other'"),
        ("llama", 64, "has width 64"),
    ):
        adapter = kit.write_adapter(tmp_path / f"adapter-{width}", base=base, width=width)
        message = refused(settings(model, adapter=adapter), RECORDS, run)
        assert "for another base model" in message and said in message

    mute = kit.write_model(tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    assert "has no chat template" in refused(settings(mute), RECORDS, run)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "peft":
            raise ImportError(name)
        return found(name, *rest, **more)

    model = kit.write_model(tmp_path / "llama")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput, match=r"pip install 'atelier-ray\[llm\]'"):
        kit.networks(kit.policy(model))


def test_settings_of_a_language_model(tmp_path: Path) -> None:
    def room(*assignments: str) -> PpoSettings:
        named = ["ppo.policy.type=llm", f"ppo.policy.model={tmp_path}", *assignments]
        return load("embedded", named, environ={}).ppo

    assert (room().lr, room().critic_lr, room().warm_start.lr) == (2e-5, 1e-4, 2e-4)
    assert (room().advantages, room().group, room().decay, room().smoothing) == ("gae", 1, 1.0, 0.0)
    assert (room("ppo.policy.lora=null").lr, room("ppo.lr=0.1").lr) == (1e-6, 0.1)
    assert load("embedded", environ={}).ppo.lr == 1e-3
    assert PpoSettings.model_validate(room("ppo.lr=0.1").model_dump(mode="json")) == room("ppo.lr=0.1")
    for wrong, said in (
        ("ppo.policy.engine.model=/elsewhere", "is not the policy's model"),
        ("ppo.policy.overlong_buffer=9999", "overlong_buffer"),
        ("ppo.reward_model=model.safetensors", "would not see that a query's words are lost"),
    ):
        with pytest.raises(ValueError, match=said):
            room(wrong)
