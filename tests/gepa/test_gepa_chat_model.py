"""The chat model that reflects, over a service in the test's own process."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from actors.clients.errors import BadAnswer, ClientError, ServiceFailed
from configs.gepa import LlmReflectionSettings
from configs.http import HttpSettings
from tests.fake_service import HTML, FakeService, chat_json, png
from train_jobs.gepa.chat_model import ChatModel
from train_jobs.gepa.outcome import Outcome
from train_jobs.gepa.reflection import Reflection
from train_jobs.gepa.tasks import Propose
from train_jobs.gepa.worker import Kit, SearchWorker

ROWS = {"rules": [{"Request": "a moon", "Feedback": "too dark"}]}
TASK = Propose("0.1", "mutation", {"rules": "old"}, ("rules",), (0,), (Outcome(0.0, trace={}),))


class Adapter:
    """Shows one row."""

    def evaluate(self, batch: list[Any], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        raise NotImplementedError

    def make_reflective_dataset(self, candidate: Any, eval_batch: Any, components: list[str]) -> Any:
        return ROWS


class Shown:
    """A picture as gepa's `Image` shows it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def to_openai_content_part(self) -> dict[str, Any]:
        uri = "data:image/png;base64," + base64.b64encode(self.data).decode()
        return {"type": "image_url", "image_url": {"url": uri}}


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def model(service: FakeService) -> ChatModel:
    return a_model(service)


def a_model(service: FakeService, **http: Any) -> ChatModel:
    prices = {"price_per_1k_input_tokens": 100.0, "price_per_1k_output_tokens": 1000.0}
    settings = HttpSettings(**{"base_url": "http://fake/v1", "model": "m", "retries": 0, **prices, **http})
    return ChatModel(LlmReflectionSettings(http=settings), service.transport)


def test_a_text_is_one_turn_of_the_user(service: FakeService, model: ChatModel) -> None:
    assert model("what now?") == "hello"
    (body,) = service.bodies
    assert body["messages"] == [{"role": "user", "content": "what now?"}]
    assert body["model"] == "m" and body["max_tokens"] == 4096 and "response_format" not in body


def test_turns_keep_their_roles_texts_and_pictures(service: FakeService, model: ChatModel) -> None:
    first, second = png(seed=1), png(seed=2)
    turns = [
        {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                Shown(first).to_openai_content_part(),
                Shown(second).to_openai_content_part(),
                {"type": "text", "text": "and say"},
            ],
        },
    ]
    assert model(turns) == "hello"
    system, user = service.bodies[0]["messages"]
    assert system == {"role": "system", "content": "be brief"}
    *pictures, text = user["content"]
    assert pictures == [Shown(data).to_openai_content_part() for data in (first, second)]
    assert text == {"type": "text", "text": "look\nand say"}


def test_pictures_of_a_reflection_reach_the_service(service: FakeService, model: ChatModel) -> None:
    data = png(seed=3)
    reflection = Reflection(Adapter(), model=model)
    reflection.mutation(TASK, {"rules": [{"Picture": Shown(data), "Feedback": "dull"}]})
    picture, text = service.bodies[0]["messages"][0]["content"]
    assert picture == Shown(data).to_openai_content_part()
    assert "dull" in text["text"] and "old" in text["text"]


def test_the_cost_grows_by_the_prices(service: FakeService, model: ChatModel) -> None:
    assert model.total_cost == 0.0
    model("one")
    assert model.total_cost == pytest.approx(10 * 0.1 + 5 * 1.0)
    service.usual = lambda body: chat_json("hello", tokens=(1, 1))
    model("two")
    assert model.total_cost == pytest.approx(6.0 + 1.1)


def test_threads_pay_into_one_sum(service: FakeService, model: ChatModel) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(model, [f"ask {i}" for i in range(12)])) == ["hello"] * 12
    assert model.total_cost == pytest.approx(12 * 6.0)


def test_an_answer_that_is_of_no_use_is_paid_too(service: FakeService, model: ChatModel) -> None:
    service.script = [chat_json("half a sent", finish_reason="length")]
    with pytest.raises(BadAnswer):
        model("go on")
    assert model.total_cost == pytest.approx(6.0)


def test_it_crosses_ray_as_its_settings(model: ChatModel) -> None:
    model("one")
    copy = pickle.loads(pickle.dumps(model))
    assert isinstance(copy, ChatModel) and copy.total_cost == 0.0
    assert copy.__reduce__() == model.__reduce__()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda: httpx.Response(500), ServiceFailed),
        (lambda: HTML, BadAnswer),
        (lambda: chat_json("  "), BadAnswer),
        (lambda: httpx.ConnectError("refused"), ClientError),
    ],
)
def test_what_goes_wrong_is_in_the_proposal(
    service: FakeService, fault: Callable[[], Any], error: type[Exception]
) -> None:
    def reflection(adapter: Any) -> Reflection:
        return Reflection(adapter, model=a_model(service))

    worker = SearchWorker(Kit(Adapter, reflection, train=["q"], validation=["q"]))
    service.script = [fault(), fault()]
    with pytest.raises(error):
        a_model(service)("hi")
    answer = worker.run_one(TASK)
    assert answer.failure and answer.texts == {}  # type: ignore[union-attr]
    assert "Traceback" not in answer.failure
    service.script = [chat_json("```\nnew\n```")]
    assert worker.run_one(TASK).texts == {"rules": "new"}  # type: ignore[union-attr]


def test_a_reflection_tells_what_it_cost(service: FakeService, model: ChatModel) -> None:
    service.usual = lambda body: chat_json("```\nnew\n```")
    reflection = Reflection(Adapter(), model=model)
    assert [reflection.mutation(TASK, ROWS).cost for _ in range(2)] == pytest.approx([6.0, 6.0])
