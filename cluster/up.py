"""Start and stop a cluster that outlives the command, by its recorded process alone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from actors.errors import BadInput, StageFailed, TimedOut
from cluster import state
from cluster.session import cpus, prepare_environment, session
from configs.schema import Settings


def up(settings: Settings) -> state.Service:
    """Start a cluster in a session of its own and wait until a worker of it answers.

    Raises:
        BadInput: one is already running.
        StageFailed: Ray ended during the start; the message holds its last words.
        TimedOut: it was not ready in time.
    """
    cluster = settings.cluster
    if found := state.running(cluster.state_file, "cluster"):
        raise BadInput(f"a cluster is running already at {found.address}; stop it with `atelier down`")
    prepare_environment(cluster, cluster.host, cluster.token_file, create=True)
    folder = Path(tempfile.mkdtemp(prefix="atelier-up-"))
    log = folder / "head.log"
    address = f"{cluster.host}:{free_port(cluster.host)}"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            _head_command(settings, address, folder), stdout=stream, stderr=stream, start_new_session=True
        )
    service = state.started(process.pid, address, str(folder), str(log))
    state.record(cluster.state_file, "cluster", service)
    with _stopped_on_failure(settings, service):
        _await_port(process, address, cluster.start_timeout_s, log)
        joined = cluster.model_copy(update={"address": "auto"})
        with session(settings.model_copy(update={"cluster": joined})):
            pass
    return service


def down(settings: Settings, kind: state.Kind, grace_s: float = 20.0) -> state.Service | None:
    """Stop what was recorded: its process session, first politely, then by force. None = nothing ran."""
    service = state.running(settings.cluster.state_file, kind)
    if service is not None:
        end_session(service, grace_s)
    recorded = state.read(settings.cluster.state_file).get(kind)
    if recorded is not None:
        if recorded.folder:
            shutil.rmtree(recorded.folder, ignore_errors=True)
        state.record(settings.cluster.state_file, kind, None)
    return service


def end_session(service: state.Service, grace_s: float) -> None:
    """SIGTERM the leader, wait, then SIGKILL whatever of its session or its children is left."""
    leader = service.process
    if leader is None:
        return
    members = _members(leader)
    leader.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(members, timeout=grace_s)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)


def free_port(host: str) -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _members(leader: psutil.Process) -> list[psutil.Process]:
    own = {process.pid: process for process in (leader, *leader.children(recursive=True))}
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader.pid:
                own.setdefault(process.pid, process)
        except (OSError, psutil.Error):
            continue
    return list(own.values())


def _head_command(settings: Settings, address: str, folder: Path) -> list[str]:
    cluster = settings.cluster
    host, _, port = address.rpartition(":")
    options = {
        "node-ip-address": host,
        "port": port,
        "temp-dir": str(folder),
        "include-dashboard": str(cluster.dashboard).lower(),
        "dashboard-host": cluster.host,
    }
    if (offered := cpus(settings)) is not None:
        options["num-cpus"] = str(offered)
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
    ]
    return [*command, *(f"--{name}={value}" for name, value in options.items())]


def _await_port(process: subprocess.Popen[bytes], address: str, timeout_s: float, log: Path) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise StageFailed(f"Ray's head ended with code {process.returncode} during the start: {last[0]}")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimedOut(
        f"the Ray head (gcs_server at {address}) did not open its port within {timeout_s:g} s; see {log}"
    )


@contextmanager
def _stopped_on_failure(settings: Settings, service: state.Service) -> Iterator[None]:
    try:
        yield
    except BaseException:
        end_session(service, grace_s=5.0)
        state.record(settings.cluster.state_file, "cluster", None)
        raise
