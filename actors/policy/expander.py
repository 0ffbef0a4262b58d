"""The rule policy: reads the query's facets, and pins down what it leaves open.

For each open facet the bank's priors decide when they speak clearly, then the strategy's rules, else it
stays open. What the query says is kept word for word.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import yaml

from actors.artifacts import Artifacts
from actors.context import Context, context_of
from actors.contracts import Dimension, Failure, Memory, Prompt, Query, Recall, Strategy, derive_seed
from actors.errors import BadInput, failure_of
from actors.policy.rules import clause_values, decide, parse_rules
from actors.vocabulary import FACETS, Facet, keys, phrase, read, read_query
from configs.policy import ExpanderSettings

OPEN_FACETS: tuple[Facet, ...] = ("style", "palette", "layout", "light", "density")
SHOWN_BY: dict[Facet, Dimension] = {
    "layout": Dimension.COMPOSITION,
    "palette": Dimension.COLOR,
    "light": Dimension.LIGHTING,
    "style": Dimension.STYLE_FIT,
}
"""The dimension in which the choice of a facet shows."""
CLEAR = 0.8
"""Least net evidence, in memories of the same situation, at which the bank overrules the rules."""
EXPLORE = 0.5
"""Share of open facets that a further proposal changes."""


def default_strategy() -> Strategy:
    """The shipped strategy."""
    return Strategy.of(_components(files("actors.policy").joinpath("strategy.yaml").read_text("utf-8")))


def read_strategy(path: Path) -> Strategy:
    """A strategy from a YAML file of component names and texts.

    Raises:
        BadInput: the file cannot be read, or holds something else.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); accepted: a YAML file of a strategy") from None
    return Strategy.of(_components(text))


class Expander:
    """Policy worker without weights."""

    version = "expander-1"

    def __init__(self, settings: ExpanderSettings, artifacts: Artifacts) -> None:
        path = settings.strategy_file
        self._own = read_strategy(path) if path else None

    def propose(
        self, queries: Sequence[Query], recalls: Sequence[Recall], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        """`n` prompts a query: the first is the best known, the others vary what the query leaves open."""
        strategy = self._own or strategy
        answers: list[list[Prompt] | Failure] = []
        for query, recall in zip(queries, recalls, strict=True):
            try:
                answers.append([self._prompt(query, recall, strategy, seed, i) for i in range(n)])
            except BadInput as error:
                answers.append(failure_of(error, stage="policy", item_id=query.id))
        return answers

    def _prompt(self, query: Query, recall: Recall, strategy: Strategy, seed: int, index: int) -> Prompt:
        values = engineer(query, recall, strategy)
        if index:
            rng = random.Random(derive_seed(seed, query.id, index))
            for facet in OPEN_FACETS:
                if facet in values and rng.random() < EXPLORE:
                    values[facet] = rng.choice(keys(facet))
        text = write(query, values)
        return Prompt.of(text, query=query, strategy_id=strategy.id, policy_version=self.version)


def engineer(query: Query, recall: Recall, strategy: Strategy) -> dict[Facet, str]:
    """The values to write for the facets that the query leaves open. Pure.

    Raises:
        BadInput: the strategy's rules cannot be parsed.
    """
    asked = read_query(query)
    context = context_of(query)
    values = dict(clause_values(strategy.components.get("clauses", "")))
    for facet, key in decide(parse_rules(strategy.components.get("rules", "")), context).items():
        values.setdefault(facet, key)
    values = recalled(values, context, recall)
    avoided = clause_values(strategy.components.get("avoid", ""))
    return {
        facet: key
        for facet, key in values.items()
        if (facet == "subject" or not asked.keys(facet))
        and (facet, key) not in avoided
        and not (facet == "subject" and asked.keys("subject"))
    }


def recalled(values: Mapping[Facet, str], context: Context, recall: Recall) -> dict[Facet, str]:
    """Values as the bank's memories would have them: what clearly did well, or did not fail. Pure."""
    found = dict(values)
    for facet in SHOWN_BY:
        evidence = _evidence(facet, context, recall)
        if not evidence:
            continue
        favourite = max(evidence, key=lambda key: evidence[key])
        current = evidence.get(values.get(facet, ""), 0.0)
        clear = evidence[favourite] >= CLEAR and evidence[favourite] > current
        if clear or (current <= -CLEAR and evidence[favourite] > 0):
            found[facet] = favourite
    return found


def write(query: Query, values: Mapping[Facet, str]) -> str:
    """The prompt's text: the query as it stands, its title, one clause a value in the query's language."""
    comma = "，" if query.lang == "zh" else ", "
    parts = [query.text.strip().rstrip(".。,，;；")]
    if query.title and query.title not in query.text:
        parts.append(f"标题《{query.title}》" if query.lang == "zh" else f'title "{query.title}"')
    parts += [phrase(facet, values[facet], query.lang) for facet in FACETS if facet in values]
    return comma.join(parts)


def _evidence(facet: Facet, context: Context, recall: Recall) -> dict[str, float]:
    """For each value of a facet that was tried in a like situation: how well its dimension did, net."""
    likeness, dimension = _LIKENESS[facet], SHOWN_BY[facet]
    evidence: dict[str, float] = {}
    for memory in (*recall.good, *recall.bad):
        key = _only(memory.prompt, facet)
        score = memory.scores.get(dimension)
        if key and score is not None:
            weight = likeness(context, _context_of_memory(memory))
            evidence[key] = evidence.get(key, 0.0) + weight * (2 * score - 1)
    return evidence


def _only(prompt: str, facet: Facet) -> str | None:
    found = read(prompt).keys(facet)
    return found[0] if len(found) == 1 else None


def _context_of_memory(memory: Memory) -> Context:
    return context_of(Query.of(memory.query, aspect=memory.aspect, lang=memory.lang))


def _frame_likeness(mine: Context, other: Context) -> float:
    """Layout hangs on the frame: its shape, the title, the number of subjects."""
    same = (mine.shape == other.shape) + (mine.titled == other.titled)
    return float(same == 2 and min(len(mine.subjects), 2) == min(len(other.subjects), 2))


def _tone_likeness(mine: Context, other: Context) -> float:
    """Palette, light and style hang on the mood, else on time and season, else on the subject."""
    if mine.mood or other.mood:
        return float(mine.mood == other.mood)
    if (mine.time, mine.season) != (other.time, other.season):
        return 0.0
    if mine.time or mine.season:
        return 0.5 + 0.5 * bool(set(mine.subjects) & set(other.subjects))
    return float(bool(set(mine.subjects) & set(other.subjects)) or not (mine.subjects or other.subjects))


_LIKENESS: dict[Facet, Callable[[Context, Context], float]] = {
    "layout": _frame_likeness,
    "palette": _tone_likeness,
    "light": _tone_likeness,
    "style": _tone_likeness,
}


def _components(text: str) -> dict[str, str]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise BadInput(f"a strategy file is no YAML ({problem}); accepted: name -> text") from None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise BadInput(
            "a strategy file holds something else than texts; accepted: a YAML mapping name -> text"
        )
    return {str(name): value for name, value in data.items()}
