"""The mass production of judged pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from configs.base import RoomSettings

Aspect = Literal["1:1", "3:4", "9:16", "4:3", "16:9"]


class CapSettings(RoomSettings):
    """What a dataset may cost at most, over all its runs. None = no cap."""

    pictures: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    """Tokens in and out of all chat services."""
    money: float | None = Field(default=None, ge=0)
    """In the currency of the services' prices."""


class Shares(RoomSettings):
    """Weights of alternatives; only their proportions count."""

    @model_validator(mode="after")
    def _not_all_zero(self) -> Self:
        if not any(self.shares().values()):
            raise ValueError("all shares are 0; accepted: at least one above 0")
        return self

    def shares(self) -> dict[str, float]:
        """Name -> weight."""
        raise NotImplementedError


class KindShares(Shares):
    """How pairs come about."""

    two_seeds: float = Field(default=0.4, ge=0)
    """One prompt, two seeds: mostly hard pairs."""
    raw_engineered: float = Field(default=0.35, ge=0)
    """The query as it stands against an engineered prompt."""
    mismatched_query: float = Field(default=0.25, ge=0)
    """A picture of the query against one of another query."""

    def shares(self) -> dict[str, float]:
        """See `Shares.shares`."""
        return {
            "two_seeds": self.two_seeds,
            "raw_engineered": self.raw_engineered,
            "mismatched_query": self.mismatched_query,
        }


class SourceShares(Shares):
    """What writes prompts."""

    policy: float = Field(default=0.4, ge=0)
    grammar: float = Field(default=0.4, ge=0)
    """The query with every open facet pinned at random, so that all looks occur."""
    raw: float = Field(default=0.2, ge=0)
    """The query as it stands."""

    def shares(self) -> dict[str, float]:
        """See `Shares.shares`."""
        return {"policy": self.policy, "grammar": self.grammar, "raw": self.raw}


class SynthesisSettings(RoomSettings):
    """What pairs are made of, how they are chosen, and how many are worked on at once."""

    seed: int = Field(default=1, ge=0)
    queries: Path | None = None
    """JSON Lines of queries to draw for; none = a grammar makes them."""
    kinds: KindShares = Field(default_factory=KindShares)
    """Shares of the kinds of pair among those tried."""
    sources: SourceShares = Field(default_factory=SourceShares)
    """Shares of what writes a prompt where the kind leaves it open."""
    aspects: tuple[Aspect, ...] = Field(default=("1:1", "3:4", "9:16", "4:3", "16:9"), min_length=1)
    langs: tuple[Literal["en", "zh"], ...] = Field(default=("en", "zh"), min_length=1)
    hard_gap: float = Field(default=0.1, ge=0, le=1)
    """Gap between the two totals below which a pair is hard."""
    hard_share: float = Field(default=0.3, ge=0, le=1)
    """Least share of hard pairs: easy ones beyond it are turned away."""
    near_bits: int = Field(default=2, ge=-1, le=32)
    """Bits of the perceptual hash in which pictures may differ and still count as the same; -1 = none are."""
    judging: Literal["auto", "pointwise", "comparative"] = "auto"
    """Whether the judge scores pictures one by one, or compares them in both orders; auto hangs on it."""
    slope: float = Field(default=12.0, gt=0)
    """Log-odds that the better picture wins for each unit of score, where no calibration says it."""
    inconsistent: Literal["soften", "drop"] = "soften"
    """What becomes of a pair on which the judge's two orders disagree."""
    shard: int = Field(default=64, ge=1, le=65536)
    """Samples a shard."""
    chunk: int = Field(default=4, ge=1, le=1024)
    """Samples that go through the stages together."""
    in_flight: int = Field(default=48, ge=1)
    """Samples worked on at once."""
    window: int = Field(default=8, ge=2)
    """Shards that may be under way before the oldest is finished."""
    most_quarantined: float = Field(default=0.01, ge=0, le=1)
    """Share of samples that may fail before the exit code says so."""
    give_up: float = Field(default=0.5, ge=0, le=1)
    """Share of failed samples, of the last 200, at which the job stops."""
    caps: CapSettings = CapSettings()
