"""The driver's connection to Ray: the only place that calls `ray.init`."""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.errors import AtelierError, BadInput, TimedOut
from cluster import state
from cluster.stamp import differing, stamps
from configs import environment
from configs.cluster import ClusterSettings, is_loopback
from configs.schema import Settings

NAMESPACE = "atelier"
SPARE_CPUS = 1
"""For tasks beside the pools."""


class VersionsDiffer(AtelierError):
    """Workers import other code than the driver. Example: a cluster started from an older checkout."""


class ClusterUnreachable(AtelierError):
    """Ray did not start, or the cluster to join does not answer. Example: a wrong token."""


@contextmanager
def session(settings: Settings, *, verbose: bool = False) -> Iterator[str]:
    """Join the cluster that the settings name or start a local one; yields its address.

    What is started here is stopped at the end, and nothing else is. Inside a process that Ray already
    knows, nothing is started or stopped.

    Raises:
        TimedOut: Ray was not ready within `cluster.start_timeout_s`.
        ClusterUnreachable: Ray answered with an error.
        VersionsDiffer: the workers' packages are not the driver's.
    """
    address, token_file = _target(settings.cluster)
    host = settings.cluster.host if address is None else _host_of(address)
    prepare_environment(settings.cluster, host, token_file, create=address is None)
    import ray

    if ray.is_initialized():
        yield str(ray.get_runtime_context().gcs_address)
        return
    folder = _fresh_folder(settings.cluster) if address is None else None
    connection = _Connection(_arguments(settings, address, folder, verbose))
    try:
        connection.open(settings.cluster.start_timeout_s, address or f"a local cluster in {folder}", folder)
        _take_back_sigterm()
        check_stamps(settings.cluster.start_timeout_s)
        yield str(ray.get_runtime_context().gcs_address)
    finally:
        connection.close()
        if folder is not None and settings.cluster.temp_dir is None:
            shutil.rmtree(folder, ignore_errors=True)


def prepare_environment(
    settings: ClusterSettings, host: str, token_file: Path | None, *, create: bool
) -> None:
    """Set what Ray reads from the environment; must run before Ray is first imported.

    `host` is where the cluster listens. With `create`, a missing token is made.
    """
    variables = {
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": settings.auth,
    }
    if is_loopback(host):
        # Ray turns 127.0.0.1 into the machine's outer address and listens there, unless clusters of many
        # nodes are switched off; the variable is named after the systems on which that is the default.
        variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if settings.auth == "token" and token_file is not None and not environment.ray_token_given():
        if create:
            make_token(token_file)
        if token_file.exists():
            variables["RAY_AUTH_TOKEN_PATH"] = str(token_file.resolve())
    environment.export(**variables)


