from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from actors.errors import BadInput
from cluster import state, up
from cluster.session import cpus, make_token, session
from cluster.stamp import PACKAGES, differing, stamps
from configs import environment
from configs.load import load

LOCAL = """
import json, sys
import psutil
from cluster.session import session
from cluster.doctor import _listening
from configs.cluster import is_loopback
from configs.load import load

with session(load(None, ["cluster.num_cpus=2"])) as address:
    me = psutil.Process()
    pids = [child.pid for child in me.children(recursive=True)]
    outside = [a for a in _listening(me) if not is_loopback(a.rpartition(":")[0])]
print(json.dumps({"address": address, "pids": pids, "outside": outside}))
"""


def start(script: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env=environment.child_environment(PYTHONPATH=str(Path(__file__).parents[2])),
    )


def gone(pids: Sequence[int], seconds: float) -> bool:
    """Whether processes end within a time: on a busy machine the system is late to take leave of them."""
    until = time.monotonic() + seconds
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, pids))


@pytest.mark.ray
def test_a_session_is_private_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(Path("/tmp").glob("atelier-*"))
    done = start(LOCAL, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["address"].startswith("127.0.0.1:")
    assert found["pids"]
    assert found["outside"] == []
    assert gone(found["pids"], 5)
    assert set(Path("/tmp").glob("atelier-*")) <= before


@pytest.mark.ray
def test_a_start_that_hangs_is_given_up_and_named(tmp_path: Path) -> None:
    done = start(LOCAL.replace('"cluster.num_cpus=2"', '"cluster.start_timeout_s=0.3"'), tmp_path)
    assert done.returncode != 0
    assert "not ready after 0.3 s" in done.stderr
    assert "TimedOut" in done.stderr


MAIN = "from cluster.main import main; main()"


@pytest.fixture
def raised(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    def atelier(*words: str) -> subprocess.CompletedProcess[str]:
        return start(MAIN, tmp_path, *words)

    yield atelier
    atelier("down")


@pytest.mark.ray
def test_up_status_join_down(raised: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    brought = raised("up", "--json", "--set", "cluster.num_cpus=2")
    assert brought.returncode == 0, brought.stderr
    service = json.loads(brought.stdout)
    members = [service["pid"], *(p.pid for p in psutil.Process(service["pid"]).children(recursive=True))]
    (shown,) = json.loads(raised("status", "--json").stdout)["services"]
    assert (shown["state"], shown["address"]) == ("running", service["address"])
    again = raised("up")
    assert again.returncode == 2 and service["address"] in again.stderr
    assert json.loads(raised("down", "--json").stdout) == {"stopped": {"cluster": service["address"]}}
    assert not [pid for pid in members if psutil.pid_exists(pid)]
    assert not Path(service["folder"]).exists()


@pytest.mark.ray
def test_inside_a_running_ray_nothing_is_started(ray_session: str) -> None:
    import ray

    with session(load("embedded")) as address:
        assert address == ray_session
    assert ray.is_initialized()


def test_down_leaves_a_reused_pid_alone(tmp_path: Path) -> None:
    settings = load("embedded", [f"cluster.state_file={tmp_path}/state.json"])
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        recorded = state.started(other.pid, "127.0.0.1:1").model_copy(update={"created": 1.0})
        state.record(settings.cluster.state_file, "cluster", recorded)
        assert up.down(settings, "cluster") is None
        assert other.poll() is None
        other.communicate(b"\n")
    assert state.read(settings.cluster.state_file) == {}


def test_down_ends_a_process_that_ignores_sigterm(tmp_path: Path) -> None:
    settings = load("embedded", [f"cluster.state_file={tmp_path}/state.json"])
    stubborn = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        state.record(settings.cluster.state_file, "serve", state.started(process.pid, "http://x"))
        assert up.down(settings, "serve", grace_s=0.2) is not None
        assert not psutil.pid_exists(process.pid)


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("{", "utf-8")
    with pytest.raises(state.StateUnreadable, match=str(path)):
        state.read(path)


def test_a_token_is_private_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "token"
    make_token(path)
    token = path.read_text("utf-8")
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    make_token(path)
    assert path.read_text("utf-8") == token


def test_stamps_tell_versions_apart() -> None:
    here = stamps()
    assert set(here) == set(PACKAGES)
    assert differing(here, dict(here)) == []
    assert differing(here, {**here, "actors": "other"}) == ["actors"]
    assert differing(here, {}) == list(PACKAGES)


def test_a_local_cluster_offers_what_the_pools_want() -> None:
    wanting = load("embedded", ["pools.generator.workers=200", "pools.generator.num_cpus=1"])
    assert (cpus(wanting) or 0) > 200
    assert cpus(load("embedded", ["cluster.num_cpus=3"])) == 3


def test_joining_what_is_not_up_is_named(tmp_path: Path) -> None:
    settings = load("embedded", ["cluster.address=auto", f"cluster.state_file={tmp_path}/state.json"])
    with pytest.raises(BadInput, match="atelier up"), session(settings):
        pass
