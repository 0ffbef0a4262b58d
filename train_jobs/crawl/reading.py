"""JSON paths and CSS selectors: texts out of pages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

_SELECT = re.compile(r"^(.*?)(?:@([A-Za-z][\w:-]*))?$", re.DOTALL)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def check_path(name: str, path: str | None) -> None:
    """Refuse what is no JSON path.

    Raises:
        ValueError: a step is empty.
    """
    if path is not None and not all(path.split(".")):
        raise ValueError(f"{name} {path!r} has an empty step; accepted: e.g. data.items, images.*.url")


def check_select(name: str, select: str | None) -> None:
    """Refuse what is no CSS selector with an optional `@attribute`.

    Raises:
        ValueError: the selector cannot be parsed.
    """
    if select is None:
        return
    css, _ = _split(select)
    try:
        LexborHTMLParser("<p>").css(css or "*")
    except SelectolaxError:
        raise ValueError(f"{name} {select!r} is no CSS selector; accepted: e.g. a.next@href") from None


def walk(value: Any, path: str) -> Iterator[Any]:
    """What is at a JSON path; `*` goes through every element. What is not there is left out."""
    step, _, rest = path.partition(".")
    if step == "*":
        found = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    elif isinstance(value, dict):
        found = [value[step]] if step in value else []
    elif isinstance(value, list) and step.isdecimal():
        found = value[int(step) : int(step) + 1]
    else:
        found = []
    for inner in found:
        if rest:
            yield from walk(inner, rest)
        else:
            yield inner


def json_texts(value: Any, path: str | None) -> list[str]:
    """The texts and numbers at a JSON path, cleaned, those that are not empty."""
    found = walk(value, path) if path else ()
    plain = (str(one) for one in found if isinstance(one, str | int | float) and not isinstance(one, bool))
    return [text for one in plain if (text := tidy(one))]


def html_texts(node: LexborHTMLParser | LexborNode, select: str | None) -> list[str]:
    """The texts or attributes that a selector finds, cleaned, those that are not empty."""
    if not select:
        return []
    css, attribute = _split(select)
    found = node.css(css) if css else [node] if isinstance(node, LexborNode) else []
    texts = (
        (one.attributes.get(attribute) or "") if attribute else one.text(separator=" ", strip=True)
        for one in found
    )
    return [text for one in texts if (text := tidy(one))]


def tidy(text: str) -> str:
    """Without control characters, halves of characters (no storage keeps them) and outer blanks."""
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", text)).strip()


def _split(select: str) -> tuple[str, str]:
    match = _SELECT.match(select)
    return (match[1].strip(), match[2] or "") if match else (select, "")
