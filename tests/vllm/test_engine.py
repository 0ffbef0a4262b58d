"""vLLM on a tiny random Qwen3, against transformers on the same weights."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from actors.engines.errors import EngineRefused
from actors.engines.nouns import Adapter, Ask
from tests.vllm import tiny
from tests.vllm.conftest import Kit, kit

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]
HELLO: Any = ({"role": "user", "content": "hello"},)
PROMPT = tuple(range(40, 72))
LONG = tuple(number % 200 for number in range(300))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, ray_session: str) -> Iterator[Kit]:
    folder = tiny.write_qwen(tmp_path_factory.mktemp("models") / "qwen")
    yield from kit(folder, lora_rank=8)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights for the same model."""
    return tiny.write_qwen(tmp_path_factory.mktemp("models") / "other", seed=1)


def greedy(folder: Path, prompt: tuple[int, ...], tokens: int) -> tuple[tuple[int, ...], list[float]]:
    """What transformers answers, and the logarithms of its probabilities."""
    from transformers import Qwen3ForCausalLM

    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    words = list(prompt)
    logprobs = []
    with torch.no_grad():
        for _ in range(tokens):
            scores = model(torch.tensor([words])).logits[0, -1].log_softmax(-1)
            words.append(int(scores.argmax()))
            logprobs.append(float(scores.max()))
    return tuple(words[len(prompt) :]), logprobs


def test_the_likeliest_tokens_are_those_of_the_weights(engine: Kit):
    tokens, logprobs = greedy(engine.folder, PROMPT, 12)
    first, again = (
        engine.sample(token_ids=PROMPT, temperature=0, max_tokens=12, logprobs=True) for _ in range(2)
    )
    assert first == again
    assert first.token_ids == tokens
    assert first.logprobs == pytest.approx(logprobs, abs=1e-3)
    assert (first.weight_version, first.finish_reason) == ("base", "length")


def test_chat_and_many_samples_by_seed(engine: Kit):
    ask = Ask(messages=HELLO, n=3, seed=7, max_tokens=8)
    one, two = engine.run(engine.host.generate(ask)), engine.run(engine.host.generate(ask))
    assert [s.token_ids for s in one.samples] == [s.token_ids for s in two.samples]
    assert len({s.token_ids for s in one.samples}) == 3
    words = tiny.tokenizer()
    assert words.decode(one.prompt_token_ids) == (
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_json_of_a_schema(engine: Kit):
    schema = {
        "type": "object",
        "properties": {
            "good": {"type": "boolean"},
            "note": {"type": "string", "maxLength": 12},
            "score": {"type": "integer", "minimum": 0, "maximum": 10},
            "kinds": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 2},
        },
        "required": ["good", "note", "score", "kinds"],
        "additionalProperties": False,
    }
    for seed in range(4):
        answer = json.loads(engine.sample(messages=HELLO, json_schema=schema, seed=seed).text)
        assert set(answer) == set(schema["required"]) and 0 <= answer["score"] <= 10
        assert len(answer["kinds"]) == 2


def test_what_cannot_be_asked_is_said(engine: Kit):
    with pytest.raises(EngineRefused, match="maximum context length is 2048"):
        engine.sample(messages=({"role": "user", "content": "x" * 4000},))
    with pytest.raises(EngineRefused, match="Grammar error"):
        engine.sample(messages=HELLO, json_schema={"type": "no such type"})


