"""Specs: what is accepted, and how pages are read."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import BadInput
from tests.crawl.site import json_spec
from train_jobs.crawl.adapters import first_url, read_list
from train_jobs.crawl.errors import Missing
from train_jobs.crawl.reading import json_texts, tidy
from train_jobs.crawl.spec import HtmlList, JsonList, load_spec

SPECS = Path(__file__).parents[2] / "train_jobs" / "crawl" / "specs"
URL = "https://gallery.example/api?size=2"


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_specs_are_read(path: Path) -> None:
    assert "gallery.example" in load_spec(path).allowed_hosts


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"licence": None}, "no licence"),
        ({"licence": {}}, "no licence"),
        ({"licence": {"text": "CC0", "field": True}}, "licence: accepted: `text"),
        ({"licence": {"field": True}, "list": {"type": "json", "picture": "u"}}, "needs a `licence`"),
        ({"start": ["ftp://x/"]}, "start URL 'ftp://x/'"),
        ({"start": []}, "start"),
        ({"list": {"type": "json", "text": "t"}}, "no `picture`"),
        ({"list": {"type": "json", "picture": "a..b"}}, "empty step"),
        ({"list": {"type": "html", "items": "a[", "picture": "img@src"}}, "no CSS selector"),
        ({"list": {"type": "json", "picture": "u", "next": {"cursor": "c"}}}, "accepted: `link`"),
        (
            {"detail": {"type": "html", "picture": "img@src"}, "list": {"type": "json"}},
            "needs the item's page",
        ),
        ({"colour": "red"}, "colour: Extra inputs"),
    ],
)
def test_mistakes_in_a_spec_are_named(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    tree = json_spec().model_dump(mode="json", exclude_none=True)
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**tree, **changes}))
    with pytest.raises(BadInput) as caught:
        load_spec(tmp_path / "s.yaml")
    assert reason in str(caught.value)


def test_files_that_are_no_spec(tmp_path: Path) -> None:
    for text in ("[", "a: [1", "- 1", "", "\x00"):
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(BadInput, match="the spec"):
            load_spec(tmp_path / "s.yaml")
    with pytest.raises(BadInput, match="cannot be read"):
        load_spec(tmp_path / "none.yaml")


def feed_of(**paging: Any) -> JsonList:
    return JsonList.model_validate({"items": "d.works", "picture": "images.*.url", "next": paging})


def following(adapter: JsonList, url: str = URL, **tree: Any) -> str | None:
    body = json.dumps({"d": {"works": [{}]}, **tree}).encode()
    return read_list(adapter, body, "", url).next


def test_paging_by_number_cursor_and_link() -> None:
    numbered, cursor = feed_of(parameter="page"), feed_of(parameter="c", cursor="next.0")
    assert first_url(numbered, URL) == URL + "&page=1"
    assert first_url(numbered, URL + "&page=4") == URL + "&page=4"
    assert following(numbered, URL + "&page=4") == URL + "&page=5"
    assert following(cursor, next=["a b"]) == URL + "&c=a+b"
    assert following(cursor, URL + "&c=x", next=["y"]) == URL + "&c=y"
    assert following(cursor, next=[]) is None
    assert following(feed_of(link="more"), more="?page=2#top") == "https://gallery.example/api?page=2"
    assert following(feed_of(parameter="page", more="has_more"), has_more=False) is None
    assert read_list(numbered, b'{"d": {"works": []}}', "", URL).next is None


def test_items_of_a_feed() -> None:
    works = [{"images": [{"url": "/1.png"}, {"url": "//cdn.example/2.png"}, {}, {"url": 5}]}, "text", None]
    listing = read_list(feed_of(link="x"), json.dumps({"d": {"works": works}}).encode(), "", URL)
    assert listing.items[0].pictures == (
        "https://gallery.example/1.png",
        "https://cdn.example/2.png",
        "https://gallery.example/5",
    )
    assert [item.pictures for item in listing.items[1:]] == [(), ()]


def test_items_of_a_web_page() -> None:
    adapter = HtmlList.model_validate(
        {"type": "html", "items": "a.card", "picture": "img@data-src", "page": "@href", "text": "b"}
    )
    html = "<a class=card href=1><img data-src='x.png'><b> caf\xe9 <i>noir</i></b></a><a class=card></a>"
    listing = read_list(adapter, html.encode("latin-1"), "latin-1", URL)
    assert (listing.items[0].page, listing.items[0].text) == ("https://gallery.example/1", "café noir")
    assert listing.items[0].pictures == ("https://gallery.example/x.png",)
    assert (listing.items[1].page, listing.items[1].pictures) == ("", ())


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff\xfe\x00", b"[" * 100_000])
def test_damaged_json_is_one_clear_error(body: bytes) -> None:
    with pytest.raises(Missing, match="damaged JSON"):
        read_list(feed_of(link="x"), body, "", URL)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abd"), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.lists(st.sampled_from(["a", "b", "*", "0", "d"]), min_size=1, max_size=4))
def test_any_json_can_be_walked(tree: Any, steps: list[str]) -> None:
    for text in json_texts(tree, ".".join(steps)):
        assert text == text.strip() and text
    read_list(feed_of(link="a.b"), json.dumps({"d": {"works": tree}}).encode(), "", URL)


@given(st.text(st.characters(exclude_categories=())))
def test_tidied_text_can_be_stored(text: str) -> None:
    assert tidy(text).encode("utf-8").decode("utf-8") == tidy(tidy(text))
