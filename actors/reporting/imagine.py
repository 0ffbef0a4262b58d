"""The page of one query: the best picture, and every draw with its scores."""

from __future__ import annotations

from collections.abc import Sequence

from actors.contracts import Query
from actors.reporting.page import render
from actors.reporting.views import DrawView


def imagine_page(
    query: Query, draws: Sequence[DrawView], best: int | None, *, profile: str, versions: dict[str, str]
) -> str:
    """HTML of one `imagine` run; `best` is the index into `draws` of the picture handed out."""
    shown = None if best is None else draws[best]
    return render("imagine.html.j2", query=query, draws=draws, best=shown, profile=profile, versions=versions)


def covers_page(items: Sequence[DrawView], *, profile: str) -> str:
    """HTML of a set of covers, one a query."""
    admitted = sum(item.admitted for item in items)
    return render("covers.html.j2", items=items, admitted=admitted, profile=profile)
