"""What the house wants of a picture for a query: the brief's tables, looked up."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from actors.contracts import ASPECTS
from actors.errors import BadInput
from actors.vocabulary import Facet, Reading, keys


@dataclass(frozen=True)
class Wanted:
    """The accepted keys of each facet, and the ones that the query names outright (or None)."""

    layouts: frozenset[str]
    palettes: frozenset[str]
    lights: frozenset[str]
    styles: frozenset[str]
    times: frozenset[str] | None
    seasons: frozenset[str] | None
    named_palette: bool


class Brief:
    """The tables of one house brief."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self._tables = tables
        self.temperament: dict[str, str] = {
            subject: name for name, subjects in tables["temperament"].items() for subject in subjects
        }
        """Of each subject: sky, water, plant, ..."""
        if missing := set(keys("subject")) - set(self.temperament):
            raise BadInput(f"the brief gives no temperament to {', '.join(sorted(missing))}; add them")

    @classmethod
    def load(cls, path: Path | None = None) -> Brief:
        """The brief at a path, or the shipped one.

        Raises:
            BadInput: the file has no `temperament` for some subject.
        """
        shipped = files("actors.judge.measured").joinpath("brief.yaml")
        return cls(yaml.safe_load(path.read_text("utf-8") if path else shipped.read_text("utf-8")))

    def wanted(self, reading: Reading, aspect: str) -> Wanted:
        """What the house accepts for a query in a frame."""
        return Wanted(
            layouts=_named(reading, "layout") or self._layouts(reading, aspect),
            palettes=_named(reading, "palette") or self._first("palette", reading),
            lights=_named(reading, "light") or self._first("light", reading),
            styles=_named(reading, "style") or self._first("style", reading),
            times=_named(reading, "time"),
            seasons=_named(reading, "season"),
            named_palette=bool(_named(reading, "palette")),
        )

    def _layouts(self, reading: Reading, aspect: str) -> frozenset[str]:
        width, height = ASPECTS[aspect]
        shape = "square" if width == height else "tall" if height > width else "wide"
        by_count = self._tables["composition"][shape]["titled" if reading.title else "plain"]
        return frozenset(by_count[min(2, len(reading.keys("subject")))])

    def _first(self, facet: str, reading: Reading) -> frozenset[str]:
        """What the first named mood, season or time that the table knows asks for; else the temperament."""
        table = self._tables[facet]
        ranked: tuple[Facet, ...] = ("mood", "season", "time")
        for speaker in ranked:
            if speaker in table and (key := reading.first(speaker)):
                return frozenset(table[speaker][key])
        subject = reading.first("subject")
        return frozenset(table["temperament"][self.temperament[subject] if subject else "abstract"])


def _named(reading: Reading, facet: Facet) -> frozenset[str] | None:
    return frozenset(reading.keys(facet)) or None
