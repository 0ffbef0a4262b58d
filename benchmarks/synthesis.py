"""The data engine: throughput against its slowest stage and against the machine, ledger, and crashes.

    python -m benchmarks.synthesis [stages|ledger|machine|crash ...] [--pairs 4000] [--rss rss.png]

prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from actors.artifacts import Artifacts
from actors.build import build_worker
from actors.contracts import Dimension, Failure, Judgement, Picture, Prompt, Query, content_id
from actors.hosts import HostedGenerator, HostedJudge, pooled
from actors.ledger import FileLog
from actors.policy import grammar
from actors.policy.expander import default_strategy, write
from actors.pool import WorkerPool
from actors.roles import Roles
from cluster.session import session
from configs.load import load
from configs.pool import PoolSettings
from configs.synthesis import SourceShares, SynthesisSettings
from train_jobs.synthesis.job import Synthesis
from train_jobs.synthesis.outcome import Outcome
from train_jobs.synthesis.samples import Sample, Spec
from train_jobs.synthesis.stages import Stages
from train_jobs.synthesis.store import PairStore

WRITE_S, DRAW_S, JUDGE_S = 0.05, 0.2, 0.4
"""Latencies of the simulated stages, a call."""
AT_ONCE = 8
"""Calls that each simulated stage has in flight at most."""


class SlowPolicy:
    """Writes a prompt after `WRITE_S`."""

    async def propose(self, queries: Sequence[Query], recalls: Any, **more: Any) -> list[list[Prompt]]:
        """One prompt a query."""
        await asyncio.sleep(WRITE_S)
        return [[Prompt.of(q.text, query=q, strategy_id="s", policy_version="p")] for q in queries]


class SlowGenerator:
    """Names a picture after `DRAW_S`."""

    async def draw(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[Picture]:
        """No pixels."""
        await asyncio.sleep(DRAW_S)
        return [
            Picture(
                sha256=content_id(p.text, seed).ljust(64, "0"),
                width=8,
                height=8,
                prompt_id=p.id,
                seed=seed,
                generator_version="g",
                phash=content_id(p.text, seed, "hash"),
            )
            for p, seed in zip(prompts, seeds, strict=True)
        ]


class SlowJudge:
    """Scores by hash after `JUDGE_S`."""

    async def judge(self, pictures: Sequence[Picture], queries: Sequence[Query]) -> list[Judgement]:
        """A total."""
        await asyncio.sleep(JUDGE_S)
        return [
            Judgement(scores={Dimension.TOTAL: int(p.sha256[:2], 16) / 255}, judge_version="j")
            for p in pictures
        ]


class FreeAudit:
    """Lets everything pass, inside the driver."""

    async def check(self, items: Sequence[Any]) -> list[Any]:
        """At once."""
        from actors.contracts import AuditVerdict

        return [AuditVerdict(allowed=True, audit_version="a") for _ in items]


class PooledPolicy:
    """A policy behind a pool."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    async def propose(
        self, queries: Sequence[Query], recalls: Any, strategy: Any, n: int, seed: int
    ) -> list[list[Prompt] | Failure]:
        return await self._pool.call("propose", queries, recalls, strategy=strategy, n=n, seed=seed)


async def stages(pairs: int) -> dict[str, Any]:
    """Pairs a second through simulated stages, against what the judge alone does when it is never idle."""
    settings = SynthesisSettings(
        chunk=1,
        in_flight=64,
        shard=16,
        hard_share=0,
        near_bits=-1,
        sources=SourceShares(policy=1, grammar=0, raw=0),
    )
    room = PoolSettings(workers=1, batch=2, concurrency=AT_ONCE, in_flight=64, num_cpus=0)
    pools = [WorkerPool(n, w, room) for n, w in (("p", SlowPolicy), ("g", SlowGenerator), ("j", SlowJudge))]
    await asyncio.gather(*(pool.start() for pool in pools))
    roles = Roles(
        PooledPolicy(pools[0]), HostedGenerator(pools[1].call), HostedJudge(pools[2].call), FreeAudit()
    )
    alone = await _judge_alone(pools[2], pairs)
    with tempfile.TemporaryDirectory() as out:
        spec = Spec(settings, "{}")
        log = FileLog(Path(out) / "ledger.jsonl")
        run = Stages(roles, default_strategy(), settings, False).run
        summary = await Synthesis(spec, run, PairStore(out, spec.id, 1), log, pairs).run()
        await log.close()
    await asyncio.gather(*(pool.close() for pool in pools))
    return {
        "pairs": pairs,
        "judge_alone_pairs_per_s": round(alone, 2),
        "pairs_per_s": summary["pairs_per_second"],
        "share_of_slowest_stage": round(summary["pairs_per_second"] / alone, 3),
    }


async def _judge_alone(pool: WorkerPool, pairs: int) -> float:
    query = Query.of("a lake")
    picture = Picture(sha256="0" * 64, width=8, height=8, prompt_id="p", seed=1, generator_version="g")
    slots = asyncio.Semaphore(64)

    async def one() -> None:
        async with slots:
            await pool.call("judge", [picture, picture], [query, query])

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(pairs)))
    return pairs / (time.perf_counter() - began)


