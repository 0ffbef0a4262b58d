"""Schema-bound answers: asked for by schema, read leniently, checked strictly, repaired once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jsonschema import Draft202012Validator, ValidationError

from actors.clients.answers import excerpt
from actors.clients.chat import Asker, ChatAnswer, Message
from actors.clients.errors import BadAnswer
from actors.clients.transport import Json

T = TypeVar("T")

_FENCE = re.compile(r"```(?:json)?\s*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Structured(Generic[T]):
    """A checked answer, and the text it was read from."""

    value: T
    raw: str
    weight_version: str = ""
    """See `ChatAnswer.weight_version`."""


async def ask_structured(
    client: Asker,
    messages: Sequence[Message],
    schema: Json,
    convert: Callable[[Any], T],
    *,
    seed: int | None = None,
) -> Structured[T]:
    """Ask for JSON of a schema.

    Args:
        client: whom to ask; its settings say how the schema is announced and how many repairs are tried.
        messages: the conversation so far.
        schema: JSON schema (2020-12) that the answer must meet; its `title` names it.
        convert: turns the checked JSON into its type; a `ValueError` counts as a malformed answer.
        seed: sampling seed.

    Raises:
        BadAnswer: the answer is malformed even after the repairs; the message names the field.
        ClientError: the service failed.
    """
    asked = list(messages)
    for repair in range(client.chat.repairs + 1):
        reader = _Reader(schema, convert)
        try:
            await client.ask(
                asked, seed=seed, response_format=_response_format(client, schema), check=reader.check
            )
            return reader.result()
        except BadAnswer as error:
            if repair == client.chat.repairs or not reader.raw:
                raise
            asked = [
                *messages,
                Message("assistant", reader.raw),
                Message(
                    "user", f"This answer cannot be used: {error}. Answer again, with the JSON object alone."
                ),
            ]
    raise AssertionError("unreachable: the last round returns or raises")


class _Reader(Generic[T]):
    """Reads one answer while it may still be refused, that is before it is cached."""

    def __init__(self, schema: Json, convert: Callable[[Any], T]) -> None:
        self._schema = schema
        self._convert = convert
        self._values: list[T] = []
        self.raw = ""
        self._weight_version = ""

    def check(self, answer: ChatAnswer) -> None:
        self.raw, self._weight_version = answer.text, answer.weight_version
        value = find_json(self.raw)
        problem = next(iter(sorted(Draft202012Validator(self._schema).iter_errors(value), key=_depth)), None)
        if problem is not None:
            where = problem.json_path.removeprefix("$.")
            raise BadAnswer(f"the model's answer has a wrong field: {where}: {problem.message[:200]}")
        try:
            self._values = [self._convert(value)]
        except ValueError as error:
            raise BadAnswer(
                f"the model's answer has a wrong value: {' '.join(str(error).split())[:300]}"
            ) from None

    def result(self) -> Structured[T]:
        return Structured(self._values[0], self.raw, self._weight_version)


def find_json(text: str) -> Any:
    """The JSON object in a model's text: bare, in a code fence, after its thinking, or amid prose.

    Raises:
        BadAnswer: there is none, or it is cut off.
    """
    text = _THINKING.sub("", text)
    fenced = _FENCE.search(text)
    inner = fenced[1] if fenced else text
    start = inner.find("{")
    if start < 0:
        raise BadAnswer(f"the model's answer holds no JSON object: {excerpt(text)}")
    try:
        value, _ = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(inner, start)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the model's answer holds damaged JSON ({error}): {excerpt(text)}") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _response_format(client: Asker, schema: Json) -> Json | None:
    form = client.chat.answer_format
    if form == "none":
        return None
    if form == "json_object":
        return {"type": "json_object"}
    named = {"name": schema.get("title", "answer"), "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named}


def _depth(problem: ValidationError) -> int:
    return len(problem.absolute_path)
