"""What a practice has found: best answers by several reward models, and the oracle of each query.

    python -m benchmarks.practice RUN [--queries 512] [--oracle 64]

RUN is the folder of a finished `atelier loop`. Prints one JSON object: first draws admitted of the answers
that models of different networks, fitted to the run's draws, hold for the best, on unseen queries of another
seed than those that the loop measures; their paired differences; and, on queries that the loop measures, what
the best of a dozen answers to each query reaches on fresh seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actors.contracts import Draw, Failure, Prompt, Query, derive_seed
from actors.policy.expander import write
from actors.studio import Job
from configs.schema import Settings
from train_jobs.loop.double_loop import PRACTICE
from train_jobs.loop.lessons.ascent import Found, ascend
from train_jobs.loop.lessons.practice import judged
from train_jobs.loop.unseen import unseen
from train_jobs.ppo.job import made_queries, strangers
from train_jobs.ppo.rating import StudioRater
from train_jobs.ppo.reward_model.features import Features
from train_jobs.ppo.reward_model.model import Judged, RewardModel

NETWORKS = {
    "one perceptron": (0,),
    "two perceptrons": (0, 0),
    "two with cross layers": (2, 2),
    "four, two with cross layers": (0, 0, 2, 2),
}
EPOCHS = 14
OTHER_SEED = 4_711
CANDIDATES, TRIALS, FRESH = 12, 4, 8
"""Of the oracle: answers to a query, draws of each to choose by, draws of the chosen one."""
RESAMPLES = 4000
FEATURES = Features()


def known(run: Path, settings: Settings) -> Judged:
    """The draws of a run's practice."""
    queries = made_queries(settings.ppo)
    found = Judged.none(FEATURES.slots)
    for path in sorted((run / PRACTICE).glob("round-*.jsonl")):
        found += judged(path, FEATURES, queries)
    return found


def best(model: RewardModel, queries: Sequence[Query]) -> list[Found]:
    """What a model holds for the best of each query."""
    rows = [FEATURES.row(query, {}) for query in queries]
    choices = [FEATURES.choices(query) for query in queries]
    return ascend(rows, choices, model.logits, 32, random.Random(0))


def job(query: Query, row: Sequence[int], turn: int) -> Job:
    """A draw of the answer in a row."""
    text = write(query, FEATURES.values(row, query))
    prompt = Prompt.of(text, query=query, strategy_id="practice", policy_version="practice")
    return Job(query, prompt, derive_seed("benchmark", query.id, turn), turn)


def admitted(draws: Sequence[Draw | Failure], each: int) -> np.ndarray:
    """Shares admitted, [queries], of `each` draws a query."""
    return np.array([isinstance(d, Draw) and d.admitted for d in draws], float).reshape(-1, each).mean(1)


async def oracle(rater: StudioRater, queries: Sequence[Query], found: Sequence[Found]) -> dict[str, float]:
    """The best of a dozen answers to each query, chosen by some draws, on fresh seeds."""
    tried = [
        [each.best, *(each.near[place] for place in each.values.argsort(descending=True)[: CANDIDATES - 1])]
        for each in found
    ]
    jobs = [
        job(query, row, turn)
        for query, rows in zip(queries, tried, strict=True)
        for row in rows
        for turn in range(TRIALS)
    ]
    draws = await rater.rate(jobs)
    worth = np.array([d.reward.value if isinstance(d, Draw) and d.reward else 0.0 for d in draws])
    score = (admitted(draws, 1) + 0.3 * worth).reshape(-1, TRIALS).mean(1)
    parts = np.split(score, np.cumsum([len(rows) for rows in tried])[:-1])  # a query may leave little open
    chosen = [rows[int(part.argmax())] for rows, part in zip(tried, parts, strict=True)]
    fresh = [job(q, row, 100 + turn) for q, row in zip(queries, chosen, strict=True) for turn in range(FRESH)]
    shares = admitted(await rater.rate(fresh), FRESH)
    return {"admission": float(shares.mean()), "error": float(shares.std() / len(shares) ** 0.5)}


async def measured(run: Path, queries: int, oracles: int) -> dict[str, Any]:
    """All that is printed."""
    settings = Settings.model_validate(json.loads((run / "settings.json").read_text("utf-8"))["settings"])
    drawn, apart = known(run, settings), strangers(settings.ppo.strangers)
    others = unseen(queries, 0, apart, OTHER_SEED).covers
    rater, found, answer = StudioRater(settings), {}, dict[str, Any](draws=len(drawn))
    for name, crosses in NETWORKS.items():
        room = settings.loop.practice.model.model_copy(update={"crosses": crosses})
        model = RewardModel(FEATURES.size, FEATURES.slots, room, settings.loop.seed, FEATURES.version)
        model.fit(drawn, EPOCHS * len(drawn))
        jobs = [
            job(query, each.best, turn)
            for query, each in zip(others, best(model, others), strict=True)
            for turn in range(2)
        ]
        found[name] = admitted(await rater.rate(jobs), 2)
        answer[name] = {"admission": float(found[name].mean()), "ahead": _ahead(found[name], found)}
    same = random.Random(1).sample(unseen(settings.loop.unseen, 0, apart).covers, oracles)
    answer["oracle"] = await oracle(rater, same, best(model, same))
    await rater.close()
    return answer


def _ahead(mine: np.ndarray, others: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """95% intervals of the paired differences to others, drawn over queries."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(mine), (RESAMPLES, len(mine)))
    cuts = {name: np.quantile((mine - other)[rows].mean(1), (0.025, 0.975)) for name, other in others.items()}
    return {name: (float(low), float(high)) for name, (low, high) in cuts.items() if others[name] is not mine}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--queries", type=int, default=512)
    parser.add_argument("--oracle", type=int, default=64)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(measured(given.run, given.queries, given.oracle)), indent=2))


if __name__ == "__main__":
    main()
