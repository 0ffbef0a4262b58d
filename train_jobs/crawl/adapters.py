"""One page of a gallery -> its items and the next page, by the spec. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
from selectolax.lexbor import LexborHTMLParser

from train_jobs.crawl.errors import Missing
from train_jobs.crawl.reading import html_texts, json_texts, walk
from train_jobs.crawl.spec import HtmlFields, HtmlList, JsonFields, JsonList, Paging

MAX_TEXT = 20_000
Texts = Callable[[str | None], list[str]]
"""The texts at a path or selector within an item."""


@dataclass(frozen=True)
class Found:
    """What a page says of one item. URLs are absolute; a text that is not there is empty."""

    pictures: tuple[str, ...] = ()
    page: str = ""
    text: str = ""
    author: str = ""
    licence: str = ""

    def updated(self, detail: Found) -> Found:
        """With what a detail page says in place of what the list said."""
        said = {name: value for name, value in vars(detail).items() if value}
        return replace(self, **said)


@dataclass(frozen=True)
class Listing:
    """One page of a gallery, in the page's order."""

    items: tuple[Found, ...]
    next: str | None


def first_url(adapter: JsonList | HtmlList, start: str) -> str:
    """A start URL with the first page's number, where pages are numbered and the URL has none."""
    paging = adapter.next if isinstance(adapter, JsonList) else None
    url = httpx.URL(start)
    if paging and paging.parameter and not paging.cursor and paging.parameter not in url.params:
        url = url.copy_set_param(paging.parameter, paging.first)
    return str(url)


def read_list(adapter: JsonList | HtmlList, body: bytes, charset: str, url: str) -> Listing:
    """Read a list page.

    Raises:
        Missing: the page is not what the spec says, e.g. damaged JSON.
    """
    if isinstance(adapter, JsonList):
        tree = _parse_json(body, url)
        values = list(walk(tree, adapter.items))
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        items = tuple(_found(adapter, _in_json(value), url) for value in values)
        following = _next_json(adapter.next, tree, url) if adapter.next and items else None
        return Listing(items, following)
    page = _parse_html(body, charset)
    items = tuple(_found(adapter, _in_html(node), url) for node in page.css(adapter.items))
    links = html_texts(page, adapter.next)
    return Listing(items, absolute(links[0], url) if links else None)


def read_detail(adapter: JsonFields | HtmlFields, body: bytes, charset: str, url: str) -> Found:
    """Read an item's own page.

    Raises:
        Missing: the page is not what the spec says.
    """
    if isinstance(adapter, JsonFields):
        return _found(adapter, _in_json(_parse_json(body, url)), url)
    return _found(adapter, _in_html(_parse_html(body, charset)), url)


def absolute(link: str, base: str) -> str:
    """A link as a URL of its own, without the part behind `#`; as it is when it is none."""
    try:
        return str(httpx.URL(base).join(link).copy_with(fragment=None))
    except httpx.InvalidURL:
        return link


def _found(adapter: JsonFields | HtmlFields, texts: Texts, url: str) -> Found:
    def first(where: str | None) -> str:
        return next(iter(texts(where)), "")

    page = first(adapter.page)
    return Found(
        pictures=tuple(dict.fromkeys(absolute(link, url) for link in texts(adapter.picture))),
        page=absolute(page, url) if page else "",
        text=first(adapter.text),
        author=first(adapter.author),
        licence=first(adapter.licence),
    )


def _in_json(value: Any) -> Texts:
    return lambda path: json_texts(value, path)


def _in_html(node: Any) -> Texts:
    return lambda select: html_texts(node, select)


def _parse_json(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Missing(f"{url} answers with damaged JSON ({str(error)[:100]})") from None


def _parse_html(body: bytes, charset: str) -> LexborHTMLParser:
    try:
        return LexborHTMLParser(body.decode(charset or "utf-8", "replace"))
    except LookupError:  # a charset that no one knows
        return LexborHTMLParser(body.decode("utf-8", "replace"))


def _next_json(paging: Paging, tree: Any, url: str) -> str | None:
    if paging.more and not any(walk(tree, paging.more)):
        return None
    if paging.link:
        links: Sequence[str] = json_texts(tree, paging.link)
        return absolute(links[0], url) if links else None
    parameter = str(paging.parameter)
    here = httpx.URL(url)
    if paging.cursor:
        cursors = json_texts(tree, paging.cursor)
        return str(here.copy_set_param(parameter, cursors[0])) if cursors else None
    number = here.params.get(parameter, str(paging.first))
    return str(here.copy_set_param(parameter, int(number) + 1)) if number.isdecimal() else None
