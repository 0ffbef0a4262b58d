"""One replica as the driver sees it: an actor that answers, dies or hangs."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import Any

from actors.contracts import Failure
from actors.errors import StageFailed, TimedOut
from actors.pool.chunks import Chunk
from actors.pool.host import Factory, ReplicaHost, thread_variables
from configs.pool import PoolSettings


@dataclass(frozen=True)
class Answer:
    """What came of one call."""

    entries: list[Any] | Failure
    """One entry an item, or the failure of the whole call."""
    fatal: bool = False
    """Whether the replica is of no more use."""


@dataclass(eq=False)
class Replica:
    """One replica."""

    name: str
    index: int
    actor: Any
    pid: int = 0
    alive: bool = True
    deaths: int = 0
    """Times in a row that this place was lost without one finished call."""
    last_error: str = "none"

    @classmethod
    async def launch(
        cls, name: str, index: int, factory: Factory, settings: PoolSettings, node: str | None = None
    ) -> Replica:
        """Start an actor, on a node if one is named, and build the worker in it.

        Raises:
            StageFailed: the worker could not be built.
            TimedOut: it was not ready within `start_timeout_s`.
        """
        options: dict[str, Any] = {
            "num_cpus": settings.num_cpus,
            "num_gpus": settings.num_gpus,
            # The pool itself replaces replicas and repeats calls: Ray would repeat them without asking.
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": thread_variables(settings.threads)},
        }
        if node is not None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = _actor_class().options(**options).remote(factory, settings.threads)
        replica = cls(name, index, actor)
        try:
            await replica._build(settings.start_timeout_s)
        except BaseException:
            replica.kill()
            raise
        return replica

    async def call(self, chunk: Chunk) -> Answer:
        """Run a chunk. What the replica or its worker does wrong is in the answer."""
        import ray

        what = f"{self.name} (pid {self.pid}): {chunk.method} of {len(chunk)} items"
        reference = self.actor.call.remote(chunk.method, chunk.batches, chunk.constants)
        try:
            entries: list[Any] | Failure = await _answer(reference, chunk.timeout_s)
        except TimeoutError:
            late = f"{what} gave no answer within {chunk.timeout_s:g} s; its last error: {self.last_error}"
            return self._failed(chunk, "TimedOut", late, fatal=True)
        except ray.exceptions.RayTaskError as error:
            # The worker's answer, or a constant it was given, could not be pickled or unpickled.
            return self._failed(chunk, type(error.cause).__name__, f"{what}: {error.cause}", fatal=False)
        except ray.exceptions.RayError as error:
            died = f"{what} ended with the replica's death: {' '.join(str(error).split())}"
            return self._failed(chunk, type(error).__name__, died, fatal=True)
        if isinstance(entries, Failure):
            self.last_error = f"{entries.kind}: {entries.message}"
        return Answer(entries)

    async def close(self, timeout_s: float) -> None:
        """Let the worker close, then end the process."""
        import ray

        if not self.alive:
            return
        try:
            await _answer(self.actor.close.remote(), timeout_s)
        except (TimeoutError, ray.exceptions.RayError):
            pass  # it hangs or is dead already, and is ended in any case
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process. Killing a dead one changes nothing."""
        import ray

        self.alive = False
        ray.kill(self.actor, no_restart=True)

    async def _build(self, timeout_s: float) -> None:
        import ray

        try:
            answer: int | Failure = await _answer(self.actor.start.remote(), timeout_s)
        except TimeoutError:
            free = ray.available_resources()
            raise TimedOut(
                f"{self.name} was not ready within {timeout_s:g} s (free in the cluster: "
                f"{free.get('CPU', 0):g} CPU, {free.get('GPU', 0):g} GPU); free resources, lower workers, "
                "or raise start_timeout_s"
            ) from None
        except ray.exceptions.RayError as error:
            reason = " ".join(str(error).split())
            raise StageFailed(f"{self.name} died while its worker was built: {reason[:1000]}") from None
        if isinstance(answer, Failure):
            raise StageFailed(f"{self.name}: its worker could not be built: {answer.kind}: {answer.message}")
        self.pid = answer

    def _failed(self, chunk: Chunk, kind: str, message: str, *, fatal: bool) -> Answer:
        self.last_error = message[:1000]
        failure = Failure(stage=chunk.method, kind=kind, message=self.last_error, retryable=fatal)
        return Answer(failure, fatal)


@functools.cache
def _actor_class() -> Any:
    import ray

    return ray.remote(ReplicaHost)


async def _answer(reference: Any, timeout_s: float) -> Any:
    return await asyncio.wait_for(asyncio.wrap_future(reference.future()), timeout_s)
