"""Roles and apps onto the Serve of the cluster that this process has joined."""

from __future__ import annotations

import time

from actors.errors import StageFailed, TimedOut
from actors.hosts import backends
from configs.schema import Settings
from serve_apps.handles import anchored, app_name, role_application
from serve_apps.imagine.app import APP, build_app

POLL_S = 0.2


def serve_local(settings: Settings) -> str:
    """Start Serve, the roles and the imagine app, and wait until they answer. Returns the app's address.

    Raises:
        StageFailed: an application cannot start; the message names it and says why.
        TimedOut: one is not up in `serve.start_timeout_s`.
    """
    from ray import serve

    settings = anchored(settings)
    edge = settings.serve
    serve.start(proxy_location="HeadOnly", http_options={"host": edge.host, "port": edge.port})
    targets = [
        serve.RunTarget(role_application(role, settings), name=app_name(role), route_prefix=None)
        for role in backends(settings)
    ]
    targets.append(serve.RunTarget(build_app(settings), name=APP, route_prefix="/"))
    serve.run_many(targets, wait_for_applications_running=False)
    _wait_until_running([target.name for target in targets], edge.start_timeout_s)
    return f"http://{edge.host}:{edge.port}"


def _wait_until_running(names: list[str], timeout_s: float) -> None:
    from ray import serve

    deadline = time.monotonic() + timeout_s
    while True:
        applications = serve.status().applications
        waiting = []
        for name in names:
            application = applications.get(name)
            state = application.status if application else "not seen yet"
            if application and state in ("DEPLOY_FAILED", "UNHEALTHY"):
                raise StageFailed(f"the application {name} cannot start: {_reason(application)}")
            if state != "RUNNING":
                waiting.append(f"{name} ({state})")
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise TimedOut(
                f"not up after {timeout_s:g} s: {', '.join(waiting)}; compare the CPUs and GPUs that the "
                "pools ask for with those of the cluster, or raise serve.start_timeout_s"
            )
        time.sleep(POLL_S)


def _reason(application: object) -> str:
    """The last line of what Serve says about an application; the rest is a traceback."""
    deployments = getattr(application, "deployments", {}).values()
    messages = [getattr(application, "message", ""), *(deployment.message for deployment in deployments)]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no reason was given"
