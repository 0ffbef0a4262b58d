"""Manners and faults of one URL: robots.txt, pace, retries, redirects, limits."""

import asyncio
import gzip
import itertools
import time
import tracemalloc
from typing import Any

import pytest
from pydantic import SecretStr

from actors.errors import AtelierError
from configs.crawl import CrawlSettings
from tests.crawl.site import QUICK, Reply, Site, fetcher_for
from tests.fake_service import FakeTime
from train_jobs.crawl.answers import Answer, want_html, want_json
from train_jobs.crawl.errors import HostStopped, Missing, Refused, Unavailable
from train_jobs.crawl.fetcher import Fetcher
from train_jobs.crawl.guard import Guard

PAGE = Reply(b"<p>hello</p>", "text/html; charset=latin-1")
HOME = "http://gallery.example"


def get(
    site: Site, *paths: str, clock: FakeTime | None = None, **settings: Any
) -> list[Answer | AtelierError]:
    """What each path gives, asked one after the other."""

    async def go() -> list[Answer | AtelierError]:
        changed = QUICK.model_copy(update=settings)
        fake = (clock or FakeTime()).clock
        found: list[Answer | AtelierError] = []
        async with fetcher_for(
            site, ["gallery.example", "*.gallery.example"], settings=changed, clock=fake
        ) as f:
            for path in paths:
                try:
                    url = path if "://" in path else HOME + path
                    found.append(await f.get(url, want_html(10_000)))
                except AtelierError as error:
                    found.append(error)
        return found

    with site.served():
        return asyncio.run(go())


def with_routes(**routes: Any) -> Site:
    site = Site()
    site.routes = {"/" + path.replace("_", "."): route for path, route in routes.items()}
    return site


def robots(text: str) -> Reply:
    return Reply(text.encode(), "text/plain")


def test_a_page() -> None:
    (answer,) = get(with_routes(x=PAGE), "/x")
    assert answer == Answer(url=f"{HOME}/x", body=b"<p>hello</p>", charset="latin-1")


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_passing_answers_are_asked_again(status: int) -> None:
    site = with_routes(x=[Reply(status=status), Reply(status=status), PAGE])
    assert isinstance(get(site, "/x")[0], Answer)
    assert site.asked["/x"] == 3


def test_retries_end() -> None:
    site = with_routes(x=Reply(status=503))
    (error,) = get(site, "/x", retries=2)
    assert isinstance(error, Unavailable) and error.retryable and "given up after 3 attempts" in str(error)
    assert site.asked["/x"] == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Missing), (403, Missing), (500, Unavailable), (204, Missing)]
)
def test_final_answers_are_not_asked_again(status: int, kind: type[AtelierError]) -> None:
    site = with_routes(x=Reply(status=status))
    assert type(get(site, "/x")[0]) is kind
    assert site.asked["/x"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "42"},
        {"Retry-After": "Sat, 21 Nov 2026 10:00:42 GMT", "Date": "Sat, 21 Nov 2026 10:00:00 GMT"},
    ],
)
def test_retry_after_is_waited_out(headers: dict[str, str]) -> None:
    fake = FakeTime()
    site = with_routes(x=[Reply(status=429, headers={"Date": "x", **headers}), PAGE])
    # http.server sends a Date of its own first; only the form in seconds is exact here.
    (answer,) = get(site, "/x", clock=fake)
    assert isinstance(answer, Answer)
    if headers["Retry-After"].isdecimal():
        assert 42 <= fake.time < 43


def test_a_host_that_wants_too_long_a_wait_is_left_alone() -> None:
    site = with_routes(x=Reply(status=503, headers={"Retry-After": "86400"}), y=PAGE)
    first, second = get(site, "/x", "/y")
    assert isinstance(first, HostStopped) and isinstance(second, HostStopped)
    assert site.asked["/y"] == 0


