"""Candidates: what is searched, component name -> text."""

from __future__ import annotations

from actors.contracts import content_id

Candidate = dict[str, str]
"""Every candidate of a run has the same components."""


def key_of(candidate: Candidate) -> str:
    """16 hex digits that name the texts: equal texts give the same key on any machine."""
    return content_id(*(part for name in sorted(candidate) for part in (name, candidate[name])))
