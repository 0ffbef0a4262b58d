"""What is asked, what is cached, and how answers are read."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from actors.clients.chat import ChatClient, Message
from actors.clients.errors import BadAnswer, Refused, ServiceFailed
from actors.clients.images import ImagesClient
from actors.clients.moderation import ModerationClient
from actors.clients.structured import Structured, ask_structured, find_json
from configs.http import ChatSettings, HttpSettings
from tests.fake_service import FakeService, chat_json, images_json, moderation_json, png

SCHEMA = {
    "title": "verdict",
    "type": "object",
    "properties": {"score": {"type": "number", "minimum": 0, "maximum": 10}},
    "required": ["score"],
}


def http(**settings: Any) -> HttpSettings:
    return HttpSettings(base_url="http://fake/v1", model="m", **settings)


def structured(fake: FakeService, **chat: Any) -> Structured[float]:
    client = ChatClient(http(), ChatSettings(**chat), transport=fake.transport)
    ask = ask_structured(client, [Message("user", "score it")], SCHEMA, lambda value: float(value["score"]))
    return asyncio.run(ask)


def test_a_vision_question_carries_data_uris():
    fake = FakeService()
    client = ChatClient(http(), ChatSettings(temperature=None), transport=fake.transport)
    asyncio.run(client.ask([Message("user", "look", (("image/png", b"png"),))], seed=3))
    body = fake.bodies[0]
    assert fake.requests[0].url == "http://fake/v1/chat/completions"
    assert body["model"] == "m" and body["seed"] == 3 and "temperature" not in body
    picture, text = body["messages"][0]["content"]
    assert picture["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(b"png").decode()
    assert text == {"type": "text", "text": "look"}


def test_a_cache_hit_makes_no_call_and_holds_no_key(tmp_path: Path):
    fake = FakeService()
    settings = http(cache_dir=tmp_path, api_key=SecretStr("sk-secret"), price_per_1k_input_tokens=1.0)

    def ask(text: str, **change: Any) -> ChatClient:
        client = ChatClient(settings.model_copy(update=change), ChatSettings(), transport=fake.transport)
        assert asyncio.run(client.ask([Message("user", text)])).text == "hello"
        return client

    ask("a")
    hit = ask("a", api_key=SecretStr("sk-other"))
    assert len(fake.requests) == 1
    assert hit.service.account.cache_hits == 1 and hit.service.account.spent == 0
    ask("b")
    ask("a", model="other")
    assert len(fake.requests) == 3
    for path in tmp_path.rglob("*.json"):
        assert "sk-secret" not in path.read_text() and "sk-secret" not in path.name
        path.write_text("{damaged")
    assert not list(tmp_path.rglob("*.tmp"))
    ask("a")
    assert len(fake.requests) == 4


def test_failures_are_not_cached(tmp_path: Path):
    fake = FakeService(script=[httpx.Response(500), chat_json("")])
    client = ChatClient(http(cache_dir=tmp_path), ChatSettings(), transport=fake.transport)
    for kind in (ServiceFailed, BadAnswer):
        with pytest.raises(kind):
            asyncio.run(client.ask([Message("user", "a")]))
    assert not list(tmp_path.rglob("*.json"))
    assert asyncio.run(client.ask([Message("user", "a")])).text == "hello"


def test_a_cache_that_cannot_be_written_costs_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    client = ChatClient(http(cache_dir=blocked), ChatSettings(), transport=FakeService().transport)
    assert asyncio.run(client.ask([Message("user", "a")])).text == "hello"
    assert "takes no more" in caplog.text


def test_one_client_on_two_event_loops():
    client = ChatClient(http(), ChatSettings(), transport=FakeService().transport)
    for _ in range(2):
        assert asyncio.run(client.ask([Message("user", "a")])).text == "hello"


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 7}',
        '```json\n{"score": 7}\n```',
        'Here it is:\n```\n{"score": 7}\n``` Good luck!',
        '<think>{"score": 1} maybe</think>\n{"score": 7}',
        'The verdict is {"score": 7}. Thanks.',
    ],
)
def test_answers_are_read_leniently(text: str):
    assert find_json(text) == {"score": 7}
    assert structured(FakeService(script=[chat_json(text)])).value == 7.0


def test_the_schema_is_announced_as_the_settings_say():
    fake = FakeService(usual=lambda body: chat_json('{"score": 1}'))
    for form in ("json_schema", "json_object", "none"):
        structured(fake, answer_format=form)
    asked = [body.get("response_format") for body in fake.bodies]
    named = {"name": "verdict", "schema": SCHEMA, "strict": True}
    assert asked == [{"type": "json_schema", "json_schema": named}, {"type": "json_object"}, None]


@pytest.mark.parametrize("bad", ['{"score": 70}', '{"score": "high"}', "seven", '{"score": 7', "{}"])
def test_a_malformed_answer_is_repaired_once(bad: str):
    fake = FakeService(script=[chat_json(bad), chat_json('{"score": 7}')])
    assert structured(fake).value == 7.0
    said = fake.bodies[1]["messages"]
    assert said[1] == {"role": "assistant", "content": bad} and "cannot be used" in said[2]["content"]
    with pytest.raises(BadAnswer):
        structured(FakeService(script=[chat_json(bad), chat_json(bad)]))


def test_a_malformed_answer_names_its_field():
    with pytest.raises(BadAnswer, match="score: 70 is greater than the maximum"):
        structured(FakeService(script=[chat_json('{"score": 70}')]), repairs=0)


def test_pictures_are_generated():
    fake = FakeService(usual=lambda body: images_json(*[png()] * body["n"]))
    client = ImagesClient(http(price_per_picture=0.5), transport=fake.transport)
    pictures = asyncio.run(client.generate("a cat", size=(64, 96), n=2, extra={"seed": 7}))
    assert pictures == [png(), png()]
    assert fake.bodies[0] == {"model": "m", "prompt": "a cat", "n": 2, "size": "64x96", "seed": 7}
    assert client.service.account.spent == 1.0


def test_an_edit_is_a_form():
    fake = FakeService(usual=lambda body: images_json(png()))
    fake.bodies.append({})
    client = ImagesClient(http(), transport=fake.transport)
    assert asyncio.run(client.edit("remove it", png(), size=(64, 64), mask=b"mask")) == [png()]
    sent = fake.requests[0]
    assert sent.url.path == "/v1/images/edits"
    assert sent.headers["content-type"].startswith("multipart/form-data")
    assert png() in sent.content and b'name="mask"' in sent.content and b"remove it" in sent.content


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "data: 0 of 1"),
        ([{}], "data.0"),
        ([{"b64_json": "no base64!"}], "data.0.b64_json"),
        ([{"b64_json": base64.b64encode(b"<svg/>").decode()}], "data.0.b64_json: no picture"),
    ],
)
def test_wrong_pictures_name_their_field(data: list[dict[str, str]], says: str, tmp_path: Path):
    fake = FakeService(script=[httpx.Response(200, json={"data": data})])
    client = ImagesClient(http(cache_dir=tmp_path), transport=fake.transport)
    with pytest.raises(BadAnswer, match=says):
        asyncio.run(client.generate("a", size=(64, 64)))
    assert not list(tmp_path.rglob("*.json"))


def test_a_picture_url_is_fetched_from_the_same_host_only(tmp_path: Path):
    def answer(url: str) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"url": url}]})

    fake = FakeService(script=[answer("/files/1.png"), httpx.Response(200, content=png())])
    client = ImagesClient(http(cache_dir=tmp_path), transport=fake.transport)
    assert asyncio.run(client.generate("a", size=(64, 64))) == [png()]
    assert fake.requests[1].url == "http://fake/files/1.png"
    assert not list(tmp_path.rglob("*.json"))
    for url in ("http://169.254.169.254/x", "https://fake/x", "http://fake:81/x", "file:///etc/passwd"):
        fake.script = [answer(url)]
        with pytest.raises(Refused, match="another host"):
            asyncio.run(client.generate("a", size=(64, 64)))


def test_moderation():
    fake = FakeService(script=[moderation_json(violence=True, hate=False), moderation_json(hate=False)])
    client = ModerationClient(http(), transport=fake.transport)
    verdict = asyncio.run(client.text("bad"))
    assert verdict.flagged and verdict.reasons == ("violence",)
    assert not asyncio.run(client.picture("image/png", png())).flagged
    assert json.dumps(fake.bodies[1]).count("data:image/png;base64,") == 1
    fake.script = [httpx.Response(200, json={"results": [{}]})]
    with pytest.raises(BadAnswer, match=r"results\.0\.flagged: Field required"):
        asyncio.run(client.text("bad"))