def test_a_host_that_only_fails_is_left_alone() -> None:
    site = with_routes(x=Reply(status=503))
    found = get(site, *["/x"] * 5, retries=0, host_failures=3)
    assert site.asked["/x"] == 3 and isinstance(found[-1], HostStopped)


def test_redirects() -> None:
    hop = {f"r{n}": Reply(status=301, headers={"Location": f"/r{n + 1}"}) for n in range(4)}
    circle = {
        "a": Reply(status=302, headers={"Location": "/b"}),
        "b": Reply(status=307, headers={"Location": "/a"}),
    }
    away = {"out": Reply(status=302, headers={"Location": "http://evil.example/"})}
    site = with_routes(**hop, **circle, **away, r4=PAGE)
    good, many, round, out = get(site, "/r1", "/r0", "/a", "/out", redirects=3)
    assert isinstance(good, Answer) and good.url == f"{HOME}/r4"
    assert isinstance(many, Refused) and "more than 3 times" in str(many)
    assert isinstance(round, Refused) and "in a circle" in str(round)
    assert isinstance(out, Refused) and "evil.example is not among" in str(out)


def test_robots_txt_is_obeyed_for_every_hop() -> None:
    rules = (
        "User-agent: *\nDisallow: /\n\nUser-agent: AtelierCrawler\nDisallow: /private\nAllow: /private/open\n"
    )
    site = with_routes(
        robots_txt=robots(rules), x=PAGE, hop=Reply(status=302, headers={"Location": "/private/x"})
    )
    site.routes["/private/open"] = site.routes["/private/x"] = PAGE
    allowed, private, opened, hop = get(site, "/x", "/private/x", "/private/open", "/hop")
    assert isinstance(allowed, Answer) and isinstance(opened, Answer)
    assert isinstance(private, Refused) and isinstance(hop, Refused)
    assert site.asked["/private/x"] == 0 and site.asked["/robots.txt"] == 1


@pytest.mark.parametrize("status", [500, 503])
def test_a_site_without_readable_robots_txt_is_left_alone(status: int) -> None:
    site = with_routes(robots_txt=Reply(status=status), x=PAGE)
    found = get(site, "/x", "/x")
    assert all(isinstance(error, HostStopped) and error.retryable for error in found)
    assert site.asked["/x"] == 0 and site.asked["/robots.txt"] <= 1 + QUICK.retries


@pytest.mark.parametrize(
    ("rules", "apart"),
    [("User-agent: *\nCrawl-delay: 7", 7.0), ("User-agent: *\nRequest-rate: 1/20", 20.0), ("", 0.5)],
)
def test_requests_keep_their_distance(rules: str, apart: float) -> None:
    fake = FakeTime()
    at: list[float] = []

    def page(headers: dict[str, str]) -> Reply:
        at.append(fake.time)
        return PAGE

    get(with_routes(robots_txt=robots(rules), x=page), *["/x"] * 4, clock=fake, requests_per_s=2.0)
    assert [round(b - a, 6) for a, b in itertools.pairwise(at)] == [apart] * 3


def test_a_crawl_delay_beyond_patience_stops_the_host() -> None:
    site = with_routes(robots_txt=robots("User-agent: *\nCrawl-delay: 3600"), x=PAGE)
    (error,) = get(site, "/x")
    assert isinstance(error, HostStopped) and "max_wait_s" in str(error) and site.asked["/x"] == 0


def test_requests_at_once_to_a_host() -> None:
    busy, most = 0, 0

    def page(headers: dict[str, str]) -> Reply:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        time.sleep(0.01)
        busy -= 1
        return PAGE

    async def go(site: Site) -> None:
        async with fetcher_for(site, settings=QUICK.model_copy(update={"per_host": 3})) as fetcher:
            await asyncio.gather(*(fetcher.get(f"{HOME}/x", want_html(100)) for _ in range(12)))

    with with_routes(x=page).served() as site:
        asyncio.run(go(site))
    assert 1 < most <= 3


