"""Which word earned what: a picture's score in a dimension is credited where its facet was decided. Pure.

A reward that comes at the end alone leaves the critic to find out which of the words it is owed to. Where a
judge scores dimensions, most of it is known: the layout's word decides the composition. Advantages with a
short memory (a small lambda) then hear little of what other words did.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from actors.policy.expander import SHOWN_BY
from actors.vocabulary import Facet

_SHOWS: dict[str, Facet] = {str(dimension): facet for facet, dimension in SHOWN_BY.items()}


def credits(
    scores: Mapping[str, float],
    weights: Mapping[str, float],
    named: Collection[Facet],
    order: Sequence[Facet],
    said: Sequence[Facet | None],
) -> list[float]:
    """A credit for each token of an answer: shares of the weighted mean of the dimensions' scores, 0..1.

    A dimension's share goes to the token at which its facet was decided: the facet's own, or where it was
    passed over the one that came in its stead. What no word of the answer decided goes to each of them: a
    style that the query names is hard to recognise in some layouts and palettes.

    Args:
        scores: of the dimensions that were judged, 0..1.
        weights: of the dimensions in the picture's value; one without a weight takes no part.
        named: facets that the query names, which no answer decides.
        order: facets in the order of an answer.
        said: the facet of each token, at least one; None = none, as for the end.
    """
    shares = [0.0] * len(said)
    present = {name: weights[name] for name in scores if weights.get(name)}
    total = sum(present.values())
    places = [len(order) if facet is None else order.index(facet) for facet in said]
    for name, weight in present.items():
        facet, share = _SHOWS.get(name), weight * scores[name] / total
        if facet is None or facet in named:
            shares = [each + share for each in shares]
            continue
        at = next((token for token, place in enumerate(places) if place >= order.index(facet)), len(said) - 1)
        shares[at] += share
    return shares
