"""The HTTP surface of the imagine app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from actors.artifacts import ArtifactMissing
from serve_apps.edge.guard import caller_of, guarded_router
from serve_apps.edge.problems import Problem, shown
from serve_apps.imagine.jobs import ImagineJob
from serve_apps.imagine.openai import generate
from serve_apps.imagine.pictures import media_type_of
from serve_apps.imagine.schemas import (
    Accepted,
    ImagesRequest,
    ImagesResponse,
    ImagineRequest,
    JobView,
    ScoresRequest,
    ScoresResponse,
)
from serve_apps.imagine.scores import score
from serve_apps.imagine.service import ImagineService

imagine = guarded_router("imagine")
scores = guarded_router("score")
public = APIRouter()


def _service(request: Request) -> ImagineService:
    service: ImagineService = request.app.state.imagine
    return service


Service = Annotated[ImagineService, Depends(_service)]


async def _job(job_id: str, request: Request, service: Service) -> ImagineJob:
    return await service.find(job_id, caller_of(request))


Job = Annotated[ImagineJob, Depends(_job)]


@imagine.post("/v1/imagine", status_code=202)
async def start(
    body: ImagineRequest,
    request: Request,
    response: Response,
    service: Service,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Accepted:
    """Take a query on. With an `Idempotency-Key`, the same request again is the same job."""
    job = await service.submit(body.to_query(), body.n, caller_of(request), idempotency_key)
    url = f"/v1/imagine/{job.id}"
    response.headers["Location"] = url
    return Accepted(id=job.id, status=job.status, url=url, events=f"{url}/events")


@imagine.get("/v1/imagine/{job_id}")
async def show(job: Job) -> JobView:
    """A job as it stands."""
    return JobView.of(job)


def _resume_after(last_event_id: Annotated[str | None, Header()] = None) -> int:
    if last_event_id is None:
        return -1
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) <= 18):
        raise Problem(422, f"Last-Event-ID: {shown(last_event_id)} is no event id", "Last-Event-ID")
    return int(last_event_id)


@imagine.get("/v1/imagine/{job_id}/events", response_class=EventSourceResponse)
async def events(
    job: Job, service: Service, after: Annotated[int, Depends(_resume_after)]
) -> AsyncIterator[ServerSentEvent]:
    """The job's progress: queued, proposed, drawn k/n, judged k/n, then done or failed.

    A client that comes back with `Last-Event-ID` gets what it missed, from any replica.
    """
    async for step in service.follow(job, after):
        yield ServerSentEvent(data=step.data, event=step.name, id=str(step.offset))


@imagine.get("/v1/pictures/{sha256}", response_class=Response)
async def picture(
    sha256: str, service: Service, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """A picture's bytes, verified against the hash. They never change, so they may be cached for ever."""
    data = await asyncio.to_thread(service.artifacts.get, sha256)
    media_type = media_type_of(data)
    if media_type is None:
        raise ArtifactMissing(f"{sha256} is no picture")
    headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if if_none_match and sha256 in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


@imagine.post("/v1/images/generations", response_model_exclude_none=True)
async def generations(body: ImagesRequest, request: Request, service: Service) -> ImagesResponse:
    """The images call of the OpenAI API: the query is engineered, drawn and judged; the best comes first."""
    return await generate(body, service, caller_of(request), str(request.base_url))


@scores.post("/v1/scores")
async def scored(body: ScoresRequest, service: Service) -> ScoresResponse:
    """Judge pictures against their queries: a report by dimension for each, and a ranking."""
    most = service.settings.max_pictures
    if len(body.items) > most:
        raise Problem(422, f"items: {len(body.items)} are not accepted: 1 to {most} a request", "items")
    texts = {text for item in body.items for text in (item.query, item.title) if text}
    await service.refuse_unsafe(sorted(texts))
    return await score(body.items, service.roles, service.artifacts, service.reward)


@public.get("/healthz")
async def healthz(service: Service, ready: bool = False) -> JSONResponse:
    """200 while the process lives, and what it stands on; with `?ready=1`, 503 unless all that answers."""
    checks = await service.health()
    all_ok = all(check == "ok" for check in checks.values())
    body: dict[str, Any] = {"status": "ok", "ready": all_ok, "checks": checks}
    return JSONResponse(body, 503 if ready and not all_ok else 200)
