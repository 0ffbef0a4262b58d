"""A chat model behind an engine looks like one behind HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from actors.artifacts import Artifacts
from actors.clients.chat import ChatClient, Message
from actors.clients.errors import BadAnswer
from actors.clients.structured import ask_structured
from actors.contracts import Prompt, Query, Recall, Strategy
from actors.engines import chat as chat_room
from actors.engines.chat import EngineChat, open_chat
from actors.engines.host import EngineHost
from actors.engines.nouns import Ask
from actors.policy.llm import Llm
from configs.engine import VllmSettings
from configs.http import ChatSettings, HttpSettings
from configs.load import SettingsError, load
from configs.policy import LlmSettings
from tests.engines.fake_engine import FakeCluster

ENGINE = VllmSettings(model=Path("/models/tiny"))
SCHEMA: dict[str, Any] = {
    "title": "mood",
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
}


def chat_with(text: str, **chat: Any) -> tuple[EngineChat, FakeCluster]:
    cluster = FakeCluster()

    async def launch(settings: VllmSettings) -> Any:
        remote = await cluster.launch(settings)
        remote.text = lambda ask: text
        return remote

    return EngineChat(ENGINE, ChatSettings(**chat), EngineHost(ENGINE, launch)), cluster


def asks(cluster: FakeCluster) -> list[Ask]:
    return cluster.launched[0].asks


def test_a_question_with_a_picture_and_a_schema():
    chat, cluster = chat_with('{"mood": "calm"}', temperature=0.2, max_tokens=64)
    messages = [Message("system", "Judge."), Message("user", "this", (("image/png", b"PNG"),))]
    answer = asyncio.run(ask_structured(chat, messages, SCHEMA, dict, seed=2**63 + 5))
    assert answer.value == {"mood": "calm"} and answer.weight_version == "base"
    (ask,) = asks(cluster)
    assert (ask.temperature, ask.max_tokens, ask.seed, ask.json_schema) == (0.2, 64, 5, SCHEMA)
    assert ask.messages[1]["content"][0]["image_url"]["url"] == "data:image/png;base64,UE5H"


def test_what_the_service_would_be_told_decides_what_the_engine_enforces():
    for form, schema, plain in (("json_object", None, True), ("none", None, False)):
        chat, cluster = chat_with('{"mood": "calm"}', answer_format=form)
        asyncio.run(ask_structured(chat, [Message("user", "hi")], SCHEMA, dict))
        assert (asks(cluster)[0].json_schema, asks(cluster)[0].json_object) == (schema, plain)


def test_a_malformed_answer_is_sent_back():
    chat, cluster = chat_with("no idea", repairs=1)
    with pytest.raises(BadAnswer, match="no JSON object"):
        asyncio.run(ask_structured(chat, [Message("user", "hi")], SCHEMA, dict))
    assert [len(ask.messages) for ask in asks(cluster)] == [1, 3]


def test_an_empty_answer_is_named_by_the_engine():
    chat, _ = chat_with("  ")
    with pytest.raises(BadAnswer, match=r"engine tiny answers with a wrong field: choices\.0"):
        asyncio.run(chat.ask([Message("user", "hi")]))


def test_prompts_say_which_weights_wrote_them(monkeypatch: pytest.MonkeyPatch):
    cluster = FakeCluster()

    async def launch(settings: VllmSettings) -> Any:
        remote = await cluster.launch(settings)
        remote.text = lambda ask: json.dumps({"prompts": [{"text": "a moon", "negative": ""}]})
        return remote

    async def work() -> Any:
        host = EngineHost(ENGINE, launch)
        monkeypatch.setattr(chat_room, "EngineHost", lambda settings: host)
        llm = Llm(LlmSettings(engine=ENGINE), Artifacts("memory://engine"))
        first = await llm.propose([Query.of("a moon")], [Recall()], Strategy.of({}), 1, 0)
        await host.update("v7", [b"weights"])
        second = await llm.propose([Query.of("a moon")], [Recall()], Strategy.of({}), 1, 0)
        await llm.close()
        return first[0], second[0]

    for prompts, version in zip(asyncio.run(work()), ("base", "v7"), strict=True):
        (prompt,) = prompts
        assert isinstance(prompt, Prompt)
        assert prompt.policy_version.startswith("llm-1:tiny:")
        assert prompt.policy_version.endswith(f"@{version}")


def test_settings_choose_between_service_and_engine():
    http, chat = HttpSettings(), ChatSettings()
    assert isinstance(open_chat(http, chat, None), ChatClient)
    assert isinstance(open_chat(http, chat, ENGINE), EngineChat)
    settings = load("gpu", ["policy.engine.model=/models/qwen", "judge.engine.model=/models/qwen"], {})
    assert settings.policy.engine == settings.judge.engine  # type: ignore[union-attr]
    with pytest.raises(SettingsError, match="http and engine are both set"):
        load("gpu", ["policy.engine.model=/m", "policy.http.model=m"], {})
    with pytest.raises(SettingsError, match="share_gpu"):
        load("gpu", ["policy.engine={model: /m, tensor_parallel: 2, share_gpu: 2}"], {})
    with pytest.raises(SettingsError, match=r"engine\.modle.*accepted: .*model"):
        load("gpu", ["policy.engine={modle: /m}"], {})


def test_gpus_that_ray_reserves():
    def gpus(**change: Any) -> float:
        return VllmSettings(model=Path("/m"), **change).num_gpus

    assert [gpus(), gpus(device="cpu"), gpus(share_gpu=4), gpus(tensor_parallel=8)] == [1, 0, 0.25, 8]
