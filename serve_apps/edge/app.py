"""A FastAPI app with the edge around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI

from configs.serve import ServeSettings
from serve_apps.edge.guard import Gatekeeper
from serve_apps.edge.limits import EdgeLimits
from serve_apps.edge.problems import install

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def edge_app(
    title: str, settings: ServeSettings, lifespan: Lifespan, version: str, proxied: bool = False
) -> FastAPI:
    """An app without routes: keys, limits, errors and request ids are in place. Add guarded routers to it.

    `proxied` = Serve's proxy stands in front; it answers the request id's header itself.
    `/openapi.json` is open to all, the interactive pages are off: they load scripts from elsewhere.
    """
    app = FastAPI(title=title, version=version, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.gatekeeper = gatekeeper = Gatekeeper(settings)
    install(app)
    app.add_middleware(EdgeLimits, settings=settings, gatekeeper=gatekeeper, proxied=proxied)
    return app
