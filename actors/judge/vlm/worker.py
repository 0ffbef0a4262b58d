"""The judge that asks a vision chat model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import cv2
import httpx
import numpy as np

from actors.artifacts import Artifacts
from actors.clients.chat import Message
from actors.clients.structured import Structured, ask_structured
from actors.contracts import Comparison, Failure, Judgement, Picture, Query
from actors.engines.chat import model_name, open_chat
from actors.errors import AtelierError, failure_of
from actors.judge.vlm.questions import SCALE, Question, ask_about, digest, gates_of, merge_orders, scores_of
from actors.pixels import decode, encode_png
from configs.judge import VlmSettings


class Vlm:
    """Judge worker over a vision chat model, behind a service or in an engine of the cluster's own.

    What cannot be read is a `Failure`, never a score.
    """

    def __init__(
        self,
        settings: VlmSettings,
        artifacts: Artifacts,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = open_chat(settings.http, settings.chat, settings.engine, transport=transport)
        self._artifacts = artifacts
        self._side = settings.picture_side_px
        self.version = f"vlm-1:{model_name(settings.http, settings.engine)}:{digest()}"

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement | Failure]:
        """Scores 0..1 by dimension, and a gate for each subject, title and palette that the query names."""
        asked = (self._judge(p, q) for p, q in zip(pictures, queries, strict=True))
        return list(await asyncio.gather(*asked))

    async def compare(
        self, pairs: Sequence[tuple[Picture, Picture]], queries: Sequence[Query]
    ) -> list[Comparison | Failure]:
        """Which picture of each pair is better, asked in both orders; probabilities are the orders' mean."""
        asked = (self._compare(pair, q) for pair, q in zip(pairs, queries, strict=True))
        return list(await asyncio.gather(*asked))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _judge(self, picture: Picture, query: Query) -> Judgement | Failure:
        question = ask_about(query, "judge")
        try:
            seen = await asyncio.to_thread(self._shown, picture)
            answer = await self._ask(question, seen)
        except AtelierError as error:
            return failure_of(error, stage="judge", item_id=picture.sha256)
        value = answer.value
        return Judgement(
            scores=scores_of(value),
            confidence=value["confidence"] / SCALE,
            rationale=value["observations"],
            gates=gates_of(value),
            raw=answer.raw,
            judge_version=_dated(self.version, answer.weight_version),
        )

    async def _compare(self, pair: tuple[Picture, Picture], query: Query) -> Comparison | Failure:
        question = ask_about(query, "compare")
        try:
            first, second = await asyncio.gather(*(asyncio.to_thread(self._shown, p) for p in pair))
            forward = await self._ask(question, first, second)
            backward = await self._ask(question, second, first)
        except AtelierError as error:
            return failure_of(error, stage="judge", item_id=f"{pair[0].sha256}:{pair[1].sha256}")
        wins, consistent = merge_orders(forward.value, backward.value)
        return Comparison(
            first_wins=wins,
            consistent=consistent,
            raw=(forward.raw, backward.raw),
            judge_version=_dated(self.version, backward.weight_version),
        )

    async def _ask(self, question: Question, *pictures: bytes) -> Structured[dict[str, Any]]:
        messages = [
            Message("system", question.text),
            Message(
                "user",
                json.dumps(question.request, ensure_ascii=False),
                tuple(("image/png", picture) for picture in pictures),
            ),
        ]
        return await ask_structured(self._client, messages, question.schema, dict)

    def _shown(self, picture: Picture) -> bytes:
        """The picture as PNG, reduced to the longer side that the settings allow."""
        pixels = decode(self._artifacts.get(picture.sha256))
        height, width = pixels.shape[:2]
        scale = self._side / max(height, width)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        return encode_png(pixels)


def _dated(version: str, weights: str) -> str:
    """Where weights change, the version says which they were."""
    return f"{version}@{weights}" if weights else version
