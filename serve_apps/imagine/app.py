"""The imagine app, in one process or on Serve."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from actors.artifacts import Artifacts
from actors.bank.bank import PromptBank
from actors.ledger import EventLog
from actors.policy.expander import default_strategy
from actors.roles import Roles
from actors.runs import versions
from configs.schema import Settings
from serve_apps.edge.app import edge_app
from serve_apps.imagine import routes
from serve_apps.imagine.board import Board
from serve_apps.imagine.runner import Runner
from serve_apps.imagine.service import ImagineService

if TYPE_CHECKING:
    from ray.serve import Application

APP = "imagine"


def create_fastapi(
    roles: Roles, log: EventLog, artifacts: Artifacts, settings: Settings, proxied: bool = False
) -> FastAPI:
    """The app over given roles, ledger and store; works on jobs while its lifespan runs."""
    own = settings.serve.imagine
    board = Board(log, own.jobs_kept)
    bank = PromptBank(settings.bank, log)
    holder = f"imagine-{uuid.uuid4().hex[:12]}"
    runner = Runner(board, roles, default_strategy(), bank, settings.reward, own, holder=holder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with runner.running():
            yield

    app = edge_app("Atelier imagine", settings.serve, lifespan, versions()["atelier-ray"], proxied)
    app.state.imagine = ImagineService(roles, log, artifacts, board, runner, settings.reward, own)
    for router in (routes.imagine, routes.scores, routes.public):
        app.include_router(router)
    return app


def build_app(settings: Settings) -> Application:
    """The app as a Serve application; the roles' deployments must be up, see `serve_apps.handles`."""
    from ray import serve

    def build() -> FastAPI:
        from actors.ledger import open_log
        from serve_apps.handles import handles

        artifacts = Artifacts(settings.paths.artifacts)
        return create_fastapi(handles(settings), open_log(settings.ledger), artifacts, settings, proxied=True)

    ingress = serve.deployment(serve.ingress(build)()).options(
        name=APP,
        num_replicas=settings.serve.replicas,
        max_ongoing_requests=INGRESS_IN_FLIGHT,
        ray_actor_options={"num_cpus": 0},
    )
    return ingress.bind()


INGRESS_IN_FLIGHT = 512
"""Requests that one app replica holds at once; most of them are event streams that wait."""
