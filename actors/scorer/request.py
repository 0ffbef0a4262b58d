"""What the scorer is told of a request."""

from __future__ import annotations

from actors.contracts import Query


def request_text(query: Query) -> str:
    """The query's words, its title where the words do not hold it, and the frame it is for."""
    parts = [query.text]
    if query.title and query.title not in query.text:
        parts.append(query.title)
    return " | ".join((*parts, query.aspect))
