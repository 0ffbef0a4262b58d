"""The best constant suffix, found by successive halving and then hill climbing.

What a phrase can buy: if one tail served all queries, nothing would have to be learnt.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from actors.contracts import Query, derive_seed
from actors.studio import Job, Studio
from actors.vocabulary import FACETS, Facet, keys
from train_jobs.loop.arms import Values, suffix

SEARCHED: tuple[Facet, ...] = tuple(facet for facet in FACETS if facet not in ("subject", "mood"))
LEAVE_OPEN = 0.4


async def search(studio: Studio, queries: Sequence[Query], budget: int, seed: int) -> Values:
    """The suffix with the most admissions on `queries`, spending about `budget` draws."""
    rng = random.Random(derive_seed(seed, "suffix"))
    pool = [_random_values(rng) for _ in range(max(4, budget // 20))]
    scores: dict[int, list[float]] = {i: [] for i in range(len(pool))}
    alive = list(scores)
    spent = 0
    round_cost = max(1, budget // 6)
    while spent < budget // 2 and len(alive) > 2:
        trials = max(1, round_cost // len(alive))
        await _try(studio, queries, pool, alive, trials, scores, rng)
        spent += trials * len(alive)
        alive = sorted(alive, key=lambda i: -_mean(scores[i]))[: max(2, len(alive) // 3)]
    best = alive[0]
    while spent < budget:
        pool.append(_mutate(pool[best], rng))
        scores[len(pool) - 1] = []
        trials = max(8, budget // 24)
        contenders = [best, len(pool) - 1]
        await _try(studio, queries, pool, contenders, trials, scores, rng)
        spent += 2 * trials
        best = max(contenders, key=lambda i: _mean(scores[i]))
    return pool[best]


async def _try(
    studio: Studio,
    queries: Sequence[Query],
    pool: Sequence[Values],
    candidates: Sequence[int],
    trials: int,
    scores: dict[int, list[float]],
    rng: random.Random,
) -> None:
    picked = [(query, rng.getrandbits(30)) for query in rng.choices(queries, k=trials)]
    jobs = [
        (i, Job(query, suffix(query, pool[i]), draw_seed)) for i in candidates for query, draw_seed in picked
    ]
    draws = await studio.evaluate([job for _, job in jobs])
    for (i, _), draw in zip(jobs, draws, strict=True):
        value = draw.reward.value if draw.reward else 0.0
        scores[i].append(float(draw.admitted) + 0.1 * value)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _random_values(rng: random.Random) -> Values:
    return {facet: rng.choice(keys(facet)) for facet in SEARCHED if rng.random() > LEAVE_OPEN}


def _mutate(values: Values, rng: random.Random) -> Values:
    changed = dict(values)
    facet = rng.choice(SEARCHED)
    if facet in changed and rng.random() < LEAVE_OPEN:
        del changed[facet]
    else:
        changed[facet] = rng.choice(keys(facet))
    return changed