def make_token(path: Path) -> None:
    """Write a new random token that only this user can read, unless there is one."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32), "utf-8")


def check_stamps(timeout_s: float) -> None:
    """Compare the packages that a worker imports with the driver's.

    Raises:
        VersionsDiffer: they are not the same, or a worker has none.
        TimedOut: no worker answered.
    """
    for _ in range(2):  # a file that was saved between the two readings is no difference
        there = _worker_stamps(timeout_s)
        here = stamps()
        found = differing(here, there)
        if not found:
            return
    pairs = ", ".join(f"{name} {here[name]} here, {there.get(name)} there" for name in found)
    raise VersionsDiffer(
        f"driver and workers run different code: {pairs}; install the same version on every node, or "
        "restart the cluster with `atelier down` and `atelier up`"
    )


def _worker_stamps(timeout_s: float) -> dict[str, str]:
    import ray

    try:
        answer: dict[str, str] = ray.get(ray.remote(num_cpus=0)(stamps).remote(), timeout=timeout_s)
    except ray.exceptions.GetTimeoutError:
        raise TimedOut(
            f"no Ray worker process answered within {timeout_s:g} s; look into the raylet's and the workers' "
            "logs in Ray's session folder, or raise cluster.start_timeout_s"
        ) from None
    except ray.exceptions.RayError as error:
        raise VersionsDiffer(
            f"a worker cannot import Atelier ({str(error).strip().splitlines()[-1]}); "
            "install the driver's version on every node"
        ) from None
    return answer


@dataclass
class _Connection:
    """`ray.init` in a thread that lives as long as the session.

    A start that hangs can then be given up, and Linux kills the processes that Ray started when the
    thread that started them ends, so it has to stay.
    """

    arguments: dict[str, Any]
    _ready: threading.Event = field(default_factory=threading.Event)
    _end: threading.Event = field(default_factory=threading.Event)
    _error: BaseException | None = None

    def open(self, timeout_s: float, target: str, folder: Path | None) -> None:
        threading.Thread(target=self._hold, name="ray-session", daemon=True).start()
        if not self._ready.wait(timeout_s):
            raise TimedOut(
                f"{target} was not ready after {timeout_s:g} s; {_last_sign(folder)}; "
                "raise cluster.start_timeout_s or look at the machine's load with `atelier doctor`"
            )
        if self._error is not None:
            reason = str(self._error).strip().splitlines() or [type(self._error).__name__]
            raise ClusterUnreachable(f"Ray failed on {target}: {reason[0]}") from self._error

    def _hold(self) -> None:
        import ray

        try:
            ray.init(**self.arguments)
        except BaseException as error:  # handed to the waiting thread, whatever Ray raised
            self._error = error
        self._ready.set()
        self._end.wait()

    def close(self) -> None:
        import ray

        if self._ready.is_set() and self._error is None:
            ray.shutdown()
        self._end.set()


def _take_back_sigterm() -> None:
    """Ray's core puts a handler of its own in place, which ends Python at once and cleans up nothing."""
    handler = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is threading.main_thread() and handler is not None:
        signal.signal(signal.SIGTERM, handler)


def _target(settings: ClusterSettings) -> tuple[str | None, Path | None]:
    """(address or None for a local cluster, file of its token or None where Ray's own rules hold)."""
    address = settings.address or environment.ray_address()
    if address != "auto":
        return address, (settings.token_file if address is None else None)
    running = state.running(settings.state_file, "cluster")
    if running is None:
        raise BadInput(
            "cluster.address=auto, but `atelier up` has no cluster running; start it, or name host:port"
        )
    return running.address, settings.token_file


def _host_of(address: str) -> str:
    return address.rpartition("//")[2].rpartition(":")[0]


def cpus(settings: Settings) -> int | None:
    """CPUs that a cluster started here is told it has; None = what Ray finds.

    Workers wait for ever where their CPUs are not offered, while a shared core only makes them slower.
    """
    if settings.cluster.num_cpus is not None:
        return settings.cluster.num_cpus
    pools = (getattr(settings.pools, name) for name in type(settings.pools).model_fields)
    search = settings.gepa
    islands = search.islands * (search.evaluators + search.proposers) * search.num_cpus
    wanted = math.ceil(max(sum(pool.workers * pool.num_cpus for pool in pools), islands)) + SPARE_CPUS
    return wanted if wanted > len(os.sched_getaffinity(0)) else None


def _arguments(settings: Settings, address: str | None, folder: Path | None, verbose: bool) -> dict[str, Any]:
    shared = {
        "namespace": NAMESPACE,
        "log_to_driver": verbose,
        "logging_level": logging.INFO if verbose else logging.ERROR,
    }
    if address is not None:
        return {"address": address, **shared}
    return {
        "address": "local",
        "num_cpus": cpus(settings),
        "include_dashboard": settings.cluster.dashboard,
        "dashboard_host": settings.cluster.host,
        "_node_ip_address": settings.cluster.host,
        "_temp_dir": str(folder),
        **shared,
    }


def _fresh_folder(settings: ClusterSettings) -> Path:
    if settings.temp_dir is None:
        return Path(tempfile.mkdtemp(prefix="atelier-"))
    if len(str(settings.temp_dir.resolve())) > 40:
        raise BadInput(
            f"cluster.temp_dir {str(settings.temp_dir)!r} is too long for Ray's sockets; "
            "accepted: at most 40 characters"
        )
    return settings.temp_dir.resolve()


def _last_sign(folder: Path | None) -> str:
    """What of Ray wrote a log last: the part that hung, or the one it waits for."""
    logs = sorted(folder.glob("session_latest/logs/*.*"), key=lambda p: p.stat().st_mtime) if folder else []
    return f"the last sign of life is in {logs[-1]}" if logs else "nothing of Ray has written a log"