def test_silence_and_lost_connections() -> None:
    def slow(headers: dict[str, str]) -> Reply:
        time.sleep(0.3)
        return PAGE

    cut = Reply(type="text/html", headers={"Content-Length": "100"}, pieces=[b"<p>"])
    silent, lost = get(with_routes(s=slow, l=cut), "/s", "/l", timeout_s=0.1, retries=0)
    assert isinstance(silent, Unavailable) and "silent" in str(silent)
    assert isinstance(lost, Unavailable) and "cannot be reached" in str(lost)


def test_a_trickle_ends_at_the_deadline() -> None:
    def trickle() -> Any:
        while True:
            time.sleep(0.02)
            yield b"."

    site = with_routes(x=Reply(type="text/html", pieces=trickle()))
    (error,) = get(site, "/x", deadline_s=0.2, retries=0)
    assert isinstance(error, Unavailable) and "deadline_s" in str(error)


def test_compressed_pages_are_measured_as_they_unfold() -> None:
    zipped = {"Content-Encoding": "gzip"}
    good = Reply(gzip.compress(b"<p>" * 100), "text/html", headers=zipped)
    cut = Reply(gzip.compress(bytes(range(256)))[:-12], "text/html", headers=zipped)
    rotten = Reply(b"not gzip at all", "text/html", headers=zipped)
    answer, *bad = get(with_routes(g=good, c=cut, r=rotten), "/g", "/c", "/r", retries=0)
    assert isinstance(answer, Answer) and answer.body == b"<p>" * 100
    assert [type(error) for error in bad] == [Unavailable, Unavailable]


def test_a_compressed_bomb_never_unfolds() -> None:
    packed = gzip.compress(b"\0" * 50_000_000)
    site = with_routes(x=Reply(type="text/html", headers={"Content-Encoding": "gzip"}, pieces=[packed]))
    tracemalloc.start()
    try:
        (error,) = get(site, "/x")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, Refused) and "more than 10000 bytes" in str(error)
    assert most < 10_000_000


def test_conditional_requests() -> None:
    def page(headers: dict[str, str]) -> Reply:
        known = (headers.get("if-none-match"), headers.get("if-modified-since"))
        return Reply(status=304) if known == ('"1"', "Mon") else Reply(b"[]", "application/json")

    async def go(site: Site) -> tuple[Answer, Answer]:
        async with fetcher_for(site) as fetcher:
            first = await fetcher.get(f"{HOME}/x", want_json(100))
            return first, await fetcher.get(f"{HOME}/x", want_json(100), etag='"1"', last_modified="Mon")

    with with_routes(x=page).served() as site:
        first, second = asyncio.run(go(site))
    assert (first.body, first.unchanged, second.body, second.unchanged) == (b"[]", False, b"", True)


def test_cookies_are_not_kept() -> None:
    seen: list[str] = []

    def page(headers: dict[str, str]) -> Reply:
        seen.append(headers.get("cookie", ""))
        return Reply(PAGE.body, PAGE.type, headers={"Set-Cookie": "id=1; Path=/"})

    get(with_routes(x=page), "/x", "/x")
    assert seen == ["", ""]


def test_a_retry_takes_the_next_proxy() -> None:
    """The site plays proxy: what it is asked for is the whole URL."""
    site = Site()
    site.routes["http://gallery.example/x"] = [Reply(status=502), PAGE]
    dead = SecretStr("http://127.0.0.1:1")

    async def go() -> Answer:
        proxies = (dead, SecretStr(f"http://127.0.0.1:{site.port}"))
        settings: CrawlSettings = QUICK.model_copy(update={"proxies": proxies})
        async with Fetcher(settings, Guard(["gallery.example"]), clock=FakeTime().clock) as fetcher:
            return await fetcher.get(f"{HOME}/x", want_html(100))

    with site.served():
        assert asyncio.run(go()).body == PAGE.body
    assert site.asked["http://gallery.example/robots.txt"] == 1
