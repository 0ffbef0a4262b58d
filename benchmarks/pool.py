"""WorkerPool against one worker in this process and against two plain processes, on the same items.

The three paths are interleaved in rounds, so that the machine's other load falls on all of them alike.
Then 40,000 small items stream through `map` while this process's memory is sampled.

    python -m benchmarks.pool [--quick] [--curve rss.png]

prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from actors.pool import WorkerPool
from actors.pool.host import thread_variables
from configs import environment
from configs.load import load
from configs.pool import PoolSettings

WORKERS = 2


class Grinder:
    """CPU-bound work of about 20 ms an item on one thread."""

    version = "grinder-1"

    def __init__(self) -> None:
        import cv2
        import numpy as np

        cv2.setNumThreads(1)
        self._picture = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)

    def grind(self, seeds: Sequence[int]) -> list[float]:
        """Blur a picture again and again."""
        import cv2

        answers = []
        for seed in seeds:
            picture = self._picture
            for _ in range(5):
                picture = cv2.bilateralFilter(picture, 7, 30 + seed % 3, 30)
            answers.append(float(picture.mean()))
        return answers

    def echo(self, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """An answer of the size of a contract, at once."""
        return [{"seed": seed, "rationale": "x" * 2000} for seed in seeds]


_worker: Grinder | None = None


def _build() -> None:
    global _worker
    _worker = Grinder()


def _grind(seed: int) -> float:
    assert _worker is not None
    return _worker.grind([seed])[0]


async def speed(rounds: int, items: int, batch: int) -> dict[str, Any]:
    """Items a second of the three paths, the median of the rounds, and the ratios within each round."""
    seeds = list(range(items))
    here = Grinder()
    rates: dict[str, list[float]] = {"in_process": [], "two_processes": [], "pool": []}
    pool = WorkerPool("bench", Grinder, PoolSettings(workers=WORKERS, batch=batch, in_flight=8 * batch))
    context = multiprocessing.get_context("spawn")
    driver_s = 0.0
    await pool.start()
    with context.Pool(WORKERS, initializer=_build) as processes:
        await pool.call("grind", seeds[: 2 * batch])
        processes.map(_grind, seeds[: 2 * batch], chunksize=batch)
        for _ in range(rounds):
            began = time.perf_counter()
            one = here.grind(seeds)
            rates["in_process"].append(items / (time.perf_counter() - began))
            began = time.perf_counter()
            two = processes.map(_grind, seeds, chunksize=batch)
            rates["two_processes"].append(items / (time.perf_counter() - began))
            began, busy = time.perf_counter(), time.process_time()
            pooled = await pool.call("grind", seeds)
            rates["pool"].append(items / (time.perf_counter() - began))
            driver_s += time.process_time() - busy
            assert one == two == pooled
    await pool.close()
    ratios = {
        f"pool_over_{other}": statistics.median(
            mine / theirs for mine, theirs in zip(rates["pool"], rates[other], strict=True)
        )
        for other in ("in_process", "two_processes")
    }
    return {
        "items_per_s": {path: round(statistics.median(found), 1) for path, found in rates.items()},
        "ms_per_item": round(1000 / statistics.median(rates["in_process"]), 1),
        **{name: round(ratio, 3) for name, ratio in ratios.items()},
        "driver_cpu_ms_per_pooled_item": round(1000 * driver_s / (rounds * items), 2),
    }


async def memory(items: int) -> dict[str, Any]:
    """This process's resident memory in MiB while items stream through `map`."""
    process = psutil.Process()
    pool = WorkerPool("flat", Grinder, PoolSettings(workers=WORKERS, batch=8, in_flight=64))
    await pool.start()
    curve: list[tuple[int, float]] = []
    began = time.perf_counter()
    done = 0
    async for _ in pool.map("echo", range(items)):
        if done % max(1, items // 200) == 0:
            curve.append((done, process.memory_info().rss / 2**20))
        done += 1
    seconds = time.perf_counter() - began
    await pool.close()
    settled = [size for n, size in curve if n >= items // 10]
    return {
        "items": items,
        "items_per_s": round(items / seconds),
        "rss_mib": {
            "first": round(settled[0], 1),
            "last": round(settled[-1], 1),
            "most": round(max(settled), 1),
        },
        "curve": [(n, round(size, 2)) for n, size in curve],
    }


def draw(curve: list[tuple[int, float]], path: Path) -> None:
    """The memory curve as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(*zip(*curve, strict=True))
    axes.set(
        xlabel="items done", ylabel="driver RSS, MiB", title="Driver memory while items stream through map"
    )
    axes.set_ylim(0, max(size for _, size in curve) * 1.2)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


async def measure(quick: bool) -> dict[str, Any]:
    """All numbers, with the machine's load at the end."""
    return {
        "speed": await (speed(2, 40, 4) if quick else speed(20, 40, 4)),
        "memory": await memory(1000 if quick else 40_000),
        "load_after": os.getloadavg(),
    }


def main() -> None:
    """Run on a Ray of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few items: checks that the benchmark runs")
    parser.add_argument("--curve", type=Path, help="PNG of the memory curve")
    arguments = parser.parse_args()
    environment.export(**thread_variables(1))
    from cluster.session import session

    with session(load("embedded", ["cluster.num_cpus=4"])):
        found = asyncio.run(measure(arguments.quick))
    curve = found["memory"].pop("curve")
    if arguments.curve:
        draw(curve, arguments.curve)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
