"""The evaluation of the imagine loop, and the double loop around it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from configs.base import RoomSettings
from configs.reward_model import RewardModelSettings


class PracticeSettings(RoomSettings):
    """Draws by which a reward model is learnt, so that each query's best answer can be looked up."""

    draws: int = Field(default=20_000, ge=2)
    first: int = Field(default=2_000, ge=2)
    """Of them the first round's: of random answers, and of the search's best strategy."""
    growth: float = Field(default=0.5, ge=0.05)
    """How many draws a round has of those of all rounds before it."""
    looked: int = Field(default=3, ge=1)
    """Queries that the model looks at for each that is drawn, after the first round."""
    doubted: float = Field(default=0.75, ge=0, le=1)
    """Of the queries that are drawn, the share that are those whose best answer the model doubts most: most
    that fails is among them. The others are drawn whatever it thinks of them, lest it is wrong there."""
    epochs: float = Field(default=5.0, gt=0)
    """Times that each draw is looked at between two rounds."""
    looks: int = Field(default=100_000, ge=0)
    """Looks at draws that there are at least, however few draws."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the choice among a best answer's neighbours, nats of the odds of being admitted."""
    starts: int = Field(default=16, ge=1)
    """Random answers, the best of which is improved until nothing near it is better."""
    model: RewardModelSettings = RewardModelSettings()


class LoopSettings(RoomSettings):
    """How much `evaluate imagine` and `loop` draw."""

    covers: int = Field(default=64, ge=1)
    """Cover queries evaluated."""
    real: int = Field(default=16, ge=0)
    """Real-wording queries evaluated apart."""
    draws: int = Field(default=2, ge=1)
    """Fresh seeds a query and arm."""
    warm_queries: int = Field(default=96, ge=0)
    """Other queries that fill the PromptBank before it is measured."""
    warm_draws: int = Field(default=6, ge=1)
    """Draws for each of them."""
    suffix_trials: int = Field(default=1200, ge=0)
    """Draws that the search of the best constant suffix may spend."""
    unseen: int = Field(default=512, ge=8)
    """Queries in sentences that no training has seen, on which `loop` measures."""
    best_of: int = Field(default=4, ge=2)
    """Draws a query of the arm that takes the best of several."""
    practice: PracticeSettings = PracticeSettings()
    lessons: int = Field(default=2000, ge=1)
    """Made queries to which the best answer that practice has found is drawn, for the policy to learn."""
    imagined: bool = False
    """Whether PPO learns from what practice's reward model expects, by far more answers than can be drawn;
    else every answer is drawn and judged."""
    seed: int = Field(default=7, ge=0)

    @model_validator(mode="after")
    def _known_well(self) -> Self:
        drawn, first = self.practice.draws, self.practice.first
        if self.imagined and drawn < 2 * first:
            raise ValueError(
                f"imagined with practice.draws {drawn} and practice.first {first}: a model that has hardly "
                "drawn what it proposes is exploited; accepted: practice.draws of twice practice.first, "
                "better ten times that"
            )
        return self
