"""Walks the list pages of a gallery, one after the other, and hands over what is new on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from actors.contracts import content_id
from configs.crawl import CrawlSettings
from train_jobs.crawl.adapters import MAX_TEXT, Found, Listing, first_url, read_detail, read_list
from train_jobs.crawl.answers import Want, want_html, want_json
from train_jobs.crawl.errors import Missing, Refused, Trouble, Unavailable
from train_jobs.crawl.fetcher import Fetcher
from train_jobs.crawl.frontier import Chain, Entry, Frontier, Item
from train_jobs.crawl.spec import HtmlFields, JsonFields, Spec


@dataclass(frozen=True)
class _Sight:
    """An item as far as it could be seen: with its detail page, or with why that cannot be had."""

    found: Found
    detail: str = ""
    """Id of the detail page, where one was read."""
    refused: str = ""
    skipped: str = ""


class Lister:
    """The walk of one round. What is on a page is recorded in one go, so that an interrupted walk goes on."""

    def __init__(
        self, spec: Spec, settings: CrawlSettings, fetcher: Fetcher, frontier: Frontier, limit: int | None
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._fetcher = fetcher
        self._frontier = frontier
        self._limit = limit
        self.pages = 0
        self.unchanged = 0
        self.troubles: list[str] = []
        """Start URLs whose walk ended early, and why."""

    async def walk(self) -> AsyncIterator[Sequence[Entry]]:
        """The new entries, page by page, from where this round stands."""
        for number, start in enumerate(self._spec.start):
            chain = self._frontier.chains.get(number, Chain(first_url(self._spec.list, start)))
            while chain.next and self._room() and chain.pages < self._spec.max_pages:
                if self._frontier.visited(number, chain.next):
                    self.troubles.append(f"{chain.next}: the next page is one that was there before")
                    break
                try:
                    entries = await self._page(number, chain.next)
                except Trouble as error:
                    self.troubles.append(f"{chain.next}: {error}")
                    break
                yield entries
                chain = self._frontier.chains[number]

    def _room(self) -> int:
        """How many more pictures may be discovered."""
        most = self._limit if self._limit is not None else 10**12
        return max(0, most - len(self._frontier.latest))

    async def _page(self, number: int, url: str) -> Sequence[Entry]:
        known = self._frontier.known_pages.get(url, {})
        validators = {name: known.get(name, "") for name in ("etag", "last_modified")}
        answer = await self._fetcher.get(url, self._want(self._spec.list), **validators)
        self.pages += 1
        if answer.unchanged:
            self.unchanged += 1
            page = {name: known[name] for name in ("next", "etag", "last_modified")}
            return await self._frontier.discover([], [], {**page, "start": number, "url": url, "details": []})
        # Links are relative to where the page really is; paging goes by the URL that was asked for.
        listing = read_list(self._spec.list, answer.body, answer.charset, answer.url)
        sights = await self._look(listing)
        items, cut = self._items(sights, url)
        skipped = [(sight.found.page, sight.skipped) for sight in sights if sight.skipped]
        # A page of which something is still to be had must be read again, not answered with 304.
        whole = not (cut or skipped)
        page = {
            "start": number,
            "url": url,
            "next": listing.next,
            "etag": answer.etag if whole else "",
            "last_modified": answer.last_modified if whole else "",
            "details": [] if cut else [sight.detail for sight in sights if sight.detail],
        }
        return await self._frontier.discover(items, skipped, page)

    async def _look(self, listing: Listing) -> Sequence[_Sight]:
        detail = self._spec.detail
        if detail is None:
            return [_Sight(found) for found in listing.items]
        new = [found for found in listing.items if content_id(found.page) not in self._frontier.details]
        return await asyncio.gather(*(self._detailed(found, detail) for found in new))

    async def _detailed(self, found: Found, detail: JsonFields | HtmlFields) -> _Sight:
        if not found.page:
            return _Sight(found, refused="the item has no page to read its details from")
        known = content_id(found.page)
        try:
            answer = await self._fetcher.get(found.page, self._want(detail))
            said = read_detail(detail, answer.body, answer.charset, answer.url)
        except Unavailable as error:
            return _Sight(found, skipped=str(error))
        except (Refused, Missing) as error:
            return _Sight(found, detail=known, refused=f"its page {found.page}: {error}")
        return _Sight(found.updated(said), detail=known)

    def _items(self, sights: Sequence[_Sight], url: str) -> tuple[list[tuple[Item, str]], bool]:
        """New pictures with the reason where one is refused at once; and whether the limit cut some off."""
        items: dict[str, tuple[Item, str]] = {}
        for sight in sights:
            if sight.skipped:
                continue
            found, reason = sight.found, sight.refused or self._objection(sight.found)
            # An item without a picture has no URL to be known by; what it says stands in for it.
            pictures = found.pictures or (f"{found.page or url}#{content_id(*vars(found).values())}",)
            for picture in pictures:
                item = self._item(picture, found, url)
                if item.id not in self._frontier.latest:
                    items.setdefault(item.id, (item, reason))
        taken = list(items.values())[: self._room()]
        return taken, len(taken) < len(items)

    def _item(self, picture: str, found: Found, url: str) -> Item:
        licence = found.licence if self._spec.licence.field else (self._spec.licence.text or "")
        return Item(
            id=content_id(picture),
            url=picture,
            page_url=found.page or url,
            text=found.text[:MAX_TEXT],
            author=found.author[:MAX_TEXT],
            licence=licence[:MAX_TEXT],
        )

    def _objection(self, found: Found) -> str:
        """Why an item is not taken, or nothing."""
        terms = self._spec.licence
        if not found.pictures:
            return "the item has no picture where the spec says"
        if max(map(len, (found.text, found.author, found.licence))) > MAX_TEXT:
            return f"a text of the item has more than {MAX_TEXT} characters"
        if terms.field and not found.licence:
            return "the item names no licence"
        accepted = {text.casefold() for text in terms.accepted}
        if terms.field and accepted and found.licence.casefold() not in accepted:
            return f"the licence is {found.licence[:200]!r}; accepted: {', '.join(terms.accepted)}"
        return ""

    def _want(self, adapter: JsonFields | HtmlFields) -> Want:
        make = want_json if isinstance(adapter, JsonFields) else want_html
        return make(self._settings.max_page_bytes)
