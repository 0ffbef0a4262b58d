"""One URL at a time: guard, robots.txt, pace, redirects, retries, conditional requests."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpcore
import httpx

from actors.clients.limiter import Clock
from actors.contracts import derive_seed
from actors.errors import BadInput
from configs.crawl import CrawlSettings
from train_jobs.crawl.answers import Answer, Want, read, retry_after, want_robots
from train_jobs.crawl.errors import HostStopped, Missing, Refused, Unavailable
from train_jobs.crawl.guard import Guard, PinnedBackend, PinnedTransport, tls
from train_jobs.crawl.pace import Pace
from train_jobs.crawl.robots import Robots

PASSING = frozenset({408, 429, 502, 503, 504})
"""Answers that a moment later may be another."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Again(Exception):
    """An attempt that may be repeated after a wait."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Fetcher:
    """Everything the crawler asks of the web goes through here. Use it as an async context.

    Raises:
        BadInput: the settings name no contact.
    """

    def __init__(
        self,
        settings: CrawlSettings,
        guard: Guard,
        *,
        network: httpcore.AsyncNetworkBackend | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not settings.contact:
            raise BadInput(
                "crawl.contact is empty; accepted: where the owner of a site reaches you, e.g. "
                "--set crawl.contact=crawler@your.org"
            )
        self._settings = settings
        self._guard = guard
        self._clock = clock or Clock()
        self._clients = self._open(network)
        self._paces: dict[str, Pace] = {}
        self._in_vain: Counter[str] = Counter()
        self._stopped: dict[str, str] = {}
        robot = settings.user_agent.partition("/")[0]
        self._robots = Robots(robot, self._read_robots, lambda url, gap: self._slow_down(url, gap))
        self.requests = 0
        self.retried = 0
        self.received = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._clients:
            await client.aclose()

    async def get(self, url: str, want: Want, *, etag: str = "", last_modified: str = "") -> Answer:
        """What is behind a URL.

        Args:
            url: absolute.
            want: the type and size that are accepted.
            etag: of the answer that is known already; with it, the answer may be `unchanged`.
            last_modified: likewise.

        Raises:
            Refused: the guard, robots.txt, the type or the size says no.
            Missing: the site answers that it has nothing there.
            Unavailable: timeouts, lost connections or 5xx, after all retries.
        """
        known = {"if-none-match": etag, "if-modified-since": last_modified}
        headers = {name: value for name, value in known.items() if value}
        return await self._follow(url, want, headers, robots=True)

    async def _follow(self, url: str, want: Want, headers: dict[str, str], *, robots: bool) -> Answer:
        seen: list[str] = []
        while True:
            target = self._guard.check_url(url)
            if str(target) in seen:
                raise Refused(f"{seen[0]} redirects in a circle")
            seen.append(str(target))
            if len(seen) > self._settings.redirects + 1:
                raise Refused(f"{seen[0]} redirects more than {self._settings.redirects} times")
            if robots:
                await self._robots.check(target)
            if target.host in self._stopped:
                raise HostStopped(self._stopped[target.host])
            answer = await self._counted(target, want, headers)
            if isinstance(answer, Answer):
                return answer
            url = answer

    async def _counted(self, url: httpx.URL, want: Want, headers: dict[str, str]) -> Answer | str:
        """Leave a host alone that asks for it, or that gave nothing for many URLs in a row."""
        host = url.host
        try:
            answer = await self._persist(url, want, headers)
        except HostStopped as error:
            self._stopped[host] = str(error)
            raise
        except Unavailable as error:
            self._in_vain[host] += 1
            if self._in_vain[host] >= self._settings.host_failures:
                self._stopped[host] = (
                    f"{host} is left alone after {self._in_vain[host]} failures; last: {error}"
                )
            raise
        self._in_vain[host] = 0
        return answer

    async def _persist(self, url: httpx.URL, want: Want, headers: dict[str, str]) -> Answer | str:
        """The answer, or where it redirects to; attempts until one is final."""
        pace = self._pace(url)
        tried = 0
        while True:
            async with pace.turn():
                try:
                    return await self._attempt(url, want, headers, tried)
                except _Again as again:
                    if again.after_s > self._settings.max_wait_s:
                        raise HostStopped(f"{again}; it asks to wait {again.after_s:g} s") from None
                    pace.pause(again.after_s)
                    last = again
            if tried == self._settings.retries:
                raise Unavailable(f"{last}; given up after {tried + 1} attempts") from None
            longest = min(self._settings.max_backoff_s, self._settings.backoff_s * 2**tried)
            tried += 1
            self.retried += 1
            await self._clock.sleep(random.uniform(0.0, longest))

    async def _attempt(self, url: httpx.URL, want: Want, headers: dict[str, str], tried: int) -> Answer | str:
        self.requests += 1
        client = self._clients[(derive_seed(url.host) + tried) % len(self._clients)]
        accepted = {"accept-encoding": "gzip" if want.packed else "identity"}
        try:
            async with (
                asyncio.timeout(self._settings.deadline_s),
                _sent(client, client.build_request("GET", url, headers={**headers, **accepted})) as response,
            ):
                return await self._outcome(response, want, headers)
        except TimeoutError:
            raise _Again(
                f"{url.host} was not done within deadline_s {self._settings.deadline_s:g} s"
            ) from None
        except httpx.TimeoutException as error:
            raise _Again(f"{url.host} was silent for too long ({type(error).__name__})") from None
        except httpx.TransportError as error:
            raise _Again(f"{url.host} cannot be reached: {type(error).__name__}: {error}") from None

    async def _outcome(self, response: httpx.Response, want: Want, headers: dict[str, str]) -> Answer | str:
        status, host = response.status_code, response.url.host
        if status == 200:
            answer = await read(response, want)
            self.received += len(answer.body)
            return answer
        if status == 304 and headers:
            return Answer(url=str(response.url), unchanged=True)
        if status in _REDIRECTS and (where := response.headers.get("location")):
            try:
                return str(response.url.join(where).copy_with(fragment=None))
            except httpx.InvalidURL:
                raise Refused(f"{host} redirects to {where[:200]!r}, which is no URL") from None
        if status in PASSING:
            raise _Again(f"{host} answered {status}", retry_after(response))
        if status >= 500:
            raise Unavailable(f"{host} answered {status}")
        raise Missing(f"{host} answered {status}")

    async def _read_robots(self, url: str) -> str:
        answer = await self._follow(url, want_robots(), {}, robots=False)
        return answer.body.decode("utf-8", "replace")

    def _slow_down(self, url: httpx.URL, spacing_s: float) -> None:
        if spacing_s > self._settings.max_wait_s:
            raise HostStopped(
                f"{url.host} asks for {spacing_s:g} s between requests, more than crawl.max_wait_s "
                f"{self._settings.max_wait_s:g}; it is left alone"
            )
        self._pace(url).slow_down(spacing_s)

    def _pace(self, url: httpx.URL) -> Pace:
        settings = self._settings
        if url.host not in self._paces:
            self._paces[url.host] = Pace(settings.per_host, 1.0 / settings.requests_per_s, self._clock)
        return self._paces[url.host]

    def _open(self, network: httpcore.AsyncNetworkBackend | None) -> Sequence[httpx.AsyncClient]:
        settings = self._settings
        transports: list[httpx.AsyncBaseTransport] = [
            httpx.AsyncHTTPTransport(verify=tls(), proxy=proxy.get_secret_value(), trust_env=False)
            for proxy in settings.proxies
        ]
        if not transports:
            transports = [PinnedTransport(PinnedBackend(self._guard, network), settings.in_flight)]
        return [
            httpx.AsyncClient(
                transport=transport,
                headers={"user-agent": f"{settings.user_agent} (+{settings.contact})", "accept": "*/*"},
                timeout=httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                follow_redirects=False,
                trust_env=False,
            )
            for transport in transports
        ]


@contextlib.asynccontextmanager
async def _sent(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()
