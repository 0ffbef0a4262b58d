"""Every fault of a service is one clear typed error, and nothing hangs."""

import asyncio
import pickle
import time

import httpx
import pytest
from pydantic import SecretStr

from actors.clients.chat import ChatAnswer, ChatClient, Message
from actors.clients.errors import (
    BadAnswer,
    RateLimited,
    Refused,
    ServiceFailed,
    TimedOut,
    Unreachable,
)
from actors.clients.transport import Service
from actors.errors import AtelierError, BadInput, failure_of
from configs.http import ChatSettings, HttpSettings
from tests.fake_service import HTML, FakeService, FakeTime, chat_json, raw_server

ASK = (Message("user", "hello"),)


def ask(service: FakeService, time: FakeTime | None = None, **http: object) -> ChatAnswer:
    settings = HttpSettings(base_url="http://fake/v1", **http)  # type: ignore[arg-type]
    client = ChatClient(settings, ChatSettings())
    client.service = Service(settings, transport=service.transport, clock=(time or FakeTime()).clock)

    async def run() -> ChatAnswer:
        try:
            return await client.ask(ASK)
        finally:
            await client.close()

    return asyncio.run(run())


def error_of(service: FakeService, **http: object) -> AtelierError:
    with pytest.raises(AtelierError) as caught:
        ask(service, **http)
    error = pickle.loads(pickle.dumps(caught.value))
    assert str(error) == str(caught.value) and type(error) is type(caught.value)
    return error


@pytest.mark.parametrize(
    "fault",
    [
        httpx.Response(502),
        httpx.Response(503),
        httpx.Response(504),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("incomplete body"),
        httpx.ReadError("reset"),
    ],
    ids=str,
)
def test_passing_faults_are_retried(fault):
    time, service = FakeTime(), FakeService(script=[fault, fault])
    assert ask(service, time, retries=2, backoff_s=1.0).text == "hello"
    assert len(service.requests) == 3
    assert len(time.slept) == 2 and all(0 <= s <= 2 for s in time.slept)
    error = error_of(FakeService(script=[fault] * 3), retries=2)
    assert isinstance(error, ServiceFailed | Unreachable) and error.retryable
    assert "given up after 3 attempts" in str(error)


def test_500_is_not_retried_and_says_what_the_service_says():
    service = FakeService(script=[httpx.Response(500, json={"error": {"message": "CUDA out of memory"}})])
    error = error_of(service)
    assert isinstance(error, ServiceFailed)
    assert str(error) == "http://fake answered 500: CUDA out of memory"
    assert len(service.requests) == 1


def test_retry_after_is_honoured():
    time = FakeTime()
    service = FakeService(script=[httpx.Response(429, headers={"Retry-After": "7"})])
    assert ask(service, time, backoff_s=0.5).text == "hello"
    assert 7 <= time.time <= 7.5


def test_retry_after_as_a_date_counts_from_the_services_own_clock():
    time = FakeTime()
    date, later = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:30 GMT"
    ask(FakeService(script=[httpx.Response(429, headers={"Retry-After": later, "Date": date})]), time)
    assert 30 <= time.time <= 31


def test_a_longer_wait_than_the_deadline_is_an_error_at_once():
    time = FakeTime()
    service = FakeService(script=[httpx.Response(429, headers={"Retry-After": "3600"})])
    with pytest.raises(RateLimited, match="asks to wait 3600 s"):
        ask(service, time, deadline_s=60)
    assert time.time == 0


def test_endless_429_ends_at_the_deadline():
    time = FakeTime()
    with pytest.raises(RateLimited):
        ask(FakeService(script=[httpx.Response(429)] * 1000), time, retries=1, deadline_s=60)
    assert time.time <= 60


def test_an_empty_purse_is_refused_without_waiting():
    empty = httpx.Response(429, json={"error": {"code": "insufficient_quota", "message": "pay"}})
    assert isinstance(error_of(FakeService(script=[empty])), Refused)


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (httpx.Response(404, json={"error": {"message": "no model x"}}), Refused, "no model x"),
        (httpx.Response(302, headers={"location": "/x"}), Refused, "redirect"),
        (HTML, BadAnswer, "web page"),
        (httpx.Response(200, content=b'{"choices": [{"mess'), BadAnswer, "damaged JSON"),
        (httpx.Response(200, content=b"[" * 200_000), BadAnswer, "damaged JSON"),
        (httpx.Response(200, json=[1]), BadAnswer, "JSON list"),
        (
            httpx.Response(200, json={"choices": [{"index": 0}]}),
            BadAnswer,
            "choices.0.message: Field required",
        ),
        (httpx.Response(200, json={"choices": []}), BadAnswer, "choices"),
        (chat_json(None), BadAnswer, "content"),
        (chat_json("hal", finish_reason="length"), BadAnswer, "max_tokens"),
        (chat_json(None, message={"refusal": "I will not"}), Refused, "I will not"),
        (httpx.Response(200, content=b"x" * 2_000_000), BadAnswer, "max_answer_bytes 1000000"),
        (httpx.ReadTimeout("silent"), TimedOut, "timeout_s"),
    ],
)
def test_one_clear_sentence(reply, kind, says):
    service = FakeService(script=[reply])
    error = error_of(service, max_answer_bytes=1_000_000)
    assert type(error) is kind
    assert says in str(error) and "http://fake" in str(error) and "\n" not in str(error)
    assert len(service.requests) == 1
    assert failure_of(error, stage="policy").retryable is kind.retryable


def test_the_key_is_sent_and_never_shown():
    key = "sk-very-secret"
    echo = httpx.Response(401, json={"error": {"message": f"wrong key {key}"}})
    service = FakeService(script=[echo])
    error = error_of(service, api_key=SecretStr(key))
    assert service.requests[0].headers["authorization"] == f"Bearer {key}"
    assert key not in str(error) and "(hidden)" in str(error)
    settings = HttpSettings(api_key=SecretStr("sk\nbroken"))
    with pytest.raises(BadInput) as caught:
        Service(settings)
    assert "broken" not in str(caught.value)
    assert key not in repr(Service(HttpSettings(api_key=SecretStr(key))).__dict__["http"])


def real(url: str, **http: float) -> str:
    """The error of a call over a real socket, and that it came in time."""

    async def run() -> str:
        service = ChatClient(HttpSettings(base_url=url, retries=0, **http), ChatSettings())
        with pytest.raises(AtelierError) as caught:
            await service.ask(ASK)
        await service.close()
        return f"{type(caught.value).__name__}: {caught.value}"

    started = time.monotonic()
    error = asyncio.run(run())
    assert time.monotonic() - started < 5
    return error


def served(answer: bytes | None, **http: float) -> str:
    async def run() -> str:
        async with raw_server(answer) as url:
            return await asyncio.to_thread(real, url, **http)

    return asyncio.run(run())


def test_connection_refused():
    assert real("http://127.0.0.1:9/v1").startswith("Unreachable: http://127.0.0.1:9 cannot be reached")


def test_a_silent_service_times_out():
    assert served(None, timeout_s=0.1).startswith("TimedOut")
    assert "deadline_s" in served(None, deadline_s=0.1)


def test_a_body_cut_off_on_the_wire_is_a_lost_connection():
    assert served(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").startswith("Unreachable")


def test_bytes_that_are_not_http():
    assert served(b"\x00\x01garbage").startswith("Unreachable")


def test_a_compressed_bomb_is_bounded():
    import gzip

    body = gzip.compress(b"0" * 5_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    assert "max_answer_bytes" in served(head + body, max_answer_bytes=100_000)
