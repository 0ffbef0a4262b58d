"""What is said to a chat model that writes prompts, and what is read from its answer."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from actors.clients.chat import Message
from actors.clients.transport import Json
from actors.contracts import Lang, Memory, Prompt, Query, Recall, Strategy

MAX_CLAUSES = 11
"""Image models follow about this many clauses; what is beyond is followed worse."""
_COMPONENTS = ("instruction", "clauses", "rules", "avoid")


def messages_of(query: Query, recall: Recall, strategy: Strategy, n: int) -> list[Message]:
    """The conversation that asks for `n` prompts: the strategy instructs, query and recall are material."""
    parts = {name: strategy.components.get(name, "").strip() for name in _COMPONENTS}
    instructions = _templates()[query.lang].render(**parts, max_clauses=MAX_CLAUSES)
    return [
        Message("system", instructions),
        Message("user", json.dumps(_request(query, recall, n), ensure_ascii=False)),
    ]


def answer_of(text: str, negative: str) -> str:
    """What a model should answer whose one prompt is this."""
    return json.dumps({"prompts": [{"text": text, "negative": negative}]}, ensure_ascii=False)


def prompt_of(entry: Json, query: Query, strategy: Strategy, version: str) -> Prompt:
    """The prompt that an entry of a checked answer is."""
    return Prompt.of(
        entry["text"],
        query=query,
        strategy_id=strategy.id,
        policy_version=version,
        negative=entry.get("negative", "").strip(),
    )


def instructions_digest() -> str:
    """Eight hex digits of the instructions' templates."""
    text = "".join(_template_text(lang) for lang in ("en", "zh"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]


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


def schema_of(n: int) -> Json:
    """The JSON schema of an answer with `n` prompts."""
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


@functools.cache
def _templates() -> dict[Lang, Template]:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    return {lang: environment.from_string(_template_text(lang)) for lang in ("en", "zh")}


def _template_text(lang: str) -> str:
    return files("actors.policy").joinpath("llm_prompts", f"system.{lang}.md.j2").read_text("utf-8")
