"""The HTTP apps on Ray Serve, for as long as a command runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from configs.schema import Settings


@contextmanager
def deployed(settings: Settings, *, verbose: bool = False) -> Iterator[str]:
    """Serve the apps on the joined cluster and yield their address; they are taken down at the end.

    Raises:
        StageFailed: an application did not become ready; the message holds Serve's reason.
        TimedOut: one was not up in `serve.start_timeout_s`.
    """
    from ray import serve

    from serve_apps.deploy import serve_local
    from serve_apps.handles import ROLES, app_name
    from serve_apps.imagine.app import APP

    # Serve tells the terminal of every step, and of every request.
    logging.getLogger("ray.serve").setLevel(logging.INFO if verbose else logging.ERROR)
    try:
        yield serve_local(settings)
    finally:
        for name in (APP, *map(app_name, ROLES)):
            serve.delete(name, _blocking=False)
        if not set(serve.status().applications) - {APP, *map(app_name, ROLES)}:
            serve.shutdown()
