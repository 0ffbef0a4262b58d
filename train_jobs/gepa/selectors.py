"""Which member becomes the parent of the next mutation."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from train_jobs.gepa.fronts import seats_of, surviving
from train_jobs.gepa.pool import Pool

SelectorName = Literal["pareto", "current_best", "epsilon_greedy", "top_k_pareto"]
Selector = Callable[[Pool, random.Random], int]
"""`selector(pool, rng)`: the index of a complete member."""
EPSILON, TOP_K = 0.1, 5


def pareto(pool: Pool, rng: random.Random) -> int:
    """A member that is not dominated, in proportion to the fronts it holds."""
    return rng.choice(seats_of(pool.survivors()))


def current_best(pool: Pool, rng: random.Random) -> int:
    """The member with the highest mean."""
    return pool.best().index


def epsilon_greedy(pool: Pool, rng: random.Random) -> int:
    """Any complete member with probability `EPSILON`, else the best."""
    if rng.random() < EPSILON:
        complete = [member.index for member in pool.members if member.complete]
        return complete[rng.randint(0, len(complete) - 1)]
    return pool.best().index


def top_k_pareto(pool: Pool, rng: random.Random) -> int:
    """As `pareto`, among the `TOP_K` members with the highest means."""
    scores = pool.scores
    top = set(sorted(range(len(scores)), key=lambda index: scores[index], reverse=True)[:TOP_K])
    fronts = {key: kept for key, front in pool.fronts.mapping().items() if (kept := front & top)}
    return rng.choice(seats_of(surviving(fronts, scores))) if fronts else pool.best().index


SELECTORS: dict[SelectorName, Selector] = {
    "pareto": pareto,
    "current_best": current_best,
    "epsilon_greedy": epsilon_greedy,
    "top_k_pareto": top_k_pareto,
}
