"""The images call of the OpenAI API on top of imagine jobs."""

from __future__ import annotations

import asyncio
import base64

from actors.artifacts import Artifacts
from actors.contracts import Draw
from serve_apps.edge.guard import Caller
from serve_apps.edge.problems import Problem
from serve_apps.imagine.schemas import ImageItem, ImagesRequest, ImagesResponse, picture_url
from serve_apps.imagine.service import ImagineService


async def generate(
    body: ImagesRequest, service: ImagineService, caller: Caller, base_url: str
) -> ImagesResponse:
    """Run a job to its end. A caller who goes away does not end it: the pictures stay in the ledger.

    Raises:
        Problem: the job failed; 422 where the request is the cause.
    """
    job = await service.submit(body.to_query(), body.n, caller)
    await service.finish(job)
    drawn = sorted((draw for draw in job.draws.values() if draw.reward), key=_goodness, reverse=True)
    if not drawn:
        raise Problem(
            503, job.failure.message if job.failure else "no picture could be drawn", retry_after_s=5
        )
    first = drawn[0].picture
    items = [await asyncio.to_thread(_item, draw, body, service.artifacts, base_url) for draw in drawn]
    size = f"{first.width}x{first.height}" if first else "auto"
    return ImagesResponse(created=int(job.requested), data=items, size=size)


def _goodness(draw: Draw) -> tuple[bool, float]:
    return draw.admitted, draw.reward.value if draw.reward else 0.0


def _item(draw: Draw, body: ImagesRequest, artifacts: Artifacts, base_url: str) -> ImageItem:
    assert draw.picture is not None
    text = draw.prompt.text if draw.prompt else None
    if body.response_format == "url":
        return ImageItem(url=base_url.rstrip("/") + picture_url(draw.picture.sha256), revised_prompt=text)
    data = base64.b64encode(artifacts.get(draw.picture.sha256)).decode("ascii")
    return ImageItem(b64_json=data, revised_prompt=text)
