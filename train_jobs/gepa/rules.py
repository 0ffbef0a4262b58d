"""What a search may do beside the steps of GEPA. With one proposal in flight: nothing."""

from __future__ import annotations

from dataclasses import dataclass

from configs.gepa import GepaSettings


@dataclass(frozen=True)
class Rules:
    """Each costs or saves metric calls, and changes which member has which index."""

    overlap: bool
    """Go on searching while children are validated, from such a child in its parent's place."""
    recheck: bool
    """Before it is validated, compare a child with the pool's best member too, if that is not its parent."""
    racing: bool
    """Stop a validation that can come to nothing."""
    distinct: bool
    """Refuse a child whose texts are in the pool already."""
    merges: int
    """Merges and crossovers that may be admitted."""


def rules_of(settings: GepaSettings) -> Rules:
    """The rules for a width."""
    many = settings.in_flight > 1
    limit = settings.merges if settings.merges is not None else (10**9 if many else 0)
    return Rules(
        overlap=many,
        recheck=many,
        racing=many and settings.racing.blocks > 1,
        distinct=many,
        merges=limit,
    )
