"""Islands over the nodes of a cluster of its own: nodes that go and come, and a driver that is killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.gepa import GepaSettings
from tests.gepa.gepa_kit import Example, pool, records, search
from tests.gepa.gepa_on_ray import Remote, note, noted
from tests.gepa.gepa_processes import start
from train_jobs.gepa.adapter import EvaluationBatch

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.long, pytest.mark.timeout(600)]
CODE = "import sys; from tests.gepa.test_gepa_nodes import {0}; {0}(*sys.argv[1:])"
LIMIT, ALONE, PATIENCE_S = 240, 100, 150.0
ROOM = GepaSettings(evaluators=1, proposers=1, num_cpus=0.5)


@dataclass
class Placed(Remote):
    """Tells on which node each call was made, and hurries once the test has seen enough."""

    def evaluate(
        self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch:
        """See `Remote.evaluate`."""
        import ray

        if (self.folder / "hurry").exists():
            self.pause = 0.0
        found = super().evaluate(batch, candidate, capture_traces)
        note(self.folder / "places", ray.get_runtime_context().get_node_id())
        return found


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.05)


@contextmanager
def cluster() -> Iterator[Any]:
    """A cluster whose head makes no calls; it ends with this process."""
    import ray
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="at-", dir="/tmp")
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "temp_dir": folder,
            "object_store_memory": 80 * 1024 * 1024,
            "_system_config": quick,
        },
    )
    try:
        ray.init(address=made.address, namespace="atelier", log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def add(made: Any) -> Any:
    return made.add_node(num_cpus=2, object_store_memory=80 * 1024 * 1024)


def nodes(place: str) -> None:
    """One run from which a node goes and to which one comes, and one whose only host goes."""
    with cluster() as made, ThreadPoolExecutor(1) as thread:
        first, second = add(made), add(made)
        told = [_run_two(Path(place, "two"), made, thread, first, second)]
        told.append(_run_one(Path(place, "one"), made, thread))
    print(json.dumps(told))


def _begin(folder: Path, thread: ThreadPoolExecutor, islands: int) -> Any:
    folder.mkdir()
    adapter = Placed(folder, pause=0.4)
    changes = {"islands": islands, "settings": ROOM, "run_dir": folder / "run"}
    future = thread.submit(search, adapter, LIMIT if islands > 1 else ALONE, **changes)
    until(lambda: future.done() or len(noted(folder / "places")) > 12, "the first calls")
    return future


def _run_two(folder: Path, made: Any, thread: ThreadPoolExecutor, first: Any, second: Any) -> dict[str, Any]:
    future = _begin(folder, thread, 2)
    places = folder / "places"
    before = set(noted(places))
    third = add(made)
    until(lambda: future.done() or third.node_id in noted(places), "calls on the node that came")
    made.remove_node(first, allow_graceful=False)
    count = len(noted(places))
    until(lambda: future.done() or len(noted(places)) > count + 12, "calls after the loss")
    early = future.done()
    (folder / "hurry").touch()
    found = future.result(PATIENCE_S)
    return {
        "homes": sorted(before) == sorted([first.node_id, second.node_id]),
        "helped": third.node_id in noted(places),
        "after": first.node_id not in noted(places)[-12:],
        "early": early,
        "stopped": found.stopped,
        "calls": found.metric_calls,
    }


def _run_one(folder: Path, made: Any, thread: ThreadPoolExecutor) -> dict[str, Any]:
    """An island whose node goes while another one has nothing to do."""
    future = _begin(folder, thread, 1)
    places = folder / "places"
    (home,) = set(noted(places))
    (node,) = [each for each in made.worker_nodes if each.node_id == home]
    made.remove_node(node, allow_graceful=False)
    until(lambda: future.done() or len(set(noted(places))) > 1, "another node")
    early = future.done()
    (folder / "hurry").touch()
    found = future.result(PATIENCE_S)
    return {"early": early, "stopped": found.stopped, "calls": found.metric_calls}


def test_nodes_go_and_come(tmp_path: Path) -> None:
    process = start(CODE.format("nodes"), str(tmp_path))
    with ended(process):
        printed, _ = process.communicate(timeout=400)
    assert process.returncode == 0
    two, one = json.loads(printed.splitlines()[-1])
    assert two["homes"] and two["helped"] and two["after"]
    for name, told, limit in (("two", two, LIMIT), ("one", one, ALONE)):
        assert not told["early"], "the run was over before the node went, and this test shows nothing"
        assert told["stopped"] == f"{told['calls']} of {limit} metric calls are made; no proposal fits in"
        paid = Placed(tmp_path / name).paid
        assert len(paid) == told["calls"] <= limit
        # What the lost node had under way had to be paid for again; nothing else.
        assert sum(paid.values()) - len(paid) <= ROOM.evaluators, [each for each in paid if paid[each] > 1]
        rows = records(tmp_path / name / "run")
        assert len({row["name"] for row in rows}) == len(rows)
        assert not [row for row in rows if row.get("failure")]


def drive(place: str) -> None:
    """The search on a local cluster, which a test kills."""
    import ray

    folder = tempfile.mkdtemp(prefix="at-", dir="/tmp")
    note(Path(place, "temporary"), folder)
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 * 1024 * 1024,
        _temp_dir=folder,
    )
    adapter = Placed(Path(place), pause=0.02)
    found = search(adapter, LIMIT, islands=2, settings=ROOM, run_dir=Path(place, "run"))
    ray.shutdown()
    print(json.dumps([found.metric_calls, found.stopped, pool(found)]))


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill a process and all that it started, at the latest when the test is over."""
    family: list[psutil.Process] = []
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            me = psutil.Process(process.pid)
            family = [me, *me.children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait(30)
        psutil.wait_procs(family, 30)


def test_a_driver_that_is_killed_goes_on_in_another_cluster(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    dice = random.Random(7)
    for _ in range(2):
        wanted = len(noted(calls)) + dice.randint(40, 70)
        process = start(CODE.format("drive"), str(tmp_path))
        with ended(process):
            until(lambda: process.poll() is not None or len(noted(calls)) >= wanted, "calls")  # noqa: B023
            assert process.poll() is None, "it was over before it was killed"
            os.kill(process.pid, signal.SIGKILL)
            family = psutil.Process(process.pid).children(recursive=True)
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(family, 30)
        kept = {row["name"] for row in records(tmp_path / "run")}
        assert len(set(noted(calls)) - kept) <= 2 * ROOM.evaluators, "a call that had ended was not kept"
    process = start(CODE.format("drive"), str(tmp_path))
    with ended(process):
        printed, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    for folder in noted(tmp_path / "temporary"):
        shutil.rmtree(folder, ignore_errors=True)
    count, stopped, members = json.loads(printed.splitlines()[-1])
    assert stopped == f"{count} of {LIMIT} metric calls are made; no proposal fits in" and len(members) > 2
    paid = Placed(tmp_path).paid
    assert len(paid) == count <= LIMIT
    # Each kill lost what was under way, at most a call a lane.
    assert sum(paid.values()) - len(paid) <= 2 * 2 * ROOM.evaluators
    rows = records(tmp_path / "run")
    assert len({row["name"] for row in rows}) == len(rows)
