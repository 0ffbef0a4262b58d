"""Queries as the chat that the run-time policy has, answers as the JSON that it reads."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from jsonschema import Draft202012Validator
from torch import Tensor

from actors.clients.errors import BadAnswer
from actors.clients.structured import find_json
from actors.contracts import Prompt, Query, Recall, Strategy
from actors.errors import BadInput
from actors.policy.chat import answer_of, messages_of, prompt_of, schema_of
from actors.policy.expander import default_strategy
from configs.ppo import LlmPolicySettings
from train_jobs.ppo.llm.model import Words

_CHECK = Draft202012Validator(schema_of(1))


class Chat:
    """One strategy's instructions, without recalls: what a policy has learnt must not hang on its bank.

    Args:
        strategy: none = the shipped one, which the run-time policy has where no other is named.
    """

    def __init__(self, words: Words, settings: LlmPolicySettings, strategy: Strategy | None = None) -> None:
        self.words, self._settings = words, settings
        self._strategy = strategy or default_strategy()
        self.query = functools.lru_cache(maxsize=8192)(self._query)

    def _query(self, query: Query) -> tuple[int, ...]:
        """The tokens of a chat up to where its answer begins.

        Raises:
            BadInput: there are more than `longest_query`.
        """
        messages = [message.json() for message in messages_of(query, Recall(), self._strategy, 1)]
        tokenizer = self.words.tokenizer
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        tokens = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        if len(tokens) > self._settings.longest_query:
            raise BadInput(
                f"query {query.id} and its instructions are {len(tokens)} tokens; accepted: up to "
                f"ppo.policy.longest_query={self._settings.longest_query}"
            )
        return tokens

    def answer(self, prompt: Prompt) -> list[int]:
        """The tokens of an answer that holds a prompt, its end included.

        Raises:
            BadInput: there are more than `longest_answer`.
        """
        text = answer_of(prompt.text, prompt.negative)
        tokens = [*self.words.tokenizer(text, add_special_tokens=False)["input_ids"], self.words.end]
        if len(tokens) > self._settings.longest_answer:
            raise BadInput(
                f"the answer with prompt {prompt.id} is {len(tokens)} tokens; accepted: up to "
                f"ppo.policy.longest_answer={self._settings.longest_answer}"
            )
        return tokens

    def prompt(self, query: Query, answer: Sequence[int]) -> Prompt | None:
        """The prompt that an answer's tokens hold; None where they hold none."""
        try:
            found = find_json(self.words.tokenizer.decode(list(answer), skip_special_tokens=True))
            if not _CHECK.is_valid(found):
                return None
            return prompt_of(found["prompts"][0], query, self._strategy, "ppo")
        except (BadAnswer, ValueError):  # what pydantic refuses is a ValueError
            return None


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] with the padding behind them, and the mask [B, T] that is false there."""
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (length - len(row))] for row in rows])
    return ids, torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
