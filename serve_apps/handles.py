"""The third host of the roles: each is one shared Serve deployment that all apps call.

deploy(settings)            # the roles' deployments, once
roles = handles(settings)   # in an app's replica: the same `Roles` as of any other host
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.artifacts import Artifacts
from actors.build import build_worker
from actors.contracts import Failure
from actors.errors import StageFailed, TimedOut
from actors.hosts import backends, bundle
from actors.pool.host import ReplicaHost, thread_variables
from actors.roles import Roles
from configs.base import BackendSettings
from configs.schema import Settings
from serve_apps.edge.problems import Overloaded

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.handle import DeploymentHandle

ROLES = ("policy", "generator", "judge", "audit", "scorer")
"""All that may be deployed; which are is `actors.hosts.backends`."""


class RoleLost(StageFailed):
    """A role's deployment lost the call. Example: its replica was killed while it worked."""

    retryable = True


class RoleDeployment:
    """One replica of a role: the same host of a worker that a pool's replica is."""

    async def __init__(self, backend: BackendSettings, artifacts: Artifacts, threads: int) -> None:  # type: ignore[misc]
        self._host = ReplicaHost(functools.partial(build_worker, backend, artifacts), threads)
        started = await self._host.start()
        if isinstance(started, Failure):
            raise StageFailed(f"the {backend.worker} cannot start: {started.kind}: {started.message}")

    async def call(
        self, method: str, batches: tuple[Sequence[Any], ...], constants: dict[str, Any]
    ) -> list[Any] | Failure:
        """Call the worker's method with whole batches; what it raises comes back as a `Failure`."""
        return await self._host.call(method, batches, constants)


class RoleCall:
    """How an app's replica calls a role's deployment."""

    def __init__(self, role: str, handle: DeploymentHandle[Any], timeout_s: float) -> None:
        self._role = role
        self._handle = handle
        self._timeout_s = timeout_s

    async def __call__(self, method: str, *batches: Sequence[Any], **constants: Any) -> list[Any]:
        """One entry an item, in order.

        Raises:
            Overloaded: the deployment's queue is full.
            TimedOut: no answer in time; the deployment is named.
            RoleLost: the deployment is down, or its replica died.
        """
        from ray.exceptions import RayError
        from ray.serve.exceptions import BackPressureError, RayServeException

        if not batches[0]:
            return []
        where = f"{self._role}.{method} (deployment {app_name(self._role)})"
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._handle.call.remote(method, batches, constants)
        except TimeoutError:
            raise TimedOut(f"{where} gave no answer in {self._timeout_s:g} s") from None
        except BackPressureError:
            raise Overloaded(f"{where} has as many calls waiting as it takes; try later") from None
        except (RayServeException, RayError) as error:
            raise RoleLost(f"{where} was lost: {type(error).__name__}") from error
        return [answer] * len(batches[0]) if isinstance(answer, Failure) else list(answer)


def app_name(role: str) -> str:
    """The Serve application that a role is."""
    return f"role-{role}"


def role_application(role: str, settings: Settings) -> Application:
    """A role's deployment: as many replicas and devices as its pool would have."""
    from ray import serve

    pool = getattr(settings.pools, role)
    deployment = serve.deployment(RoleDeployment).options(
        name=role,
        num_replicas=max(1, pool.workers),
        max_ongoing_requests=settings.serve.role_in_flight,
        max_queued_requests=settings.serve.role_queue,
        ray_actor_options={
            "num_cpus": pool.num_cpus if pool.workers else 0,
            "num_gpus": pool.num_gpus,
            "runtime_env": {"env_vars": thread_variables(pool.threads)},
        },
    )
    backend = getattr(settings, role)
    return deployment.bind(backend, Artifacts(settings.paths.artifacts), pool.threads)


def handles(settings: Settings) -> Roles:
    """The roles behind their deployments. Builds no worker."""
    from ray import serve

    calls = {
        role: RoleCall(role, serve.get_app_handle(app_name(role)), settings.serve.role_timeout_s)
        for role in backends(settings)
    }
    return bundle(calls)


def anchored(settings: Settings) -> Settings:
    """The settings with absolute paths: replicas may run in another folder than the one who deploys."""
    paths = settings.paths
    artifacts = paths.artifacts if "://" in paths.artifacts else str(Path(paths.artifacts).absolute())
    scheme, separator, file = settings.ledger.url.partition(":///")
    url = (
        f"{scheme}{separator}{Path(file).absolute()}" if scheme.startswith("sqlite") else settings.ledger.url
    )
    ledger = settings.ledger.model_copy(update={"url": url})
    serve = settings.serve.model_copy(update={"keys_file": settings.serve.keys_file.absolute()})
    return settings.model_copy(
        update={"paths": paths.model_copy(update={"artifacts": artifacts}), "ledger": ledger, "serve": serve}
    )
