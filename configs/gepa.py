"""The population search over strategies, `atelier evolve`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from configs.base import RoomSettings
from configs.http import ChatSettings, HttpSettings


class StopSettings(RoomSettings):
    """When a search ends before its metric calls are used up. None = not for this reason."""

    score: float | None = None
    """Mean validation score that is good enough."""
    plateau: int | None = Field(default=None, ge=1)
    """Proposals in a row that did not lift the best score."""
    proposals: int | None = Field(default=None, ge=1)
    money: float | None = Field(default=None, gt=0)
    """What reflection may cost in all."""
    seconds: float | None = Field(default=None, gt=0)
    barren: int = Field(default=200, ge=1)
    """Proposals in a row that asked for no new metric call: nothing is left to be tried."""


class RacingSettings(RoomSettings):
    """Validation in blocks. Not used with one proposal in flight, which validates as sequential GEPA does."""

    blocks: int = Field(default=2, ge=1)
    """1 = every accepted candidate is validated on all examples at once."""
    deviations: float = Field(default=1.0, ge=0)
    """Standard errors by which a child's mean may be behind the best member's and still go on."""


class EditsSettings(RoomSettings):
    """No language model: rules are edited by what was measured."""

    type: Literal["edits"] = "edits"


class LlmReflectionSettings(RoomSettings):
    """A chat model reads what happened and writes new texts."""

    type: Literal["llm"] = "llm"
    http: HttpSettings = HttpSettings()
    chat: ChatSettings = ChatSettings(temperature=1.0, max_tokens=4096, answer_format="none")
    pictures: bool = False
    """Show the model the pictures too; it must be able to see."""


class StudioSearchSettings(RoomSettings):
    """What `atelier evolve` does around the search."""

    budget: int = Field(default=9_000, ge=1)
    """Metric calls: first draws of a strategy for a query."""
    train: int = Field(default=240, ge=1)
    """Queries to learn from, where none are given."""
    validation: int = Field(default=120, ge=1)
    """Queries that strategies are scored on, where none are given."""
    draws: int = Field(default=2, ge=1)
    """Fresh seeds a query when the best strategy is measured on unseen queries."""
    distill: int = Field(default=1, ge=1)
    """Fresh seeds a query that was learnt from, for the bank and for distillation."""
    scorer: bool = True
    """Have the learned scorer in the reward, where there is one; it moves no admission and takes time."""


class GepaSettings(RoomSettings):
    """Search, islands and stops. The defaults serve any width: nothing has to be tuned to it."""

    minibatch: int = Field(default=3, ge=1)
    """Training examples that a parent and its child are compared on."""
    in_flight: int = Field(default=16, ge=1)
    """Most proposals that an island searches at once; 1 = the decisions of sequential GEPA."""
    adaptive: bool = True
    """Have fewer proposals in flight where most are accepted."""
    selector: Literal["pareto", "current_best", "epsilon_greedy", "top_k_pareto"] = "pareto"
    frontier: Literal["instance", "objective", "hybrid", "cartesian"] = "instance"
    acceptance: Literal["strict_improvement", "improvement_or_equal"] = "strict_improvement"
    tolerance: float = Field(default=0.0, ge=0)
    """What a noisy judge changes in a minibatch's sum by itself."""
    components: Literal["round_robin", "all"] = "round_robin"
    """Which texts one mutation rewrites."""
    perfect_score: float | None = 1.0
    """A minibatch on which every score is as high teaches nothing and is passed over; None = never."""
    merges: int | None = Field(default=None, ge=0)
    """Most merges or crossovers that may be admitted; None = none with one proposal in flight, else any."""
    history: int = Field(default=0, ge=0)
    """Training outcomes of the run that an adapter is shown beside a minibatch's, the latest ones."""
    reuse: bool = True
    """Take a score that was paid for once as the score of the same candidate on the same example."""
    racing: RacingSettings = RacingSettings()
    stop: StopSettings = StopSettings()
    islands: int = Field(default=1, ge=1)
    """Populations; each has the workers of a node, or a share of them."""
    migration: int = Field(default=4, ge=0)
    """Members that an island admits between two that it passes on; 0 = islands keep apart."""
    evaluators: int = Field(default=2, ge=1)
    """Evaluations at once, an island."""
    proposers: int = Field(default=2, ge=1)
    """Reflections at once, an island."""
    start_timeout_s: float = Field(default=120.0, gt=0)
    """Time that an island's workers may take to be ready."""
    num_cpus: float = Field(default=0.5, ge=0)
    """CPUs that Ray reserves for each evaluator and proposer of an island."""
    evaluation_timeout_s: float = Field(default=300.0, gt=0)
    reflection_timeout_s: float = Field(default=300.0, gt=0)
    reflection: EditsSettings | LlmReflectionSettings = Field(default=EditsSettings(), discriminator="type")
    studio: StudioSearchSettings = StudioSearchSettings()
    longest_text: int = Field(default=20_000, ge=1)
    """Characters of a component's text; a reflection that writes more is refused."""
    template: Path | None = None
    """File with the prompt for a reflecting language model; none = the shipped one."""
    seed: int = Field(default=0, ge=0)
