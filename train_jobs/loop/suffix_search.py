"""The best constant suffix, found facet by facet on queries that are not measured.

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


async def search(studio: Studio, queries: Sequence[Query], budget: int, seed: int) -> Values:
    """The suffix with the most admissions on `queries`, spending about `budget` draws.

    One facet after another takes the value, or stays open, that serves the same random queries best.
    """
    rng = random.Random(derive_seed(seed, "suffix"))
    order = rng.sample(SEARCHED, len(SEARCHED))
    candidates = sum(len(keys(facet)) + 1 for facet in order)
    trials = max(1, budget // candidates)
    best: Values = {}
    for facet in order:
        picked = [(query, rng.getrandbits(30)) for query in rng.choices(queries, k=trials)]
        options: list[Values] = [best, *({**best, facet: key} for key in keys(facet))]
        jobs = [
            Job(query, suffix(query, values), draw_seed) for values in options for query, draw_seed in picked
        ]
        draws = await studio.evaluate(jobs)
        worth = [draw.admitted + (draw.reward.value if draw.reward else 0.0) for draw in draws]
        totals = [sum(worth[i * trials : (i + 1) * trials]) for i in range(len(options))]
        best = options[totals.index(max(totals))]
    return best
