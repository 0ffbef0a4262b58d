"""Callbacks with the names of `gepa`'s, and the view of the state that they are given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.pool import Member

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class StateView:
    """What callbacks and stoppers written for `gepa` read of its state; changing it changes nothing."""

    i: int
    total_num_evals: int
    program_candidates: list[dict[str, str]]
    program_full_scores_val_set: list[float]
    parent_program_for_candidate: list[list[int]]
    prog_candidate_val_subscores: list[dict[int, float]]


class Notices:
    """Tells callbacks what happens. A callback that raises is logged and changes nothing."""

    def __init__(self, callbacks: Sequence[Any] = ()) -> None:
        self.archipelago: Archipelago | None = None
        self.muted: Callable[[], bool] = lambda: False
        self.callbacks = list(callbacks)

    def tell(self, event: str, payload: dict[str, Any]) -> None:
        """Call a method of every callback that has it."""
        if not self.callbacks or self.muted():
            return
        if event in ("on_iteration_start", "on_iteration_end"):
            payload = {**payload, "state": self.view()}
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is None:
                continue
            try:
                method(payload)
            except Exception:  # somebody's observer must not end the search
                LOGGER.warning("callback %s.%s failed", type(callback).__name__, event, exc_info=True)

    def view(self) -> StateView:
        """The state as it is now, of all islands."""
        members: list[Member] = []
        spent = proposals = 0
        if self.archipelago is not None:
            spent, proposals = self.archipelago.budget.spent, self.archipelago.progress.proposals
            members = [member for island in self.archipelago.islands for member in island.pool.members]
        return StateView(
            proposals - 1,
            spent,
            [dict(member.candidate) for member in members],
            [member.mean for member in members],
            [[parent.index for parent in member.parents] for member in members],
            [dict(member.scores) for member in members],
        )
