"""Does engineering matter, and is every query possible? `python -m benchmarks.world`. Prints JSON.

For each query a long search looks for the prompt that is admitted most surely; the winner is judged on
fresh seeds that the search never saw. `impossible` lists the queries whose winner stays under 90%.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from actors.contracts import AuditVerdict, Query, Recall, Reward, derive_seed
from actors.policy.expander import default_strategy, engineer, write
from actors.reward import causes, reward
from actors.vocabulary import Facet, keys, read_query
from configs.load import load
from configs.reward import RewardSettings
from train_jobs.loop import arms
from train_jobs.loop.evaluation_set import packaged

SEARCHED: tuple[Facet, ...] = ("style", "palette", "layout", "light", "time", "density")
LONG_SIDE = 256
FINE = {"picture": AuditVerdict(allowed=True, audit_version="none")}
Values = dict[Facet, str]


@functools.cache
def _judge() -> Any:
    import cv2
    import torch

    from actors.artifacts import Artifacts
    from actors.judge.measured.worker import MeasuredJudge
    from configs.judge import MeasuredSettings

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return MeasuredJudge(MeasuredSettings(), Artifacts("memory://world"))


@functools.cache
def reward_settings() -> RewardSettings:
    """The frozen bar of the embedded profile."""
    return load("embedded", environ={}).reward


def draw(query: Query, text: str, seeds: Sequence[int], long_side: int = LONG_SIDE) -> list[Reward]:
    """Rewards of one prompt text over seeds."""
    from actors.contracts import Prompt
    from actors.generator.procedural import plan, render

    pictures = [render(plan(text, query.aspect, seed), long_side) for seed in seeds]
    prompt = Prompt.of(text, query=query, strategy_id="world", policy_version="world")
    judged = _judge().judge_pixels(pictures, [query] * len(pictures))
    return [reward(query, prompt, judgement, FINE, reward_settings()) for judgement in judged]


def oracle(query: Query, sweeps: int = 2, trials: int = 3, fresh: int = 30) -> dict[str, Any]:
    """Search the best prompt of one query, facet by facet, and judge it on fresh seeds."""
    asked = read_query(query)
    free = [facet for facet in SEARCHED if not asked.keys(facet)]
    best = {k: v for k, v in engineer(query, Recall(), default_strategy()).items() if k in free}
    seen: dict[str, list[float]] = {}

    def score(values: Values, n: int) -> float:
        text = write(query, values)
        results = seen.setdefault(text, [])
        seeds = [derive_seed("search", query.id, i) for i in range(len(results), n)]
        results += [outcome.admitted + outcome.picture for outcome in draw(query, text, seeds)]
        return sum(results) / len(results)

    for sweep in range(sweeps):
        for facet in free:
            tried = {key: score({**best, facet: key}, trials * (1 + sweep)) for key in keys(facet)}
            best[facet] = max(tried, key=lambda key: tried[key])
    finalists = sorted(seen, key=lambda text: -sum(seen[text]) / len(seen[text]))[:6]
    lasting = {
        text: sum(o.admitted + o.picture for o in draw(query, text, _seeds("final", query, 16)))
        for text in finalists
    }
    text = max(lasting, key=lambda text: lasting[text])
    final = draw(query, text, _seeds("fresh", query, fresh))
    failed = [causes(outcome, reward_settings())[0] for outcome in final if not outcome.admitted]
    return {
        "id": query.id,
        "query": query.text,
        "prompt": text,
        "admission": 1 - len(failed) / fresh,
        "causes": failed,
    }


def _seeds(name: str, query: Query, n: int) -> list[int]:
    return [derive_seed(name, query.id, i) for i in range(n)]


def arm(name: str, query: Query, other: Query, n: int) -> list[Reward]:
    """Rewards of one way of engineering over fresh seeds."""
    strategy = default_strategy()
    prompt = {
        "raw": lambda: arms.raw(query).text,
        "shuffled": lambda: arms.shuffled(query, other, strategy).text,
        "expander": lambda: write(query, engineer(query, Recall(), strategy)),
    }[name]()
    return draw(query, prompt, [derive_seed("arm", query.id, i) for i in range(n)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--draws", type=int, default=4, help="fresh seeds a query and arm")
    parser.add_argument("--no-oracle", action="store_true")
    options = parser.parse_args()
    queries = packaged(120, 0).covers[: options.queries]
    began = time.monotonic()
    report: dict[str, Any] = {"queries": len(queries), "load": os.getloadavg()}
    with ProcessPoolExecutor(2) as pool:
        for name in ("raw", "shuffled", "expander"):
            rows = list(
                pool.map(
                    arm, [name] * len(queries), queries, arms.others(queries), [options.draws] * len(queries)
                )
            )
            report[name] = _sum_up([outcome for row in rows for outcome in row])
        if not options.no_oracle:
            found = list(pool.map(oracle, queries))
            report["oracle"] = {
                "admission": sum(row["admission"] for row in found) / len(found),
                "impossible": [row for row in found if row["admission"] < 0.9],
            }
    report["seconds"] = time.monotonic() - began
    print(json.dumps(report, ensure_ascii=False, indent=2))


def _sum_up(outcomes: list[Reward]) -> dict[str, Any]:
    settings = reward_settings()
    failed = [causes(outcome, settings)[0].split(":")[0] for outcome in outcomes if not outcome.admitted]
    parts: dict[str, list[float]] = {}
    for outcome in outcomes:
        for name, value in outcome.parts.items():
            if not name.startswith("prompt."):
                parts.setdefault(name, []).append(value)
    return {
        "admission": 1 - len(failed) / len(outcomes),
        "causes": {cause: round(failed.count(cause) / len(failed), 3) for cause in sorted(set(failed))},
        "dimensions": {name: round(sum(values) / len(values), 3) for name, values in sorted(parts.items())},
    }


if __name__ == "__main__":
    main()
