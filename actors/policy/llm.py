"""The policy that asks a chat model: the strategy is its instructions, query and recalls are its material."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import httpx
from jinja2 import Environment, StrictUndefined

from actors.artifacts import Artifacts
from actors.clients.chat import Message
from actors.clients.structured import ask_structured
from actors.clients.transport import Json
from actors.contracts import Failure, Lang, Memory, Prompt, Query, Recall, Strategy, derive_seed
from actors.engines.chat import model_name, open_chat
from actors.errors import AtelierError, failure_of
from configs.policy import LlmSettings

MAX_CLAUSES = 11
"""Image models follow about this many clauses; what is beyond is followed worse."""


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
        texts = {lang: _prompt_file(lang) for lang in ("en", "zh")}
        environment = Environment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
        )
        self._templates = {lang: environment.from_string(text) for lang, text in texts.items()}
        digest = hashlib.sha256("".join(texts.values()).encode("utf-8")).hexdigest()[:8]
        self.version = f"llm-1:{model_name(settings.http, settings.engine)}:{digest}"

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
        messages = [
            Message("system", self._instructions(query.lang, strategy)),
            Message("user", json.dumps(_request(query, recall, n), ensure_ascii=False)),
        ]

        def convert(answer: Any) -> list[Prompt]:
            return [self._prompt(entry, query, strategy) for entry in answer["prompts"][:n]]

        try:
            answer = await ask_structured(
                self._client, messages, _schema(n), convert, seed=derive_seed(seed, query.id)
            )
        except AtelierError as error:
            return failure_of(error, stage="policy", item_id=query.id)
        return [_dated(prompt, answer.weight_version) for prompt in answer.value]

    def _instructions(self, lang: Lang, strategy: Strategy) -> str:
        parts = {name: strategy.components.get(name, "").strip() for name in _COMPONENTS}
        return self._templates[lang].render(**parts, max_clauses=MAX_CLAUSES)

    def _prompt(self, entry: Json, query: Query, strategy: Strategy) -> Prompt:
        return Prompt.of(
            entry["text"],
            query=query,
            strategy_id=strategy.id,
            policy_version=self.version,
            negative=entry.get("negative", "").strip(),
        )


_COMPONENTS = ("instruction", "clauses", "rules", "avoid")


def _dated(prompt: Prompt, weights: str) -> Prompt:
    """Where weights change, the prompt says which it comes from."""
    if not weights:
        return prompt
    return prompt.model_copy(update={"policy_version": f"{prompt.policy_version}@{weights}"})


def _prompt_file(lang: str) -> str:
    return files("actors.policy").joinpath("llm_prompts", f"system.{lang}.md.j2").read_text("utf-8")


def _request(query: Query, recall: Recall, n: int) -> Json:
    """What users wrote, now and earlier, travels as data and never among the instructions."""
    request: Json = {"request": query.text, "frame": query.aspect, "prompts_wanted": n}
    if query.title:
        request["title"] = query.title
    if recall.good:
        request["admitted"] = [
            _attempt(memory) | {"reward": round(memory.reward, 2)} for memory in recall.good
        ]
    if recall.bad:
        request["failed"] = [_attempt(memory) | {"causes": list(memory.causes)} for memory in recall.bad]
    return request


def _attempt(memory: Memory) -> Json:
    return {"request": memory.query, "frame": memory.aspect, "prompt": memory.prompt}


def _schema(n: int) -> Json:
    prompt = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 2000},
            "negative": {"type": "string", "maxLength": 1000},
        },
        "required": ["text", "negative"],
        "additionalProperties": False,
    }
    return {
        "title": "prompts",
        "type": "object",
        "properties": {"prompts": {"type": "array", "items": prompt, "minItems": n}},
        "required": ["prompts"],
        "additionalProperties": False,
    }
