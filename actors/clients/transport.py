"""One service over HTTP: attempts, retries, limits, books, cache. Every wait is bounded by `deadline_s`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import count
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx

from actors.clients.accounting import Account, Usage
from actors.clients.answers import explain, read_body, read_json
from actors.clients.cache import AnswerCache
from actors.clients.errors import (
    BadAnswer,
    ClientError,
    RateLimited,
    Refused,
    ServiceFailed,
    SpendCapReached,
    TimedOut,
    Unreachable,
)
from actors.clients.limiter import Clock, Limiter
from actors.errors import BadInput
from actors.purse import PurseClient
from configs.http import HttpSettings

T = TypeVar("T")
Json = dict[str, Any]

PASSING = frozenset({408, 502, 503, 504})
"""Answers that a moment later may be another."""
_LOST = (
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
)


@dataclass(frozen=True)
class Request:
    """One call. `most` is what it may consume at most, `usage` reads from the answer what it did."""

    path: str
    body: Json
    most: Usage = field(default_factory=Usage)
    usage: Callable[[Json], Usage | None] = lambda answer: None
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Parts of a multipart form by field name; with files, the body travels as form fields."""


@dataclass(frozen=True)
class _Again:
    """An attempt that may be repeated: why it failed, and the wait that the service asks for."""

    error: ClientError
    after_s: float | None = None


@dataclass
class _Lane:
    """What belongs to one event loop."""

    client: httpx.AsyncClient
    calls: asyncio.Semaphore
    limiter: Limiter


