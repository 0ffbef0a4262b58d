"""What a query's situation is, in the few terms that decide how it should be engineered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actors.contracts import ASPECTS, Query
from actors.vocabulary import read_query

Shape = Literal["tall", "square", "wide"]


def shape_of(aspect: str) -> Shape:
    """Whether an aspect ratio is tall, square or wide."""
    width, height = ASPECTS[aspect]
    return "square" if width == height else ("wide" if width > height else "tall")


@dataclass(frozen=True)
class Context:
    """The situation of a query: what conditional rules may ask about."""

    shape: Shape
    titled: bool
    subjects: tuple[str, ...]
    mood: str | None
    time: str | None
    season: str | None

    def tags(self) -> tuple[str, ...]:
        """The situation as words, the same for Chinese and English, for a lexical index."""
        named = {"mood": self.mood, "time": self.time, "season": self.season}
        return (
            f"shape_{self.shape}",
            "titled" if self.titled else "untitled",
            f"count_{min(len(self.subjects), 3)}",
            *(f"{name}_{value}" for name, value in named.items() if value),
            *(f"subject_{subject}" for subject in self.subjects),
        )


def context_of(query: Query) -> Context:
    """Read a query's situation."""
    reading = read_query(query)
    return Context(
        shape=shape_of(query.aspect),
        titled=reading.title is not None,
        subjects=reading.keys("subject"),
        mood=reading.first("mood"),
        time=reading.first("time"),
        season=reading.first("season"),
    )
