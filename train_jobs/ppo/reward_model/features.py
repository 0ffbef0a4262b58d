"""What a reward model sees of a query and an answer to it: one value for each of a few slots. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from actors.contracts import ASPECTS, Lang, Query, content_id
from actors.policy.tiny.tokens import WRITTEN
from actors.vocabulary import FACETS, Facet, Reading, keys, kinds, read_query

NONE = "none"
OTHERS: tuple[Facet, ...] = tuple(facet for facet in FACETS if facet != "subject")
_SUBJECTS = ("first", "second")
GATES = (*(f"{place} subject" for place in _SUBJECTS), "palette", "title")
"""What a query may ask for by which a picture is refused, by its slot."""


class Features:
    """Slots and their values, numbered.

    The frame, the language, whether there is a title, two subjects with their kinds, and of each other facet
    what the prompt says of it; of a facet that answers decide also whether the query says it.
    """

    def __init__(self) -> None:
        kind = sorted(set(kinds().values()))
        slots: dict[str, Sequence[str]] = {"aspect": tuple(ASPECTS), "language": get_args(Lang)}
        slots |= {"title": ("", "yes")}
        slots |= {f"{place} subject": (NONE, *keys("subject")) for place in _SUBJECTS}
        slots |= {f"{place} kind": (NONE, *kind) for place in _SUBJECTS}
        slots |= {facet: (NONE, *keys(facet)) for facet in OTHERS}
        slots |= {f"asked {facet}": ("", "yes") for facet in WRITTEN}
        named = [(slot, value) for slot, values in slots.items() for value in values]
        self._ids = {name: number for number, name in enumerate(named)}
        self._names = named
        self._slots = tuple(slots)
        self._places = {facet: self._slots.index(facet) for facet in WRITTEN}
        self.size = len(named)
        """Numbers in use."""
        self.slots = len(slots)
        self.version = content_id("features", named)
        """Changes with any slot, value or their order."""

    def row(self, query: Query, values: Mapping[Facet, str]) -> list[int]:
        """A number for each slot.

        Args:
            values: of facets that the query leaves open; one that is missing is left open.
        """
        asked = read_query(query)
        subjects = [*asked.keys("subject")[: len(_SUBJECTS)], *[NONE] * len(_SUBJECTS)]
        said = {"aspect": query.aspect, "language": query.lang, "title": "yes" if asked.title else ""}
        for place, subject in zip(_SUBJECTS, subjects, strict=False):
            said |= {f"{place} subject": subject, f"{place} kind": kinds().get(subject, NONE)}
        for facet in OTHERS:
            said[facet] = asked.first(facet) or values.get(facet, NONE)
        for facet in WRITTEN:
            said[f"asked {facet}"] = "yes" if asked.keys(facet) else ""
        return [self._ids[slot, said[slot]] for slot in self._slots]

    def gates(self, query: Query, passed: Mapping[str, bool]) -> dict[str, bool]:
        """Of `GATES` those that a picture was held against, and whether it passed.

        Args:
            passed: by the judge's names: `subject:KEY`, `palette`, `title`; others are left out.
        """
        subjects = read_query(query).keys("subject")
        names = {
            f"subject:{key}": f"{place} subject" for key, place in zip(subjects, _SUBJECTS, strict=False)
        }
        named = {names.get(name, name): each for name, each in passed.items()}
        return {name: named[name] for name in GATES if name in named}

    def choices(self, query: Query) -> dict[int, list[int]]:
        """By the place of its slot, what an answer may say of each facet that the query leaves open."""
        asked = read_query(query)
        return {
            self._places[facet]: [
                self._ids[facet, key]
                for key in (*keys(facet), *((NONE,) if facet == "time" else ()))
                if key not in asked.keys(facet, negated=True)
            ]
            for facet in WRITTEN
            if not asked.keys(facet)
        }

    def answer(self, query: Query, prompt: Reading) -> dict[Facet, str]:
        """What a prompt says of the facets that its query leaves open."""
        asked = read_query(query)
        found = {facet: prompt.first(facet) for facet in WRITTEN if not asked.keys(facet)}
        return {facet: key for facet, key in found.items() if key is not None}

    def values(self, row: Sequence[int], query: Query) -> dict[Facet, str]:
        """The answer that a row of a query holds."""
        asked = read_query(query)
        found = {
            facet: self._names[row[self._places[facet]]][1] for facet in WRITTEN if not asked.keys(facet)
        }
        return {facet: key for facet, key in found.items() if key != NONE}
