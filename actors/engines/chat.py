"""A chat model behind an engine, with the face of one behind HTTP; and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from actors.clients.chat import Asker, ChatAnswer, ChatClient, Message, require_text
from actors.clients.transport import Json
from actors.engines.host import EngineHost
from actors.engines.nouns import Ask, Samples
from configs.engine import VllmSettings
from configs.http import ChatSettings, HttpSettings


class EngineChat:
    """Asks the chat model of an engine, which is started by the first question."""

    def __init__(self, engine: VllmSettings, chat: ChatSettings, host: EngineHost | None = None) -> None:
        self.chat = chat
        self.name = f"engine {engine.model.name}"
        self._host = host or EngineHost(engine)

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        seed: int | None = None,
        response_format: Json | None = None,
        check: Callable[[ChatAnswer], None] = lambda answer: None,
    ) -> ChatAnswer:
        """One completion; see `ChatClient.ask`.

        Raises:
            ClientError: the answer is empty, cut off, or refused by `check`.
            AtelierError: one of `actors.engines.errors.ERRORS`.
        """
        form = response_format or {}
        request = Ask(
            messages=tuple(message.json() for message in messages),
            temperature=1.0 if self.chat.temperature is None else self.chat.temperature,
            max_tokens=self.chat.max_tokens,
            seed=None if seed is None else seed % 2**63,
            json_schema=form["json_schema"]["schema"] if "json_schema" in form else None,
            json_object=form.get("type") == "json_object",
        )
        answer = _answer(await self._host.generate(request))
        require_text(answer, self.name, self.chat.max_tokens)
        check(answer)
        return answer

    async def close(self) -> None:
        """End the engine, if it was started here."""
        await self._host.close()


def open_chat(
    http: HttpSettings,
    chat: ChatSettings,
    engine: VllmSettings | None,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Asker:
    """The chat model that settings name: the engine's where there is one, else the service's."""
    return ChatClient(http, chat, transport=transport) if engine is None else EngineChat(engine, chat)


def model_name(http: HttpSettings, engine: VllmSettings | None) -> str:
    """What versions call the model."""
    return http.model if engine is None else engine.model.name


def _answer(given: Samples) -> ChatAnswer:
    (sample,) = given.samples
    return ChatAnswer.model_validate(
        {
            "choices": [{"message": {"content": sample.text}, "finish_reason": sample.finish_reason}],
            "usage": {
                "prompt_tokens": len(given.prompt_token_ids),
                "completion_tokens": given.output_tokens,
            },
            "weight_version": sample.weight_version,
        }
    )
