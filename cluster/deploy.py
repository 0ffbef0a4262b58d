"""The HTTP apps on Ray Serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.errors import StageFailed
from configs.schema import Settings


@contextmanager
def deployed(settings: Settings) -> Iterator[None]:
    """Serve the apps on the joined cluster; they are taken down at the end.

    Raises:
        StageFailed: the apps did not become ready; the message holds Serve's reason.
    """
    from ray import serve

    from serve_apps.imagine.app import build_app

    serve.start(http_options={"host": settings.serve.host, "port": settings.serve.port})
    try:
        try:
            serve.run(build_app(settings), name="imagine", route_prefix="/")
        except RuntimeError as error:
            raise StageFailed(f"the app `imagine` did not start: {error}") from error
        yield
    finally:
        serve.shutdown()
