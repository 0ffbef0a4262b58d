"""A search that is to be run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.gepa import GepaSettings
from train_jobs.gepa.adapter import Adapter, ProposalFn
from train_jobs.gepa.archipelago import Archipelago
from train_jobs.gepa.candidate import Candidate
from train_jobs.gepa.notices import Notices
from train_jobs.gepa.reflection import Reflection
from train_jobs.gepa.worker import Kit

if TYPE_CHECKING:
    from train_jobs.gepa.engine import Engine


@dataclass
class Plan:
    """Adapter, examples, settings, and who is told."""

    settings: GepaSettings
    adapter: Adapter
    seeds: list[Candidate]
    train: list[Any]
    validation: list[Any]
    propose: ProposalFn | None = None
    model: Any = None
    calls: int | None = None
    folder: Path | None = None
    notices: Notices = field(default_factory=Notices)
    stoppers: list[Callable[[Any], bool]] = field(default_factory=list)
    outside: Callable[[], str] = lambda: ""
    """Asked now and then why the run should end; empty = go on."""
    advanced: Callable[[Archipelago, Engine], None] = lambda archipelago, engine: None
    """Called after each result, e.g. to show progress."""

    def kit(self) -> Kit:
        """What its workers are built of."""
        adapter, propose, model = self.adapter, self.propose, self.model
        template = self.settings.template
        return Kit(
            lambda: adapter,
            lambda made: Reflection(made, propose, model, template),
            self.train,
            self.validation,
            self.folder,
        )