class Service:
    """A service as its settings describe it. Usable from any event loop; close it on the one that used it."""

    def __init__(
        self,
        http: HttpSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.http = http
        self.account = Account(http)
        self._purse: PurseClient | None = None
        self._base = httpx.URL(http.base_url.rstrip("/") + "/")
        self._cache = AnswerCache(http.cache_dir) if http.cache_dir else None
        self._transport = transport
        self._clock = clock or Clock()
        self._lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane] = WeakKeyDictionary()
        key = http.read_key()
        if key is not None and not (key.isascii() and key.isprintable()):
            raise BadInput(
                f"the API key for {self.name} holds characters that no header may hold; give it again"
            )
        self._key = key

    @property
    def name(self) -> str:
        """Scheme, host and port: what messages call the service."""
        port = f":{self._base.port}" if self._base.port else ""
        return f"{self._base.scheme}://{self._base.host}{port}"

    async def call(
        self,
        request: Request,
        read: Callable[[Json], T],
        *,
        keep: Callable[[Json], bool] = lambda answer: True,
    ) -> T:
        """Make a call, or find its answer in the cache, and read it.

        Args:
            request: the call.
            read: turns the answer's JSON into its type, or raises `BadAnswer`; what it refuses is not cached.
            keep: whether an answer may be cached at all.

        Raises:
            ClientError: one of `actors.clients.errors`, or `actors.errors.TimedOut`.
        """
        key = ""
        if self._cache:
            key = self._cache.key(str(self._base.join(request.path)), request.body, dict(request.files))
            cached = await asyncio.to_thread(self._cache.get, key)
            if cached is not None:
                try:
                    value = read(cached)
                    self.account.cache_hits += 1
                    return value
                except BadAnswer:
                    pass  # Kept by an older reader that asked for less: made anew below.
        answer = await self._paid(request)
        value = read(answer)
        if self._cache and keep(answer):
            await asyncio.to_thread(self._cache.put, key, answer)
        return value

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL that an answer names.

        Raises:
            Refused: the URL is on another host than the service.
        """
        try:
            target = self._base.join(url)
        except httpx.InvalidURL:
            raise BadAnswer(f"{self.name} answers with a picture URL that is none: {url[:80]!r}") from None
        if (target.scheme, target.host, target.port) != (self._base.scheme, self._base.host, self._base.port):
            raise Refused(
                f"{self.name} answers with a picture on another host, {target.host}; accepted: b64_json, "
                "or a URL on its own host"
            )
        lane = self._lane()
        async with lane.calls:
            return await self._bounded(self._attempts(lane, lambda: lane.client.build_request("GET", target)))

    async def close(self) -> None:
        """Close the connections."""
        lane = self._lanes.pop(asyncio.get_running_loop(), None)
        if lane is not None:
            await lane.client.aclose()

    async def _paid(self, request: Request) -> Json:
        lane = self._lane()
        # The reservation is made inside the slot: calls that only queue hold no money.
        async with lane.calls:
            with self.account.reserve(request.most) as bill:
                ticket = await self._reserve(request.most)
                try:
                    body = await self._bounded(self._attempts(lane, lambda: self._build(lane, request)))
                    answer = read_json(body, self.name)
                    bill.settle(request.usage(answer) or request.most)
                except BadAnswer:
                    bill.settle(request.most)  # An answer came, so it was most likely paid for.
                    raise
                finally:
                    await self._settle(ticket, bill.usage or Usage())
                return answer

    async def _reserve(self, most: Usage) -> str:
        """Hold the call's most in the job's purse, where there is one."""
        if self.http.purse is None:
            return ""
        self._purse = self._purse or PurseClient(self.http.purse)
        ticket = await self._purse.reserve(self.account.amount(most))
        if not ticket:
            raise SpendCapReached(
                "the call could cost more than is left under the job's cap; raise the cap to go on"
            )
        return ticket

    async def _settle(self, ticket: str, used: Usage) -> None:
        if self._purse is not None:
            await self._purse.settle(ticket, self.account.amount(used))

    def _build(self, lane: _Lane, request: Request) -> httpx.Request:
        url = self._base.join(request.path)
        if request.files:
            files = {name: (f"{name}.png", data, "image/png") for name, data in request.files.items()}
            form = {name: str(value) for name, value in request.body.items()}
            return lane.client.build_request("POST", url, data=form, files=files)
        return lane.client.build_request("POST", url, json=request.body)

    async def _bounded(self, attempts: Coroutine[Any, Any, bytes]) -> bytes:
        try:
            async with asyncio.timeout(self.http.deadline_s):
                return await attempts
        except TimeoutError:
            raise TimedOut(
                f"{self.name} gave no answer within deadline_s {self.http.deadline_s:g} s, retries included"
            ) from None

    async def _attempts(self, lane: _Lane, build: Callable[[], httpx.Request]) -> bytes:
        ends = self._clock.now() + self.http.deadline_s
        faults = 0
        for tried in count():
            async with lane.limiter as started:
                outcome = await self._attempt(lane.client, build())
                if isinstance(outcome, bytes):
                    lane.limiter.faster()
                    return outcome
                wait = self._wait(tried, outcome)
                late = self._clock.now() + wait >= ends
                limited = isinstance(outcome.error, RateLimited)
                if limited:
                    # A wait that this call does not sit out is none of the others' either.
                    lane.limiter.slower(started, 0.0 if late else outcome.after_s or 0.0)
            faults += not limited
            if faults > self.http.retries or late:
                raise _tell(outcome.error, tried + 1, outcome.after_s)
            await self._clock.sleep(wait)
        raise AssertionError("unreachable: the loop above is endless")

    def _wait(self, tried: int, outcome: _Again) -> float:
        """Full jitter, after the wait that the service asks for."""
        longest = min(self.http.max_backoff_s, self.http.backoff_s * 2 ** min(tried, 32))
        return (outcome.after_s or 0.0) + random.uniform(0.0, longest)

    async def _attempt(self, client: httpx.AsyncClient, request: httpx.Request) -> bytes | _Again:
        try:
            response = await client.send(request, stream=True)
            try:
                body = await read_body(response, self.http.max_answer_bytes, self.name)
            finally:
                await response.aclose()
        except _LOST as error:
            return _Again(Unreachable(f"{self.name} cannot be reached: {type(error).__name__}: {error}"))
        except httpx.TimeoutException:
            raise TimedOut(
                f"{self.name} was silent for timeout_s {self.http.timeout_s:g} s; raise it if that is short"
            ) from None
        except httpx.DecodingError as error:
            raise BadAnswer(f"{self.name} answers with a damaged body: {error}") from None
        except httpx.HTTPError as error:
            raise Refused(f"{self.name} cannot be called: {type(error).__name__}: {error}") from None
        return self._outcome(response, body)

    def _outcome(self, response: httpx.Response, body: bytes) -> bytes | _Again:
        status = response.status_code
        if status == HTTPStatus.OK:
            return body
        told = explain(status, response.headers.get("content-type", ""), body, self._key)
        message = f"{self.name} answered {status}{told}"
        if status == HTTPStatus.TOO_MANY_REQUESTS and "insufficient_quota" not in told:
            return _Again(RateLimited(message), _retry_after(response))
        if status in PASSING:
            return _Again(ServiceFailed(message), _retry_after(response))
        raise ServiceFailed(message) if status >= 500 else Refused(message)

    def _lane(self) -> _Lane:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            lane = _Lane(
                self._client(),
                asyncio.Semaphore(self.http.max_in_flight),
                Limiter(self.http.max_in_flight, self._clock),
            )
            self._lanes[loop] = lane
        return lane

    def _client(self) -> httpx.AsyncClient:
        http = self.http
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(http.timeout_s, connect=http.connect_timeout_s),
            limits=httpx.Limits(max_connections=http.max_in_flight),
            proxy=http.proxy,
            transport=self._transport,
            follow_redirects=False,
            trust_env=False,  # Settings alone decide; the environment is read in one place.
        )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the service asks to wait; a date counts from the answer's own Date header."""
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
        return seconds if 0 <= seconds < float("inf") else None
    except ValueError:
        pass
    try:
        asked = parsedate_to_datetime(text) - parsedate_to_datetime(response.headers.get("date", ""))
        return max(0.0, asked.total_seconds())
    except (ValueError, TypeError):
        return None


def _tell(error: ClientError, attempts: int, after_s: float | None) -> ClientError:
    asked = f"; it asks to wait {after_s:g} s" if after_s else ""
    return type(error)(f"{error}; given up after {attempts} attempt{'s' if attempts > 1 else ''}{asked}")
