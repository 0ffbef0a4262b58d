"""What a site answered, read under limits."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx

from train_jobs.crawl.errors import Refused, Unavailable


@dataclass(frozen=True)
class Want:
    """What a URL is asked for."""

    name: str
    types: re.Pattern[str]
    """Content types that are read; an answer without one is, too."""
    most: int
    """Bytes, after decompression."""
    packed: bool = True
    """Whether the answer may come compressed."""


@dataclass(frozen=True)
class Answer:
    """What came. `unchanged` answers (304) have no body."""

    url: str
    body: bytes = b""
    charset: str = ""
    etag: str = ""
    last_modified: str = ""
    unchanged: bool = False


def want_json(most: int) -> Want:
    """A JSON page."""
    return Want("JSON", re.compile(r"(application|text)/([\w.-]+\+)?json|text/(plain|javascript)"), most)


def want_html(most: int) -> Want:
    """A web page."""
    return Want("a web page", re.compile(r"text/html|application/xhtml\+xml"), most)


def want_picture(most: int) -> Want:
    """A picture; what it really is shows when it is decoded."""
    return Want("a picture", re.compile(r"image/.+|(application|binary)/octet-stream"), most, packed=False)


def want_robots() -> Want:
    """A robots.txt; RFC 9309 asks to read 500 KiB of it."""
    return Want("robots.txt", re.compile(r".*"), 512 * 1024)


async def read(response: httpx.Response, want: Want) -> Answer:
    """Read an answer of status 200.

    Raises:
        Refused: it is of another type or larger than is wanted.
        Unavailable: its compressed body ends early or is damaged.
    """
    headers = response.headers
    declared = headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared and not want.types.fullmatch(declared):
        raise Refused(f"the content type is {declared[:80]!r} where {want.name} is due")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > want.most:
        raise Refused(f"the answer has {length} bytes; accepted: {want.most}")
    return Answer(
        url=str(response.url),
        body=await _body(response, want.most),
        charset=response.charset_encoding or "",
        etag=headers.get("etag", ""),
        last_modified=headers.get("last-modified", ""),
    )


async def _body(response: httpx.Response, most: int) -> bytes:
    """The body, decompressed here so that a few bytes cannot become gigabytes before they are counted."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise Refused(f"the answer is coded as {coding[:40]!r}; accepted: gzip, deflate or plain")
    unpack = None if coding in ("", "identity") else zlib.decompressobj(wbits=47)
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            body += unpack.decompress(chunk, most - len(body) + 1) if unpack else chunk
            if len(body) > most:
                raise Refused(f"the answer has more than {most} bytes")
    except zlib.error as error:
        raise Unavailable(f"the answer's compressed body is damaged: {error}") from None
    if unpack and not unpack.eof:
        raise Unavailable("the answer's compressed body ends early")
    return bytes(body)


def retry_after(response: httpx.Response) -> float:
    """Seconds that an answer asks to wait, 0 when it does not; a date counts from the answer's own Date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        asked = parsedate_to_datetime(text) - parsedate_to_datetime(response.headers.get("date", ""))
    except (ValueError, TypeError):
        return 0.0
    return max(asked, timedelta()).total_seconds()
