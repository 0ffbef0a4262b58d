"""A crawl from end to end: what is kept, what is refused, and that stopping it changes nothing."""

import asyncio
import errno
import json
import signal
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from actors.errors import BadInput, StageFailed
from actors.ledger import LedgerLocked
from tests.crawl.site import (
    QUICK,
    Reply,
    Site,
    feed,
    fetcher_for,
    gallery,
    jpeg,
    json_spec,
    picture,
    rows,
    run,
    work,
)
from train_jobs.crawl import pictures
from train_jobs.crawl.job import crawl
from train_jobs.crawl.spec import Spec

REPOSITORY = Path(__file__).parents[2]
IN_FLIGHT = 4


def events(out: Path, kind: str) -> list[dict[str, object]]:
    lines = (out / "frontier.jsonl").read_text("utf-8").splitlines()
    return [event["payload"] for event in map(json.loads, lines) if event["kind"] == f"crawl.{kind}"]


def test_a_feed_becomes_a_dataset(tmp_path: Path) -> None:
    with gallery(pages=2, each=5).served() as site:
        summary = run(site, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert (summary.discovered, summary.kept, summary.in_dataset, summary.complete) == (10, 10, 10, True)
    assert [row["text"] for row in found] == [f"scene {n}" for n in range(10)]
    assert {row["licence"] for row in found} == {"CC0-1.0"}
    assert {row["source"] for row in found} == {"feed"}
    assert found[0]["url"] == "http://gallery.example/0.png"
    assert (found[0]["width"], found[0]["height"], found[0]["author"]) == (96, 96, "Lin")
    assert site.agents == {"AtelierCrawler/0.1 (+tests@atelier.example)"}


def test_variants_and_repeats(tmp_path: Path) -> None:
    site = Site()
    site.routes = {
        "/feed": feed(work("/a", "/b"), work("/b", "/c")),
        "/a": picture(1),
        "/b": picture(2),
        "/c": picture(3),
    }
    with site.served():
        assert run(site, tmp_path).discovered == 3
    assert site.asked["/b"] == 1


def test_html_gallery_with_detail_pages(tmp_path: Path) -> None:
    def page(body: str) -> Reply:
        return Reply(body.encode(), "text/html; charset=utf-8")

    site = Site()
    card = '<article><a href="/p/{0}">x</a></article>'
    site.routes = {
        "/photos": page(card.format(1) + card.format(2) + '<a rel=next href="?page=2">more</a>'),
        "/photos?page=2": page(card.format(3) + "<article>no link</article>"),
        "/p/1": page("<figure><img src='../full/1'><figcaption> 一只 鹭 </figcaption></figure><b>Mai</b>"),
        "/p/2": page("<figcaption>the picture is missing</figcaption>"),
        "/p/3": page("<figure><img src='/full/3'></figure>"),
        "/full/1": picture(1),
        "/full/3": jpeg(3),
    }
    spec = Spec.model_validate(
        {
            "name": "photos",
            "start": ["http://gallery.example/photos"],
            "licence": {"text": "CC0-1.0"},
            "list": {"type": "html", "items": "article", "page": "a@href", "next": "a[rel=next]@href"},
            "detail": {"type": "html", "picture": "img@src", "text": "figcaption", "author": "b"},
        }
    )
    with site.served():
        summary = run(site, tmp_path, spec)
    found = rows(tmp_path)
    assert [(row["text"], row["author"], row["media_type"]) for row in found] == [
        ("一只 鹭", "Mai", "image/png"),
        ("", "", "image/jpeg"),
    ]
    assert found[0]["page_url"] == "http://gallery.example/p/1"
    assert (summary.discovered, summary.refused) == (4, 2)


def test_the_licence_of_each_item(tmp_path: Path) -> None:
    site = gallery(each=3)
    site.routes["/feed"] = feed(
        work("/0.png", terms="cc0-1.0"), work("/1.png", terms="all rights reserved"), work("/2.png")
    )
    spec = json_spec(licence={"field": True, "accepted": ["CC0-1.0"]})
    with site.served():
        summary = run(site, tmp_path, spec)
    assert [row["licence"] for row in rows(tmp_path)] == ["cc0-1.0"]
    assert (summary.kept, summary.refused, site.asked["/1.png"], site.asked["/2.png"]) == (1, 2, 0, 0)


def test_duplicates_go_to_the_lowest_index(tmp_path: Path) -> None:
    site = Site()
    held = []

    def late(headers: dict[str, str]) -> Reply:
        while site.asked["/again"] + site.asked["/same"] < 2:  # the first in the feed is the last to come
            held.append(1)
        return picture(7)

    works = [work("/first"), work("/again"), work("/same"), work("/other")]
    site.routes = {"/feed": feed(*works), "/first": late, "/again": jpeg(7), "/same": picture(7)}
    site.routes["/other"] = picture(8)
    with site.served():
        summary = run(site, tmp_path)
    assert [row["url"].rpartition("/")[2] for row in rows(tmp_path)] == ["first", "other"]
    assert (summary.kept, summary.duplicates) == (2, 2)
    assert len(list(tmp_path.glob("pictures/*/*"))) == 2
    assert {event["of"] for event in events(tmp_path, "duplicate")} == {rows(tmp_path)[0]["id"]}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"<html>", "text/html"), "content type is 'text/html'"),
        (Reply(b"<html>", "image/png"), "no PNG, JPEG or WebP"),
        (Reply(picture(1).body[:-30]), "cannot be read"),
        (Reply(jpeg(1).body[: len(jpeg(1).body) // 2], "image/jpeg"), "cannot be read"),
        (Reply(b"", "image/png", pieces=(b"\x89PNG" * 4096 for _ in iter(int, 1))), "more than 65536 bytes"),
        (Reply(b"x" * 65537), "has 65537 bytes"),
        (Reply(b"\x89PNG", headers={"Content-Encoding": "br"}), "coded as 'br'"),
    ],
    ids=["page", "disguised", "cut png", "cut jpeg", "endless", "large", "coded"],
)
def test_what_is_no_picture_is_refused(reply: Reply, reason: str, tmp_path: Path) -> None:
    site = gallery(each=2)
    site.routes["/0.png"] = reply
    settings = QUICK.model_copy(update={"max_picture_bytes": 65536})
    with site.served():
        summary = run(site, tmp_path, settings=settings)
    assert (summary.kept, summary.refused) == (1, 1)
    assert reason in str(events(tmp_path, "refused")[0]["reason"])


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
    site = gallery(each=2)
    site.routes["/1.png"] = Reply(bomb + chunk(b"IEND", b""))
    with site.served():
        assert run(site, tmp_path).refused == 1


def test_items_without_a_picture_are_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    site = gallery(each=1)
    site.routes["/feed"] = feed({}, {"images": [7, None, ""]}, {"images": ["ftp://x/y"]}, work("/0.png"))
    with site.served():
        summary = run(site, tmp_path)
    assert (summary.discovered, summary.kept) == (4, 1)
    assert summary.refused + summary.failed == 3


def test_broken_json_ends_the_walk_and_keeps_what_was_found(tmp_path: Path) -> None:
    site = gallery(pages=2, each=2)
    good = site.routes["/feed?page=1"]
    site.routes["/feed?page=1"] = Reply(b'{"works": [', "application/json")
    with site.served():
        summary = run(site, tmp_path)
        assert summary.kept == 2 and "damaged JSON" in summary.troubles[0]
        site.routes["/feed?page=1"] = good
        summary = run(site, tmp_path)
    assert (summary.kept, summary.troubles) == (4, ())
    assert site.asked["/0.png"] == 1


def test_a_circle_of_pages_ends(tmp_path: Path) -> None:
    site = gallery(each=1)
    site.routes["/feed"] = feed(work("/0.png"), next="/feed")
    with site.served():
        summary = run(site, tmp_path)
    assert summary.kept == 1 and "was there before" in summary.troubles[0]


def test_a_second_run_asks_only_for_what_is_new(tmp_path: Path) -> None:
    site = gallery(each=3)
    with site.served():
        assert run(site, tmp_path).unchanged_pages == 0
        manifest = (tmp_path / "manifest.json").read_bytes()
        again = run(site, tmp_path)
        assert (again.unchanged_pages, again.kept, again.round) == (1, 3, 2)
        assert (tmp_path / "manifest.json").read_bytes() == manifest
        site.routes["/feed"] = feed(work("/new"), work("/0.png"), ETag='"2"')
        site.routes["/new"] = picture(99)
        assert run(site, tmp_path).kept == 4
    assert site.asked["/0.png"] == 1
    assert ("/feed", 304) in site.statuses
    assert rows(tmp_path)[-1]["url"].endswith("/new")


def test_what_failed_is_tried_again_in_the_next_run(tmp_path: Path) -> None:
    site = gallery(each=6)
    site.routes["/2.png"] = [Reply(status=500), picture(2)]
    site.routes["/3.png"] = Reply(status=404)
    with site.served():
        first = run(site, tmp_path)
        second = run(site, tmp_path)
    assert (first.kept, first.failed, second.kept, second.failed) == (4, 2, 5, 1)
    assert site.asked["/3.png"] == 1
    assert len({row["id"] for row in rows(tmp_path)}) == 5


def test_the_limit_counts_over_all_runs(tmp_path: Path) -> None:
    with gallery(pages=3, each=4).served() as site:
        assert run(site, tmp_path, limit=6).discovered == 6
        assert run(site, tmp_path, limit=6).requests == 0
        assert run(site, tmp_path).kept == 12


def test_another_spec_or_a_folder_of_others_is_refused(tmp_path: Path) -> None:
    with gallery(each=1).served() as site:
        run(site, tmp_path / "a")
        with pytest.raises(BadInput, match="another spec"):
            run(site, tmp_path / "a", json_spec(name="other"))
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "thesis.txt").write_text("mine")
        with pytest.raises(BadInput, match="holds other files"):
            run(site, tmp_path / "b")
        with pytest.raises(BadInput, match=r"crawl\.contact is empty"):
            run(site, tmp_path / "c", settings=QUICK.model_copy(update={"contact": ""}))


