"""Judging pictures that callers bring."""

from __future__ import annotations

import asyncio

from actors.artifacts import Artifacts
from actors.contracts import (
    AuditVerdict,
    Dimension,
    Failure,
    Judgement,
    Picture,
    Prompt,
    Query,
    nearest_aspect,
)
from actors.reward import reward
from actors.roles import Roles
from actors.scorer.request import request_text
from configs.reward import RewardSettings
from serve_apps.imagine.pictures import take_in
from serve_apps.imagine.schemas import ScoreItem, ScoresResponse, ScoreView


async def score(
    items: list[ScoreItem], roles: Roles, artifacts: Artifacts, settings: RewardSettings
) -> ScoresResponse:
    """Judge each picture against its query and rank them.

    Raises:
        Problem: a picture cannot be read; the field is named.
        ArtifactMissing: a picture given by hash is not stored.
    """
    pictures = await asyncio.to_thread(_take_all, items, artifacts)
    queries = [_query(item, picture) for item, picture in zip(items, pictures, strict=True)]
    judged, audited = await asyncio.gather(roles.judge.judge(pictures, queries), roles.audit.check(pictures))
    texts = [request_text(query) for query in queries]
    learned = await roles.scorer.score(pictures, texts) if roles.scorer else [None] * len(items)
    reports = [
        _report(index, items[index], *parts, settings)
        for index, parts in enumerate(zip(pictures, queries, judged, audited, learned, strict=True))
    ]
    ranked = [report for report in reports if report.picture_value is not None]
    ranked.sort(key=lambda report: (all(report.gates.values()), report.picture_value or 0.0), reverse=True)
    return ScoresResponse(reports=reports, ranking=[report.index for report in ranked])


def _take_all(items: list[ScoreItem], artifacts: Artifacts) -> list[Picture]:
    return [take_in(item.picture, artifacts, f"items.{index}.picture") for index, item in enumerate(items)]


def _query(item: ScoreItem, picture: Picture) -> Query:
    aspect = item.aspect or nearest_aspect(picture.width, picture.height)
    return Query.of(item.query, aspect=aspect, title=item.title)


def _report(
    index: int,
    item: ScoreItem,
    picture: Picture,
    query: Query,
    judgement: Judgement | Failure,
    verdict: AuditVerdict | Failure,
    learned: dict[Dimension, float] | Failure | None,
    settings: RewardSettings,
) -> ScoreView:
    if isinstance(judgement, Failure) or isinstance(verdict, Failure) or isinstance(learned, Failure):
        failed = next(part for part in (judgement, verdict, learned) if isinstance(part, Failure))
        return _failed(index, picture, failed)
    prompt = Prompt.of(item.prompt or item.query, query=query, strategy_id="given", policy_version="given")
    outcome = reward(query, prompt, judgement, {"picture": verdict}, settings, learned)
    parts = {
        name.removeprefix("prompt."): v for name, v in outcome.parts.items() if name.startswith("prompt.")
    }
    return ScoreView(
        index=index,
        sha256=picture.sha256,
        scores={str(name): value for name, value in judgement.scores.items()},
        learned={str(name): value for name, value in learned.items()} if learned else None,
        gates=outcome.gates,
        picture_value=outcome.picture,
        prompt_parts=parts if item.prompt else None,
        reward=outcome.value if item.prompt else None,
        admitted=outcome.admitted,
        rationale=judgement.rationale,
        judge_version=judgement.judge_version,
    )


def _failed(index: int, picture: Picture, failure: Failure) -> ScoreView:
    return ScoreView(
        index=index,
        sha256=picture.sha256,
        scores={},
        learned=None,
        gates={},
        picture_value=None,
        prompt_parts=None,
        reward=None,
        admitted=False,
        rationale="",
        judge_version=None,
        error=failure.message,
    )
