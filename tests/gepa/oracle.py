"""The same members in our pool and in a state of the gepa package, which is the oracle of these tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gepa.core.state import GEPAState, ValsetEvaluation
from hypothesis import strategies as st

from train_jobs.gepa.fronts import FrontierType, Key
from train_jobs.gepa.pool import Member, Pool

KINDS: tuple[FrontierType, ...] = ("instance", "objective", "hybrid", "cartesian")
seeds = st.integers(0, 2**31 - 1)


@dataclass
class Row:
    """One member: texts, places of its parents, and scores by validation example."""

    candidate: dict[str, str]
    scores: Sequence[float]
    parents: Sequence[int] = ()
    objectives: Sequence[dict[str, float]] = field(default_factory=list)


class Silent:
    """A log for gepa."""

    def log(self, message: str) -> None:
        """Keep nothing."""


def pool_of(kind: FrontierType, rows: Sequence[Row]) -> Pool:
    """Our pool."""
    pool = Pool(kind)
    for row in rows:
        parents = tuple(pool.members[place] for place in row.parents)
        member = Member(dict(row.candidate), parents, "mutation" if parents else "seed")
        member.scores, member.complete = dict(enumerate(row.scores)), True
        member.objectives = {place: dict(each) for place, each in enumerate(row.objectives)}
        pool.admit(member)
    return pool


def state_of(kind: FrontierType, rows: Sequence[Row]) -> GEPAState[Any, int]:
    """The package's state; its first member is the one that has no parents."""
    state: GEPAState[Any, int] = GEPAState(rows[0].candidate, _evaluation(rows[0]), frontier_type=kind)
    state.num_full_ds_evals, state.total_num_evals = 1, len(rows[0].scores)
    for row in rows[1:]:
        state.update_state_with_new_program(list(row.parents), row.candidate, _evaluation(row), None, 0)
    return state


def translated(kind: FrontierType, key: Key) -> Any:
    """The package's key for one of ours."""
    if kind == "cartesian":
        return ("cartesian", *key)  # type: ignore[misc]
    objective = isinstance(key, tuple)
    if kind == "hybrid":
        return key if objective else ("val_id", key)
    return key[1] if objective else key  # type: ignore[index]


def drawn_rows(seed: int, members: int, examples: int) -> list[Row]:
    """Unrelated members with coarse scores, so that there are ties; some lack an objective here and there."""
    dice = random.Random(seed)
    rows = []
    for number in range(members):
        objectives = [
            {name: dice.randint(0, 3) / 3 for name in ("short", "true", "kind") if dice.random() < 0.8}
            for _ in range(examples)
        ]
        objectives[0].setdefault("true", 0.5)
        scores = [dice.randint(0, 3) / 3 for _ in range(examples)]
        rows.append(Row({"text": str(number)}, scores, [0] if number else [], objectives))
    return rows


def _evaluation(row: Row) -> ValsetEvaluation[Any, int]:
    objectives = {place: dict(each) for place, each in enumerate(row.objectives)}
    return ValsetEvaluation({}, dict(enumerate(row.scores)), objectives or None)