async def ledger(samples: int, curve: Path | None) -> dict[str, Any]:
    """Overhead of the engine itself: stages that answer at once, in this process."""
    from tests.synthesis.simulated import outcome

    process, memory = psutil.Process(), []
    spec = Spec(SynthesisSettings(chunk=16, in_flight=64, shard=256, give_up=1.0), "{}")

    async def run(batch: Sequence[Sample]) -> list[Outcome]:
        return [outcome(sample) for sample in batch]

    async def go(out: str, pairs: int) -> dict[str, Any]:
        log = FileLog(Path(out) / "ledger.jsonl")
        store = PairStore(out, spec.id, 1)
        store.sweep = lambda: 0  # type: ignore[method-assign]  # simulated pictures have no files
        summary = await Synthesis(
            spec, run, store, log, pairs, lambda *_: memory.append(process.memory_info().rss)
        ).run()
        await log.close()
        return summary

    with tempfile.TemporaryDirectory() as out:
        began = time.perf_counter()
        for batch in range(0, samples, 16):
            [outcome(spec.sample(index)) for index in range(batch, batch + 16)]
        made = time.perf_counter() - began
        began = time.perf_counter()
        pairs = samples * 4 // 5
        summary = await go(out, pairs)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        await go(out, pairs)
        resume = time.perf_counter() - began
        size = (Path(out) / "ledger.jsonl").stat().st_size
    mib = [round(value / 2**20) for value in memory]
    if curve:
        _plot(mib, summary["examined"], curve)
    examined = summary["examined"]
    return {
        "samples": examined,
        "pairs": summary["pairs"],
        "seconds": round(seconds, 1),
        "ms_a_sample": round(1000 * seconds / examined, 3),
        "of_it_simulated_work_ms": round(1000 * made / samples, 3),
        "resume_seconds": round(resume, 2),
        "rss_mib": {"after_10%": mib[len(mib) // 10], "end": mib[-2], "most": max(mib)},
        "ledger_mb": round(size / 1e6, 2),
        "difference": summary["difference"],
    }


def _plot(mib: Sequence[int], samples: int, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([samples * i / len(mib) for i in range(len(mib))], mib)
    axes.set(xlabel="samples", ylabel="driver, MiB", ylim=(0, None))
    figure.savefig(path, dpi=120)


def _cost(job: tuple[int, int, int]) -> tuple[float, float]:
    """Seconds of a draw and of a judgement in this process, on samples of the default spec."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    first, count, side = job
    settings = load("embedded", [f"generator.long_side={side}"])
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Artifacts(folder, ".png")
        generator, judge = (
            build_worker(settings.generator, artifacts),
            build_worker(settings.judge, artifacts),
        )
        spec = Spec.of(settings)
        queries = [spec.query(first + i) for i in range(count)]
        texts = [grammar.prompt(q, 1, i) if i % 5 else write(q, {}) for i, q in enumerate(queries)]
        prompts = [
            Prompt.of(t, query=q, strategy_id="s", policy_version="p")
            for t, q in zip(texts, queries, strict=True)
        ]
        judge.judge(generator.draw(prompts[:8], [0] * 8), queries[:8])
        began = time.perf_counter()
        drawn = generator.draw(prompts, list(range(count)))
        drew = time.perf_counter()
        judge.judge(drawn, queries)
        return (drew - began) / count, (time.perf_counter() - drew) / count


def costs(side: int, count: int = 300) -> tuple[float, float]:
    """The same with both cores busy: what the machine can do, not what one core can do alone."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(_cost, [(0, count, side), (count, count, side)])
    draw, judge = (sum(part) / 2 for part in zip(*found, strict=True))
    return draw, judge


def machine(pairs: int, side: int) -> dict[str, Any]:
    """The embedded stages on Ray against draws x cost + judgements x cost over two cores."""
    settings = load("embedded", [f"generator.long_side={side}"])
    before = costs(side)
    with tempfile.TemporaryDirectory() as out, session(settings):
        summary = asyncio.run(_embedded(out, pairs, settings))
    after = costs(side)
    draw, judge = ((a + b) / 2 for a, b in zip(before, after, strict=True))
    pictures = 2 * summary["examined"]
    floor = pictures * (draw + judge) / 2
    return {
        "pairs": pairs,
        "side_px": side,
        "examined": summary["examined"],
        "ms_a_draw": round(1000 * draw, 2),
        "ms_a_judgement": round(1000 * judge, 2),
        "ms_before_and_after": [[round(1000 * x, 2) for x in pair] for pair in (before, after)],
        "floor_seconds": round(floor, 1),
        "seconds": summary["seconds"],
        "times_the_floor": round(summary["seconds"] / floor, 3),
        "pairs_per_s": summary["pairs_per_second"],
        "load": os.getloadavg()[0],
    }


async def _embedded(out: str, pairs: int, settings: Any) -> dict[str, Any]:
    spec = Spec.of(settings)
    async with pooled(settings, Artifacts(f"{out}/pictures", ".png")) as roles:
        log = FileLog(Path(out) / "ledger.jsonl")
        run = Stages(roles, default_strategy(), settings.synthesis, False).run
        summary = await Synthesis(
            spec, run, PairStore(out, spec.id, settings.synthesis.seed), log, pairs
        ).run()
        await log.close()
    return summary


@contextlib.contextmanager
def _ray() -> Iterator[None]:
    with session(load("embedded")):
        yield


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["stages", "ledger", "machine"])
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--rss", type=Path, default=None)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    if "stages" in arguments.parts:
        with _ray():
            found["stages"] = asyncio.run(stages(300))
    if "ledger" in arguments.parts:
        found["ledger"] = asyncio.run(ledger(arguments.samples, arguments.rss))
    if "machine" in arguments.parts:
        found["machine"] = machine(arguments.pairs, arguments.side)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