def test_a_stopped_crawl_goes_on_where_it_was(tmp_path: Path) -> None:
    with gallery(pages=3, each=4).served() as site:
        run(site, tmp_path / "whole")
        whole = (tmp_path / "whole" / "manifest.json").read_bytes()

    async def stop_at(site: Site, count: int) -> None:
        stop = asyncio.Event()
        fetcher = fetcher_for(site)

        def progress(stage: str, done: int, total: int) -> None:
            if done >= count:
                stop.set()

        out = tmp_path / "stopped"
        summary = await crawl(json_spec(), out, QUICK, stop=stop, progress=progress, fetcher=fetcher)
        assert summary.difference == 0 and not summary.complete and summary.pending + summary.kept > 0

    with gallery(pages=3, each=4).served() as site:
        for count in (1, 5):
            asyncio.run(stop_at(site, count))
        summary = run(site, tmp_path / "stopped")
    assert summary.kept == 12 and summary.complete
    assert (tmp_path / "stopped" / "manifest.json").read_bytes() == whole


def test_a_full_disk_ends_the_crawl_with_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pictures.os.replace
    calls: list[object] = []

    def full(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*paths)

    monkeypatch.setattr(pictures.os, "replace", full)
    with gallery(each=6).served() as site:
        with pytest.raises(StageFailed, match="No space left"):
            run(site, tmp_path)
        assert run(site, tmp_path).kept == 6
    assert not list(tmp_path.glob("pictures/*/.*"))


