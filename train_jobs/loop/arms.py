"""The ways of turning a query into a prompt that the evaluation compares. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from actors.contracts import Prompt, Query, Recall, Strategy
from actors.policy.expander import OPEN_FACETS, engineer, write
from actors.vocabulary import Facet, phrase

Values = dict[Facet, str]


def raw(query: Query) -> Prompt:
    """The query itself."""
    return _prompt(query, write(query, {}), "raw")


def suffix(query: Query, values: Values) -> Prompt:
    """The query and one constant tail, whatever the query says."""
    text = write(query, {})
    comma = "，" if query.lang == "zh" else ", "
    tail = [phrase(facet, key, query.lang) for facet, key in values.items()]
    return _prompt(query, comma.join([text, *tail]), "suffix")


def shuffled(query: Query, other: Query, strategy: Strategy) -> Prompt:
    """The query with the facets that were engineered for another query."""
    values = engineer(other, Recall(), strategy)
    return suffix(query, {facet: key for facet, key in values.items() if facet in OPEN_FACETS})


def others(queries: Sequence[Query]) -> list[Query]:
    """For each query another one: a fixed derangement."""
    shift = max(1, len(queries) // 3)
    return [queries[(i + shift) % len(queries)] for i in range(len(queries))]


def _prompt(query: Query, text: str, arm: str) -> Prompt:
    return Prompt.of(text, query=query, strategy_id=arm, policy_version=arm)
