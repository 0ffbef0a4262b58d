"""A web site in the test's own process, under any name, with faults by script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import httpcore
import numpy as np

from actors.clients.limiter import Clock
from actors.datasets import Dataset
from actors.pixels import encode_png
from configs.crawl import CrawlSettings
from tests.fake_service import FakeTime
from train_jobs.crawl.fetcher import Fetcher
from train_jobs.crawl.guard import Guard
from train_jobs.crawl.job import Summary, crawl
from train_jobs.crawl.spec import Spec

PUBLIC = "93.184.216.34"
QUICK = CrawlSettings(contact="tests@atelier.example", requests_per_s=1e6, backoff_s=0.01, shard_rows=4)


@dataclass
class Reply:
    """One answer. `pieces` are sent without a length, until they end or the client has enough."""

    body: bytes = b""
    type: str = "image/png"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None


Route = Reply | Sequence[Reply] | Callable[[dict[str, str]], Reply]
"""An answer; answers of which the last repeats; or a function of the request's headers."""


class Site:
    """Answers by path, counts what it is asked."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: Counter[str] = Counter()
        self.statuses: list[tuple[str, int]] = []
        self.times: list[float] = []
        self.agents: set[str] = set()
        self.port = 0

    def reply(self, path: str, headers: dict[str, str]) -> Reply:
        self.times.append(time.monotonic())
        self.agents.add(headers.get("user-agent", ""))
        self.asked[path] += 1
        route = self.routes.get(path, Reply(b"nothing here", "text/plain", 404))
        if callable(route):
            found = route(headers)
        elif isinstance(route, Reply):
            found = route
        else:
            found = route[min(self.asked[path], len(route)) - 1]
        self.statuses.append((path, found.status))
        return found

    @contextmanager
    def served(self) -> Iterator[Site]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = site.reply(self.path, {k.lower(): v for k, v in self.headers.items()})
                self.send_response(found.status)
                for name, value in {"Content-Type": found.type, **found.headers}.items():
                    self.send_header(name, value)
                if found.pieces is None:
                    self.send_header("Content-Length", str(len(found.body)))
                    self.end_headers()
                    self.wfile.write(found.body)
                    return
                self.close_connection = True
                self.end_headers()
                try:
                    for piece in found.pieces:
                        self.wfile.write(piece)
                except OSError:
                    pass

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients may hang up
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Network(httpcore.AnyIOBackend):
    """Dials the site whatever the address, and notes the addresses it was told to dial."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.dialled: list[str] = []

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        self.dialled.append(host)
        return await super().connect_tcp("127.0.0.1", self.site.port, *args, **kwargs)


def resolver(**names: str) -> Callable[[str, int], Any]:
    """All names are at a public address, but those given (with `_` for a dot)."""
    places = {name.replace("_", "."): address for name, address in names.items()}

    async def resolve(host: str, port: int) -> list[str]:
        return [places.get(host, host if host[0].isdigit() else PUBLIC)]

    return resolve


def fetcher_for(
    site: Site,
    hosts: Sequence[str] = ("gallery.example",),
    *,
    settings: CrawlSettings = QUICK,
    clock: Clock | None = None,
    **names: str,
) -> Fetcher:
    """A fetcher with the guard on, to which every public address is the site."""
    guard = Guard(hosts, resolve=resolver(**names))
    return Fetcher(settings, guard, network=Network(site), clock=clock or FakeTime().clock)


def run(
    site: Site,
    out: Path,
    spec: Spec | None = None,
    *,
    settings: CrawlSettings = QUICK,
    clock: Clock | None = None,
    limit: int | None = None,
    stop: asyncio.Event | None = None,
) -> Summary:
    """One crawl of the site; the books are checked."""
    spec = spec or json_spec()

    async def go() -> Summary:
        fetcher = fetcher_for(site, spec.allowed_hosts, settings=settings, clock=clock)
        return await crawl(spec, out, settings, limit=limit, fetcher=fetcher, stop=stop)

    summary = asyncio.run(go())
    assert summary.difference == 0
    return summary


def json_spec(**changes: Any) -> Spec:
    """A JSON feed at gallery.example."""
    tree: dict[str, Any] = {
        "name": "feed",
        "start": ["http://gallery.example/feed"],
        "licence": {"text": "CC0-1.0"},
        "list": {
            "type": "json",
            "items": "works",
            "picture": "images.*",
            "text": "prompt",
            "author": "author.name",
            "licence": "terms",
            "next": {"link": "next"},
        },
        "min_side": 16,
    }
    return Spec.model_validate({**tree, **changes})


def feed(*works: dict[str, Any], next: str | None = None, **headers: str) -> Reply:
    """One page of the feed."""
    body = json.dumps({"works": works, "next": next}).encode()
    return Reply(body, "application/json", headers={k.replace("_", "-"): v for k, v in headers.items()})


def conditional(page: Reply) -> Callable[[dict[str, str]], Reply]:
    """The page for those who do not know it, 304 for those who do."""
    known = {"if-none-match": '"1"', "if-modified-since": "yesterday"}

    def answer(headers: dict[str, str]) -> Reply:
        if all(headers.get(name) == value for name, value in known.items()):
            return Reply(status=304)
        return Reply(page.body, page.type, headers={"ETag": '"1"', "Last-Modified": "yesterday"})

    return answer


def work(*images: str, **fields: Any) -> dict[str, Any]:
    """One work of the feed."""
    return {"images": images, "prompt": "a lantern", "author": {"name": "Lin"}, **fields}


def scene(seed: int, side: int = 96) -> np.ndarray[Any, Any]:
    """Soft shapes, different for each seed, that survive re-encoding."""
    rough = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def picture(seed: int) -> Reply:
    """A PNG of a scene."""
    return Reply(encode_png(scene(seed)))


def jpeg(seed: int, quality: int = 70) -> Reply:
    """The same scene as a JPEG."""
    _, data = cv2.imencode(".jpg", scene(seed)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return Reply(bytes(data), "image/jpeg")


def gallery(pages: int = 1, each: int = 6) -> Site:
    """A site whose feed has so many pages with so many different pictures each."""
    site = Site()
    for page in range(pages):
        numbers = range(page * each, (page + 1) * each)
        for number in numbers:
            site.routes[f"/{number}.png"] = picture(number)
        path = "/feed" if page == 0 else f"/feed?page={page}"
        following = f"/feed?page={page + 1}" if page + 1 < pages else None
        works = [work(f"/{number}.png", prompt=f"scene {number}") for number in numbers]
        site.routes[path] = conditional(feed(*works, next=following))
    return site


def rows(out: Path) -> list[dict[str, Any]]:
    """The dataset's rows; every picture they name is there."""
    found = list(Dataset(str(out)).rows())
    assert all((out / row["path"]).is_file() for row in found)
    return found
