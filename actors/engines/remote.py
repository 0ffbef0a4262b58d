"""The engine actor as everybody else sees it: found or started by name, asked with a time limit, ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import time
from typing import Any, Protocol

from actors.engines.errors import ERRORS, EngineDied
from actors.engines.nouns import Answer, Noun
from actors.errors import BadInput, StageFailed, TimedOut
from actors.pool.room import check_room
from configs.engine import VllmSettings
from configs.pool import PoolSettings

NAMESPACE = "atelier"
_GROUPS = {"generate": "generate", "health": "health"}
"""Concurrency group of a method, else `control`: a full house keeps nobody from asking for signs of life."""
_LET_GO_S = 10.0
"""How long Ray may keep the name of a dead actor."""
_SHUTDOWN_S = 15.0


class Remote(Protocol):
    """An engine somewhere."""

    name: str

    async def call(
        self, method: str, argument: Noun | None, *blobs: bytes, timeout_s: float
    ) -> dict[str, Any]:
        """The value of one of `Engine`'s methods.

        Raises:
            AtelierError: one of `actors.engines.errors.ERRORS`.
        """

    async def close(self) -> None:
        """End the engine if it was started here; leave it to the others if not."""

    def kill(self) -> None:
        """End the engine at once. Killing a dead one changes nothing."""


class RayEngine:
    """An engine actor. All who have equal settings find the same one."""

    def __init__(self, name: str, actor: Any, ours: bool) -> None:
        self.name = name
        self.pid = 0
        self.last_error = "none"
        self._actor = actor
        self._ours = ours

    @classmethod
    async def launch(cls, settings: VllmSettings) -> RayEngine:
        """Find the engine of these settings or start it, and wait until it is ready.

        Raises:
            BadInput: there is no Ray cluster, no room in it, or no environment for the engine.
            EngineRefused: the model cannot be used.
            EngineDied: it died while it started.
            TimedOut: it was not ready in time.
        """
        import ray

        if not ray.is_initialized():
            raise BadInput(
                "an engine needs a Ray cluster, and none is running here; set http in place of engine, or "
                "give the role a pool (pools.<role>.workers=1)"
            )
        name = engine_name(settings)
        ends = time.monotonic() + _LET_GO_S
        while True:
            actor, ours = _find(name, settings)
            engine = cls(name, actor, ours)
            try:
                value = await engine.call("start", None, timeout_s=settings.start_timeout_s)
            except EngineDied:
                engine.kill()  # what was found may be an actor without its engine
                if ours or time.monotonic() > ends:
                    raise
                await asyncio.sleep(_LET_GO_S / 20)
                continue
            except BaseException:
                if ours:
                    engine.kill()
                raise
            engine.pid = int(value["pid"])
            return engine

    async def call(
        self, method: str, argument: Noun | None, *blobs: bytes, timeout_s: float
    ) -> dict[str, Any]:
        """See `Remote.call`."""
        import ray

        what = f"{self.name} (pid {self.pid or 'unknown'}): {method}"
        remote = self._actor.call.options(concurrency_group=_GROUPS.get(method, "control"))
        reference = remote.remote(method, argument.model_dump_json() if argument else "", *blobs)
        try:
            text = await asyncio.wait_for(asyncio.wrap_future(reference.future()), timeout_s)
        except TimeoutError:
            ray.cancel(reference)
            raise TimedOut(
                f"{what} gave no answer within {timeout_s:g} s; its last error: {self.last_error}"
            ) from None
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise
        except ray.exceptions.RayTaskError as error:
            raise StageFailed(f"{what}: {error.cause}") from None
        except ray.exceptions.RayError as error:
            self.last_error = " ".join(str(error).split())[:1000]
            raise EngineDied(f"{what} ended with the actor's death: {self.last_error}") from None
        answer = Answer.model_validate_json(text)
        if answer.error:
            self.last_error = f"{answer.error}: {answer.message}"
            raise ERRORS.get(answer.error, StageFailed)(f"{what}: {answer.message}")
        return answer.value

    async def close(self) -> None:
        """See `Remote.close`."""
        if self._ours:
            with contextlib.suppress(StageFailed):
                await self.call("shutdown", None, timeout_s=_SHUTDOWN_S)
            self.kill()

    def kill(self) -> None:
        """See `Remote.kill`."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.kill(self._actor, no_restart=True)


def engine_name(settings: VllmSettings) -> str:
    """The name that all who have these settings find the engine by."""
    digest = hashlib.sha256(settings.model_dump_json().encode("utf-8")).hexdigest()[:12]
    return f"engine-{settings.model.name}-{digest}"


def _find(name: str, settings: VllmSettings) -> tuple[Any, bool]:
    import ray

    with contextlib.suppress(ValueError):
        return ray.get_actor(name, namespace=NAMESPACE), False
    _check_environment(settings)
    check_room(name, PoolSettings(workers=1, num_cpus=0, num_gpus=settings.num_gpus))
    options: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "get_if_exists": True,
        "num_cpus": 0,
        "num_gpus": settings.num_gpus,
        # The host itself replaces engines: Ray would start one with the weights of the folder.
        "max_restarts": 0,
        "max_task_retries": 0,
        "runtime_env": {
            "py_executable": str(settings.python),
            "env_vars": {
                "VLLM_NO_USAGE_STATS": "1",
                "HF_HUB_OFFLINE": "1",
                # Three processes import the same libraries, and every engine again.
                "PYTHONDONTWRITEBYTECODE": "",
            },
        },
    }
    return _actor_class(settings.concurrency).options(**options).remote(settings.model_dump_json()), True


def _check_environment(settings: VllmSettings) -> None:
    """On one node it can be told at once; elsewhere the path belongs to another machine."""
    import ray

    if len(ray.nodes()) == 1 and not settings.python.exists():
        raise BadInput(
            f"the engine's environment has no interpreter at {settings.python}; run "
            "`make setup-vllm`, or set engine.python"
        )


@functools.cache
def _actor_class(concurrency: int) -> Any:
    import ray

    from actors.engines.vllm import Engine

    return ray.remote(concurrency_groups={"generate": concurrency, "control": 4, "health": 2})(Engine)