def test_an_adapter_changes_samples_and_one_for_another_base_is_refused(engine: Kit, tmp_path: Path):
    ask: dict[str, Any] = {"token_ids": PROMPT, "temperature": 0, "max_tokens": 12}
    plain = engine.sample(**ask)
    fits = Adapter(name="style-1", folder=str(tiny.write_adapter(tmp_path / "fits")))
    tuned = engine.sample(**ask, adapter=fits)
    assert tuned.token_ids != plain.token_ids and tuned.weight_version == "base+style-1"
    assert engine.sample(**ask) == plain
    with pytest.raises(EngineRefused, match="stands for"):
        engine.sample(**ask, adapter=Adapter(name="style-1", folder=str(tmp_path / "elsewhere")))
    for name, change, said in (
        ("wide", {"width": 64}, "another base model"),
        ("high", {"rank": 16}, "rank 16"),
    ):
        folder = tiny.write_adapter(tmp_path / name, **change)
        with pytest.raises(EngineRefused, match=said):
            engine.sample(**ask, adapter=Adapter(name=name, folder=str(folder)))


def test_paused_requests_wait_and_health_answers_meanwhile(engine: Kit):
    async def paused() -> int:
        await engine.host.pause()
        waiting = asyncio.create_task(engine.host.generate(Ask(token_ids=PROMPT, max_tokens=4)))
        await asyncio.sleep(0.5)
        health = await engine.host.health()
        assert health.paused and not waiting.done()
        await engine.host.resume()
        return (await waiting).output_tokens

    assert engine.run(paused()) == 4
    assert not engine.run(engine.host.health()).paused


def test_the_prefix_cache_serves_and_forgets(engine: Kit):
    def cached() -> int:
        return engine.run(engine.host.generate(Ask(token_ids=LONG, max_tokens=1))).cached_tokens

    cached()
    assert cached() > 0
    engine.run(engine.host.reset_prefix_cache())
    assert cached() == 0


def test_new_weights_are_in_the_very_next_sample(engine: Kit, other: Path):
    host = engine.host

    async def change() -> Any:
        under_way = asyncio.create_task(
            host.generate(Ask(token_ids=LONG, temperature=0.9, seed=1, max_tokens=400))
        )
        while not (await host.health()).running:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await host.update("v1", tiny.weights(other))
        return (await under_way).samples[0]

    mixed = engine.run(change())
    assert [span.version for span in mixed.spans] == ["base", "v1"] and mixed.weight_version == "v1"
    answer = engine.run(host.generate(Ask(token_ids=LONG, temperature=0, max_tokens=12, logprobs=True)))
    tokens, logprobs = greedy(other, LONG, 12)
    (sample,) = answer.samples
    assert sample.token_ids == tokens and sample.logprobs == pytest.approx(logprobs, abs=1e-3)
    assert sample.weight_version == "v1"
    with pytest.raises(EngineRefused, match="is missing"):
        engine.run(host.update("v2", tiny.weights(other)[:1]))
    assert engine.sample(token_ids=PROMPT, max_tokens=1).weight_version == "v1"


def test_a_killed_engine_process_is_replaced_and_keeps_its_weights(engine: Kit, other: Path):
    host = engine.host

    async def kill_meanwhile() -> Any:
        before = await host.health()
        under_way = asyncio.create_task(host.generate(Ask(token_ids=PROMPT, temperature=0, max_tokens=1500)))
        while not (await host.health()).running:
            await asyncio.sleep(0.01)
        core = next(p for p in before.children if "EngineCore" in psutil.Process(p).name())
        os.kill(core, signal.SIGKILL)
        answer = await under_way
        return before, await host.health(), answer.samples[0]

    before, after, sample = engine.run(kill_meanwhile())
    assert host.restarts == 1 and before.pid != after.pid
    assert sample.weight_version == "v1" == after.weight_version
    assert sample.token_ids[:12] == greedy(other, PROMPT, 12)[0]
    assert gone(before.pid, *before.children)


def test_a_killed_actor_leaves_no_process(engine: Kit):
    health = engine.run(engine.host.health())
    assert len(health.children) >= 2
    os.kill(health.pid, signal.SIGKILL)
    assert gone(*health.children)


def gone(*pids: int) -> bool:
    """Whether all of them have ended within a few seconds."""
    ends = time.monotonic() + 15
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
        if time.monotonic() > ends:
            return False
        time.sleep(0.1)
    return True
