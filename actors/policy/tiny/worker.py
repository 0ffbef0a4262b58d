"""The small policy of our own: reads a query, and answers with what the prompt shall pin down."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.resources import as_file, files

import torch

from actors.artifacts import Artifacts
from actors.context import context_of
from actors.contracts import Failure, Prompt, Query, Recall, Strategy, derive_seed
from actors.policy.expander import recalled, write
from actors.policy.tiny.checkpoint import LoadedPolicy, load
from actors.policy.tiny.sampling import Grammar, pad_left, sample
from actors.policy.tiny.tokens import Tokens
from configs.policy import TinySettings


class Tiny:
    """Policy worker with weights of its own. Its weights are the strategy, whose texts are not read; of what
    they would say the bank's memories replace what clearly failed."""

    def __init__(self, settings: TinySettings, artifacts: Artifacts) -> None:
        self._settings = settings
        self._loaded = load(settings.weights) if settings.weights else _shipped()
        self.version = self._loaded.version

    def propose(
        self, queries: Sequence[Query], recalls: Sequence[Recall], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        """`n` prompts a query: the first is the likeliest, the others are sampled."""
        loaded, answers = self._loaded, []
        tokens = loaded.tokens
        ids, mask = pad_left([tokens.query(query) for query in queries], tokens.pad)
        grammar = grammar_of(tokens, queries)
        for turn in range(n):
            dice = [random.Random(derive_seed(seed, query.id, turn)) for query in queries] if turn else None
            answer = sample(
                loaded.model,
                ids,
                mask,
                grammar,
                pad=tokens.pad,
                end=tokens.end,
                dice=dice,
                temperature=self._settings.temperature,
            )
            answers.append(answer.ids.tolist())
        return [
            [self._prompt(query, answers[turn][place], recall, strategy) for turn in range(n)]
            for place, (query, recall) in enumerate(zip(queries, recalls, strict=True))
        ]

    def _prompt(self, query: Query, answer: list[int], recall: Recall, strategy: Strategy) -> Prompt:
        values = self._loaded.tokens.values(answer)
        text = write(query, values)
        # A trained policy knows more than memories of like situations; not of this very prompt's failure.
        if any(memory.prompt == text and memory.aspect == query.aspect for memory in recall.bad):
            better = recalled(values, context_of(query), recall)
            text = write(query, {facet: better[facet] for facet in values})
        return Prompt.of(text, query=query, strategy_id=strategy.id, policy_version=self.version)


def grammar_of(tokens: Tokens, queries: Sequence[Query]) -> Grammar:
    """What the answers to queries may say."""
    usable = torch.zeros(len(queries), tokens.size, dtype=torch.bool)
    for row, query in enumerate(queries):
        usable[row, tokens.allowed(query)] = True
    return Grammar(usable, torch.tensor(tokens.order))


def _shipped() -> LoadedPolicy:
    with as_file(files("actors.policy.tiny").joinpath("weights")) as folder:
        return load(folder)
