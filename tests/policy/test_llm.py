"""The policy over a chat service."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from actors.artifacts import Artifacts
from actors.contracts import Failure, Memory, Prompt, Query, Recall, Strategy
from actors.policy.llm import Llm
from configs.http import HttpSettings
from configs.policy import LlmSettings
from tests.fake_service import HTML, FakeService, chat_json, reused

ARTIFACTS = Artifacts("memory://llm")
STRATEGY = Strategy.of(
    {
        "instruction": "Be bold.",
        "clauses": "soft light",
        "rules": "when title: negative space",
        "avoid": "neon",
    }
)
EN = Query.of('a cover for "City Walk"', aspect="3:4")
ZH = Query.of("画一张湖边的月亮海报", title="月色")


def prompts_json(*texts: str, negative: str = "fog") -> httpx.Response:
    return chat_json(json.dumps({"prompts": [{"text": t, "negative": negative} for t in texts]}))


def write(body: dict[str, Any]) -> httpx.Response:
    request = json.loads(body["messages"][1]["content"])
    return prompts_json(*(f"{request['request']}, take {i}" for i in range(request["prompts_wanted"])))


def propose(
    fake: FakeService, *queries: Query, recall: Recall | None = None, n: int = 2, seed: int = 0
) -> list[list[Prompt] | Failure]:
    settings = LlmSettings(
        http=HttpSettings(base_url="http://fake/v1", model="m", retries=0, max_in_flight=1)
    )
    llm = Llm(settings, ARTIFACTS, transport=fake.transport)
    recalls = [recall or Recall()] * len(queries)
    return asyncio.run(llm.propose(queries, recalls, STRATEGY, n, seed))


def test_n_prompts_a_query_in_order():
    answers = propose(FakeService(usual=write), EN, ZH)
    for query, prompts in zip((EN, ZH), answers, strict=True):
        assert isinstance(prompts, list)
        assert [p.text for p in prompts] == [f"{query.text}, take 0", f"{query.text}, take 1"]
        assert {(p.query_id, p.aspect, p.strategy_id, p.negative) for p in prompts} == {
            (query.id, query.aspect, STRATEGY.id, "fog")
        }
        assert prompts[0].policy_version.startswith("llm-1:m:")


def test_the_strategy_is_instructions_and_what_users_wrote_is_material():
    fields = {"lang": "en", "aspect": "3:4", "reward": 0.8, "admitted": True, "time": 0.0}
    good = Memory(id="1", query="old query", prompt="old prompt", **fields)  # type: ignore[arg-type]
    bad = Memory(id="2", query="sad query", prompt="sad prompt", causes=("title",), **fields)  # type: ignore[arg-type]
    fake = FakeService(usual=write)
    propose(fake, EN, ZH, recall=Recall(good=(good,), bad=(bad,)))
    english, chinese = (body["messages"] for body in fake.bodies)
    for said in ("Be bold.", "soft light", "when title: negative space", "neon"):
        assert said in english[0]["content"] and said in chinese[0]["content"]
    assert "艺术指导" in chinese[0]["content"] and "art director" in english[0]["content"]
    for words in (EN.text, "old query", "sad prompt"):
        assert words not in english[0]["content"]
    assert json.loads(chinese[1]["content"]) == {
        "request": ZH.text,
        "frame": "1:1",
        "prompts_wanted": 2,
        "title": "月色",
        "admitted": [{"request": "old query", "frame": "3:4", "prompt": "old prompt", "reward": 0.8}],
        "failed": [{"request": "sad query", "frame": "3:4", "prompt": "sad prompt", "causes": ["title"]}],
    }


def test_an_empty_strategy_leaves_no_gaps():
    fake = FakeService(usual=write)
    settings = LlmSettings(http=HttpSettings(base_url="http://fake/v1"))
    llm = Llm(settings, ARTIFACTS, transport=fake.transport)
    asyncio.run(llm.propose([EN], [Recall()], Strategy.of({}), 1, 0))
    text = fake.bodies[0]["messages"][0]["content"]
    assert "Every prompt ends" not in text and "House rules" not in text and "\n\n\n" not in text


def test_seeds_differ_by_query_and_by_seed():
    fake = FakeService(usual=write)
    for seed in (0, 0, 1):
        propose(fake, EN, ZH, seed=seed)
    seeds = [body["seed"] for body in fake.bodies]
    assert seeds[:2] == seeds[2:4] and len(set(seeds)) == 4


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.Response(500), "ServiceFailed"),
        (httpx.Response(429, headers={"Retry-After": "3600"}), "RateLimited"),
        (HTML, "BadAnswer"),
        (chat_json("I cannot"), "BadAnswer"),
        (prompts_json("only one"), "BadAnswer"),
        (prompts_json("a", "bad \x07 bell"), "BadAnswer"),
        (prompts_json("a", "  "), "BadAnswer"),
    ],
)
def test_a_query_that_fails_is_a_record_and_the_others_succeed(fault: httpx.Response, kind: str):
    def reply(body: dict[str, Any]) -> httpx.Response:
        return reused(fault) if "City Walk" in body["messages"][1]["content"] else write(body)

    failed, fine = propose(FakeService(usual=reply), EN, ZH)
    assert isinstance(failed, Failure) and isinstance(fine, list)
    assert (failed.stage, failed.kind, failed.item_id) == ("policy", kind, EN.id)


def test_too_many_prompts_are_cut():
    (answer,) = propose(FakeService(usual=lambda body: prompts_json("a", "b", "c")), EN)
    assert isinstance(answer, list) and [p.text for p in answer] == ["a", "b"]
