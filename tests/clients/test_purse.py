"""One purse for many workers: its caps hold over any number of runs and crashes."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.clients.chat import ChatClient, Message
from actors.clients.errors import SpendCapReached
from actors.clients.transport import Service
from actors.purse import Amount, Purse, open_purse
from configs.http import ChatSettings, HttpSettings
from tests.fake_service import FakeService, FakeTime, chat_json

steps = st.lists(
    st.tuples(st.sampled_from(["call", "lost", "crash", "close"]), st.integers(0, 400), st.integers(0, 100)),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(steps, st.integers(0, 3000))
@example([("call", 100, 0), ("crash", 0, 0)], 100)
def test_what_is_really_spent_never_passes_the_cap(script: list[tuple[str, int, int]], cap: int) -> None:
    """`lost`: the call was made and paid, and the worker died before it could say so."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"{folder}/purse.json"
        purse, really = Purse(uri, cap, None), 0
        for what, most, percent in script:
            if what in ("crash", "close"):
                if what == "close":
                    purse.close()
                purse = Purse(uri, cap, None)
                continue
            ticket = purse.reserve(most, 0)
            if ticket:
                used = most * percent // 100
                really += used
                if what == "call":
                    purse.settle(ticket, used, 0)
            assert really <= cap
        assert purse.spent()["tokens"] <= cap


def test_a_purse_that_was_closed_loses_nothing(tmp_path: Path) -> None:
    uri = str(tmp_path / "purse.json")
    purse = Purse(uri, 1000, 5.0)
    purse.settle(purse.reserve(900, 10**9), 100, 10**8)
    purse.close()
    assert Purse(uri, 1000, 5.0).spent() == {"tokens": 100, "money": 0.1}
    assert Purse(uri, 1000, 5.0).reserve(901, 0) == ""


def test_money_has_its_own_cap_and_a_ticket_settles_once(tmp_path: Path) -> None:
    purse = Purse(str(tmp_path / "purse.json"), None, 1.0)
    assert purse.reserve(10**9, 10**9 + 1) == ""
    ticket = purse.reserve(10**9, 10**9)
    purse.settle(ticket, 5, 7)
    purse.settle(ticket, 5, 7)
    assert purse.spent() == {"tokens": 5, "money": 7e-9}


def client_of(fake: FakeService, purse: Any) -> ChatClient:
    http = HttpSettings(base_url="http://fake/v1", purse="p", price_per_1k_output_tokens=2.0)
    client = ChatClient(http, ChatSettings(max_tokens=100))
    client.service = Service(http, transport=fake.transport, clock=FakeTime().clock)
    client.service._purse = purse
    return client


class LocalPurse:
    """The purse in this process, behind the client's interface."""

    def __init__(self, purse: Purse) -> None:
        self.purse = purse

    async def reserve(self, most: Amount) -> str:
        return self.purse.reserve(most.tokens, most.nano)

    async def settle(self, ticket: str, used: Amount) -> None:
        self.purse.settle(ticket, used.tokens, used.nano)


def test_a_call_reserves_its_most_and_pays_what_it_used(tmp_path: Path) -> None:
    purse = Purse(str(tmp_path / "purse.json"), 400, None)
    fake = FakeService(usual=lambda body: chat_json("hi", tokens=(100, 50)))
    client = client_of(fake, LocalPurse(purse))
    asyncio.run(client.ask([Message("user", "hello")]))
    assert purse.spent() == {"tokens": 150, "money": pytest.approx(0.1)}
    asyncio.run(client.ask([Message("user", "hello again")]))
    with pytest.raises(SpendCapReached, match="the job's cap"):
        asyncio.run(client.ask([Message("user", "and again")]))
    assert purse.spent()["tokens"] == 300


def test_a_call_that_fails_gives_its_reservation_back(tmp_path: Path) -> None:
    import httpx

    purse = Purse(str(tmp_path / "purse.json"), 400, None)
    client = client_of(FakeService(usual=lambda body: httpx.Response(400, json={})), LocalPurse(purse))
    for _ in range(5):
        with pytest.raises(Exception, match="400"):
            asyncio.run(client.ask([Message("user", "hello")]))
    assert purse.reserve(400, 0)


@pytest.mark.ray
def test_workers_share_the_purse_of_a_job(tmp_path: Path, ray_session: str) -> None:
    from actors.purse import PurseClient

    async def go() -> list[str]:
        async with open_purse(str(tmp_path / "purse.json"), 100, None) as name:
            one, two = PurseClient(name), PurseClient(name)
            return [
                await one.reserve(Amount(60)),
                await two.reserve(Amount(60)),
                await two.reserve(Amount(40)),
            ]

    first, second, third = asyncio.run(go())
    assert first and third and not second
    assert Purse(str(tmp_path / "purse.json"), 100, None).reserve(1, 0) == ""
