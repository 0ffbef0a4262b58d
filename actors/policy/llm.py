"""The policy that asks a chat model: the strategy is its instructions, query and recalls are its material."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from actors.artifacts import Artifacts
from actors.clients.structured import ask_structured
from actors.contracts import Failure, Prompt, Query, Recall, Strategy, derive_seed
from actors.engines.chat import model_name, open_chat
from actors.errors import AtelierError, failure_of
from actors.policy.chat import instructions_digest, messages_of, prompt_of, schema_of
from configs.policy import LlmSettings


class Llm:
    """Policy worker over a chat model: behind a service, or in an engine of the cluster's own."""

    def __init__(
        self,
        settings: LlmSettings,
        artifacts: Artifacts,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = open_chat(settings.http, settings.chat, settings.engine, transport=transport)
        self.version = f"llm-1:{model_name(settings.http, settings.engine)}:{instructions_digest()}"

    async def propose(
        self, queries: Sequence[Query], recalls: Sequence[Recall], strategy: Strategy, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        """`n` prompts a query, in the query's language. One that fails is a `Failure`, others go on."""
        asked = (
            self._one(query, recall, strategy, n, seed)
            for query, recall in zip(queries, recalls, strict=True)
        )
        return list(await asyncio.gather(*asked))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _one(
        self, query: Query, recall: Recall, strategy: Strategy, n: int, seed: int
    ) -> list[Prompt] | Failure:
        messages = messages_of(query, recall, strategy, n)

        def convert(answer: Any) -> list[Prompt]:
            return [prompt_of(entry, query, strategy, self.version) for entry in answer["prompts"][:n]]

        try:
            answer = await ask_structured(
                self._client, messages, schema_of(n), convert, seed=derive_seed(seed, query.id)
            )
        except AtelierError as error:
            return failure_of(error, stage="policy", item_id=query.id)
        return [_dated(prompt, answer.weight_version) for prompt in answer.value]


def _dated(prompt: Prompt, weights: str) -> Prompt:
    """Where weights change, the prompt says which it comes from."""
    if not weights:
        return prompt
    return prompt.model_copy(update={"policy_version": f"{prompt.policy_version}@{weights}"})
