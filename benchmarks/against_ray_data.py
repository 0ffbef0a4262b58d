"""The data engine against a plain Ray Data pipeline of the same simulated stages and the same calls at once.

    python -m benchmarks.against_ray_data [--pairs 200]

Each runs once undisturbed and once with its driver killed in the middle and started again; a log beside
the output tells which samples were judged, so that work done twice and rows lost or doubled are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.contracts import Judgement, Picture, Query
from actors.hosts import HostedGenerator, HostedJudge
from actors.ledger import FileLog
from actors.policy.expander import default_strategy
from actors.pool import WorkerPool
from actors.roles import Roles
from benchmarks.synthesis import (
    AT_ONCE,
    DRAW_S,
    JUDGE_S,
    WRITE_S,
    FreeAudit,
    PooledPolicy,
    SlowGenerator,
    SlowJudge,
    SlowPolicy,
)
from cluster.session import session
from configs.load import load
from configs.pool import PoolSettings
from configs.synthesis import SourceShares, SynthesisSettings
from train_jobs.synthesis.job import Synthesis
from train_jobs.synthesis.samples import Spec
from train_jobs.synthesis.stages import Stages
from train_jobs.synthesis.store import PairStore

JUDGED = "judged.log"
PER_PAIR = {"ours": 2, "ray_data": 1}
"""Lines a pair in the log: the engine judges pictures, the pipeline rows."""
SETTINGS = SynthesisSettings(
    chunk=1,
    in_flight=64,
    shard=16,
    hard_share=0,
    near_bits=-1,
    sources=SourceShares(policy=1, grammar=0, raw=0),
)


def note(out: str, name: str) -> None:
    """One line in the log of what was judged; short appends are atomic."""
    with Path(out, JUDGED).open("a") as log:
        log.write(f"{name} {time.time()}\n")


class NotingJudge(SlowJudge):
    """Notes what it has scored."""

    def __init__(self, out: str) -> None:
        self._out = out

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement]:
        """See `SlowJudge.judge`."""
        judgements = await super().judge(pictures, queries)
        for picture in pictures:
            note(self._out, picture.sha256)
        return judgements


async def drive_ours(out: str, pairs: int) -> int:
    """One run of the engine; the answer is the rows in its dataset."""
    import functools

    room = PoolSettings(workers=1, batch=2, concurrency=AT_ONCE, in_flight=64, num_cpus=0)
    workers = (("p", SlowPolicy), ("g", SlowGenerator), ("j", functools.partial(NotingJudge, out)))
    pools = [WorkerPool(name, worker, room) for name, worker in workers]
    await asyncio.gather(*(pool.start() for pool in pools))
    roles = Roles(
        PooledPolicy(pools[0]), HostedGenerator(pools[1].call), HostedJudge(pools[2].call), FreeAudit()
    )
    spec = Spec(SETTINGS, "{}")
    log = FileLog(Path(out) / "ledger.jsonl")
    store = PairStore(out, spec.id, 1)
    await Synthesis(spec, Stages(roles, default_strategy(), SETTINGS, False).run, store, log, pairs).run()
    await log.close()
    await asyncio.gather(*(pool.close() for pool in pools))
    return store.rows


class Wait:
    """A stage of Ray Data: a sleep a row."""

    def __init__(self, seconds: float, out: str = "") -> None:
        self._seconds, self._out = seconds, out

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row, later."""
        time.sleep(self._seconds)
        if self._out:
            note(self._out, str(row["id"]))
        return {**row, "score": 0.5}


def drive_ray_data(out: str, pairs: int) -> int:
    """One run of the pipeline, with its job-level checkpoint; the answer is the rows in its files."""
    import pyarrow.parquet as pq
    import ray
    from ray.data.checkpoint import CheckpointConfig

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(
        "id", f"{out}/checkpoint", delete_checkpoint_on_success=False
    )
    data = ray.data.range(pairs, override_num_blocks=max(1, pairs // 2))
    for seconds, noted in ((WRITE_S, ""), (2 * DRAW_S, ""), (2 * JUDGE_S, out)):
        actors = ray.data.ActorPoolStrategy(size=AT_ONCE, max_tasks_in_flight_per_actor=2)
        data = data.map(Wait, fn_constructor_args=(seconds, noted), compute=actors, num_cpus=0)
    data.write_parquet(f"{out}/rows", min_rows_per_file=16)
    files = Path(out, "rows").glob("*.parquet")
    return sum(pq.read_metadata(file).num_rows for file in files)


def drive(which: str, out: str, pairs: int) -> None:
    """What the killed process is: starts Ray, works, prints seconds and rows."""
    with session(load("embedded")):
        began = time.perf_counter()
        rows = asyncio.run(drive_ours(out, pairs)) if which == "ours" else drive_ray_data(out, pairs)
        print(json.dumps({"seconds": round(time.perf_counter() - began, 1), "rows": rows}), flush=True)


def launch(which: str, out: str, pairs: int, kill_at: float | None = None) -> dict[str, Any]:
    """Run a driver to its end, or kill it when that share of the samples is judged."""
    command = [sys.executable, "-m", "benchmarks.against_ray_data", "--drive", which, out, str(pairs)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    while kill_at is not None and process.poll() is None:
        time.sleep(0.05)
        if sum(judged(out).values()) >= kill_at * pairs * PER_PAIR[which]:
            os.kill(process.pid, signal.SIGKILL)
            break
    told, _ = process.communicate()
    answers = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return answers[-1] if answers else {}


def judged(out: str) -> Counter[str]:
    """How often each name stands in the log of what was judged."""
    return Counter(name for name, _ in _log(out))


def steady(which: str, out: str) -> float:
    """Pairs a second between the first and the last judgement: without what starting takes."""
    moments = [moment for _, moment in _log(out)]
    return (len(moments) - 1) / PER_PAIR[which] / (max(moments) - min(moments))


def _log(out: str) -> list[tuple[str, float]]:
    log = Path(out, JUDGED)
    lines = log.read_text().splitlines() if log.exists() else []
    return [(line.split()[0], float(line.split()[1])) for line in lines]


def compare(which: str, pairs: int, kill_at: float) -> dict[str, Any]:
    """One undisturbed run, and one that is killed and started again."""
    with tempfile.TemporaryDirectory() as calm, tempfile.TemporaryDirectory() as rough:
        whole = launch(which, calm, pairs)
        launch(which, rough, pairs, kill_at)
        before = judged(rough)
        again = launch(which, rough, pairs)
        return {
            **whole,
            "pairs_per_s": round(pairs / whole["seconds"], 2),
            "pairs_per_s_once_started": round(steady(which, calm), 2),
            "killed_at": round(kill_at, 2),
            "pairs_judged_before_the_kill": len(before) / PER_PAIR[which],
            "pairs_judged_again": sum(n - 1 for n in judged(rough).values()) / PER_PAIR[which],
            "rows_lost": max(0, pairs - again["rows"]),
            "rows_doubled": max(0, again["rows"] - pairs),
        }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("which", nargs="*", default=list(PER_PAIR))
    parser.add_argument("--drive", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drive:
        drive(arguments.drive[0], arguments.drive[1], int(arguments.drive[2]))
        return
    kill_at = random.uniform(0.3, 0.7)
    found: dict[str, Any] = {}
    for which in arguments.which:
        found[which] = compare(which, arguments.pairs, kill_at)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
