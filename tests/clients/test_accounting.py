"""Money and concurrency: the cap holds whatever happens, and what was not consumed comes back."""

import asyncio

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.clients.accounting import Account, Usage
from actors.clients.chat import ChatClient, Message
from actors.clients.errors import BadAnswer, ClientError, SpendCapReached
from actors.clients.limiter import Limiter
from actors.clients.transport import Service
from configs.http import ChatSettings, HttpSettings
from tests.fake_service import FakeService, FakeTime, chat_json

PRICED = {"price_per_1k_input_tokens": 1.0, "price_per_1k_output_tokens": 2.0, "spend_cap": 1.0}


def client_of(fake: FakeService, **http: object) -> ChatClient:
    client = ChatClient(HttpSettings(base_url="http://fake/v1", **http), ChatSettings(max_tokens=100))  # type: ignore[arg-type]
    client.service = Service(client.service.http, transport=fake.transport, clock=FakeTime().clock)
    return client


@settings(max_examples=60, deadline=None)
@given(
    cap=st.floats(0, 3),
    calls=st.lists(st.tuples(st.integers(0, 800), st.integers(0, 100), st.sampled_from("skc")), max_size=20),
)
def test_concurrent_calls_never_pass_the_cap(cap, calls):
    account = Account(HttpSettings(price_per_1k_input_tokens=1.1, spend_cap=cap))
    made = 0

    async def call(most: int, percent: int, ending: str) -> None:
        nonlocal made
        with account.reserve(Usage(most)) as bill:
            assert account.spent + account.reserved <= cap
            made += 1
            await asyncio.sleep(0)
            if ending == "c":
                raise asyncio.CancelledError
            if ending == "s":
                bill.settle(Usage(most * percent // 100))

    async def run() -> None:
        outcomes = await asyncio.gather(*(call(*c) for c in calls), return_exceptions=True)
        assert all(o is None or isinstance(o, SpendCapReached | asyncio.CancelledError) for o in outcomes)

    asyncio.run(run())
    assert account.reserved == 0 and account.spent <= cap
    if calls and cap >= 1.1 * 0.8:
        assert made >= 1


def test_a_call_costs_what_the_service_counted():
    client = client_of(FakeService(usual=lambda body: chat_json("hi", tokens=(100, 50))), **PRICED)
    asyncio.run(client.ask([Message("user", "hello")]))
    assert client.service.account.spent == pytest.approx(0.2)
    assert client.service.account.usage == Usage(100, 50)
    assert client.service.account.reserved == 0


def test_the_cap_is_reached_before_the_call():
    fake = FakeService()
    client = client_of(fake, **PRICED | {"spend_cap": 0.1})
    with pytest.raises(SpendCapReached, match="raise spend_cap"):
        asyncio.run(client.ask([Message("user", "hello")]))
    assert fake.requests == []


def test_failures_give_the_money_back_and_unreadable_answers_do_not():
    client = client_of(FakeService(script=[httpx.Response(500)]), **PRICED)
    with pytest.raises(ClientError):
        asyncio.run(client.ask([Message("user", "hello")]))
    assert client.service.account.spent == client.service.account.reserved == 0
    client = client_of(FakeService(script=[httpx.Response(200, content=b"{")]), **PRICED)
    with pytest.raises(BadAnswer):
        asyncio.run(client.ask([Message("user", "hello")]))
    assert client.service.account.spent > 0.2


def test_a_cancelled_call_gives_back_money_and_slot():
    async def run() -> None:
        fake = FakeService(hold=asyncio.Event())
        client = client_of(fake, max_in_flight=1, **PRICED)
        task = asyncio.create_task(client.ask([Message("user", "hello")]))
        while not fake.busy:
            await asyncio.sleep(0)
        assert client.service.account.reserved > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.service.account.reserved == client.service.account.spent == 0
        fake.hold = None
        assert (await asyncio.wait_for(client.ask([Message("user", "hello")]), 5)).text == "hello"

    asyncio.run(run())


def test_queued_calls_hold_no_money():
    async def run() -> None:
        client = client_of(FakeService(), max_in_flight=2, **PRICED)
        answers = await asyncio.gather(*(client.ask([Message("user", str(i))]) for i in range(20)))
        assert len(answers) == 20

    asyncio.run(run())


def test_no_more_than_max_in_flight():
    fake = FakeService()

    async def run() -> None:
        client = client_of(fake, max_in_flight=3)
        await asyncio.gather(*(client.ask([Message("user", str(i))]) for i in range(30)))

    asyncio.run(run())
    assert fake.busiest == 3


def test_429_halves_once_a_round_and_success_climbs_back():
    time = FakeTime()
    limiter = Limiter(8, time.clock)

    async def run() -> None:
        for _ in range(3):
            limiter.slower(started=time.time, pause_s=0)
            time.time += 0.0
        assert limiter.limit == 4.0
        time.time += 1
        limiter.slower(started=time.time, pause_s=5)
        assert limiter.limit == 2.0
        async with limiter as started:
            assert started == 6.0
        for _ in range(200):
            limiter.faster()
        assert limiter.limit == 8.0

    asyncio.run(run())


def test_a_lowered_limit_holds():
    time = FakeTime()
    limiter = Limiter(4, time.clock)
    busy, busiest = 0, 0

    async def attempt() -> None:
        nonlocal busy, busiest
        async with limiter:
            busy += 1
            busiest = max(busiest, busy)
            try:
                await asyncio.sleep(0)
            finally:
                busy -= 1

    async def run() -> None:
        time.time = 1.0
        limiter.slower(started=1.0, pause_s=0)
        cancelled = asyncio.create_task(attempt())
        others = [asyncio.create_task(attempt()) for _ in range(9)]
        await asyncio.sleep(0)
        cancelled.cancel()
        others[5].cancel()
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 5)

    asyncio.run(run())
    assert busiest == 2 and busy == 0


def test_a_storm_of_429_still_ends_with_every_answer():
    fake = FakeService(script=[httpx.Response(429, headers={"Retry-After": "1"})] * 40)

    async def run() -> list[str]:
        client = client_of(fake, max_in_flight=8, deadline_s=600)
        return [
            a.text for a in await asyncio.gather(*(client.ask([Message("user", str(i))]) for i in range(16)))
        ]

    assert asyncio.run(run()) == ["hello"] * 16