def command(spec: Path, out: Path, rate: float) -> subprocess.Popen[str]:
    code = "from cluster.main import main; main()"
    sets = [
        "contact=tests@atelier.example",
        f"requests_per_s={rate}",
        "shard_rows=4",
        f"in_flight={IN_FLIGHT}",
    ]
    options = [part for one in sets for part in ("--set", f"crawl.{one}")]
    return subprocess.Popen(
        [sys.executable, "-c", code, "crawl", str(spec), "--out", str(out), "--json", *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], out: Path, fetched: int) -> None:
    log = out / "frontier.jsonl"
    while not (log.exists() and log.read_text("utf-8").count('"crawl.fetched"') >= fetched):
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"ended early: {process.communicate(timeout=0.02)}")


def test_killed_and_stopped_commands_lose_nothing(tmp_path: Path) -> None:
    whole, killed, spec_file = tmp_path / "whole", tmp_path / "killed", tmp_path / "spec.yaml"
    with gallery(pages=3, each=8).served() as site:
        spec = json_spec(start=[f"http://127.0.0.1:{site.port}/feed"], allow_private=True)
        spec_file.write_text(yaml.safe_dump(spec.model_dump(exclude_none=True, mode="json")))
        assert asyncio.run(crawl(spec, whole, QUICK)).kept == 24
        asked_once = site.asked.copy()

        process = command(spec_file, killed, 60)
        wait_for(process, killed, 6)
        with pytest.raises(LedgerLocked):
            run(site, killed, spec)
        process.kill()
        process.communicate()

        process = command(spec_file, killed, 60)
        wait_for(process, killed, 13)
        process.send_signal(signal.SIGTERM)
        result = json.loads(process.communicate(timeout=60)[0])
        assert process.returncode == 128 + signal.SIGTERM
        assert result["pending"] > 0 and result["difference"] == 0

        assert asyncio.run(crawl(spec, killed, QUICK)).kept == 24
    assert (killed / "manifest.json").read_bytes() == (whole / "manifest.json").read_bytes()
    repeated = sum(site.asked[path] - asked_once[path] - 1 for path in site.asked if ".png" in path)
    assert 0 <= repeated <= 2 * IN_FLIGHT  # at most what was in flight at the two stops
