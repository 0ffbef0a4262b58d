"""Queries and answers as tokens: one token a facet word in either language.

A query is `language, frame, facet words, title or none`, facet by facet whatever the sentence; other words
are not read, since no training tells what they are worth. An answer is a value for each facet of `WRITTEN`
that the query leaves open, in that order, and the end. The query's own words, known or not, are not answered
again: the prompt quotes them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from actors.context import shape_of
from actors.contracts import ASPECTS, Query
from actors.errors import BadInput
from actors.vocabulary import FACETS, Facet, Reading, keys, kinds, read_query

WRITTEN: tuple[Facet, ...] = ("layout", "palette", "time", "style", "light", "density")
"""Facets that an answer decides, in its order: a style after what it has to be recognised in."""
OPEN = "open"
"""What an answer decides for a time of day that is left open: nothing is said of it."""
LONGEST_ANSWER = len(WRITTEN) + 1
_SPECIAL = ("pad", "start", "answer", "end", "not", "subject", "further subject", "title")
_FRAMES = ("en", "zh", "tall", "square", "wide", *(f"aspect={aspect}" for aspect in ASPECTS))


class Tokens:
    """The vocabulary: special tokens, frames, kinds of subjects, facet words.

    Args:
        familiar: subjects that the policy was trained on; of any other only the kind is read.

    Raises:
        BadInput: a familiar subject is not in the vocabulary.
    """

    def __init__(self, familiar: Sequence[str]) -> None:
        if strange := set(familiar) - set(keys("subject")):
            raise BadInput(f"{', '.join(sorted(strange))}: no subject of the vocabulary")
        kind = sorted({f"kind={name}" for name in kinds().values()})
        words = [f"{facet}={key}" for facet in FACETS for key in keys(facet)]
        names = [*_SPECIAL, *_FRAMES, *kind, *words, f"time={OPEN}"]
        self._ids = {name: number for number, name in enumerate(names)}
        self._familiar = frozenset(familiar)
        self._values: dict[int, tuple[Facet, str]] = {
            self._ids[f"{facet}={key}"]: (facet, key) for facet in WRITTEN for key in keys(facet)
        } | {self._ids[f"time={OPEN}"]: ("time", OPEN)}
        self.pad, self.end = self._ids["pad"], self._ids["end"]
        self.size = len(names)

    def query(self, query: Query, blur: random.Random | None = None) -> list[int]:
        """The tokens of a query, up to where its answer begins.

        Args:
            blur: in training, draws of which subjects only the kind is read, so that the policy knows what
                to do with an unfamiliar one.
        """
        reading = read_query(query)
        frame = ("start", query.lang, shape_of(query.aspect), f"aspect={query.aspect}")
        head = [self._ids[name] for name in frame]
        title = [self._ids["title"]] if reading.title is not None else []
        return [*head, *self._mentions(reading, blur), *title, self._ids["answer"]]

    def answer(self, values: Mapping[Facet, str]) -> list[int]:
        """The tokens of an answer, its end included."""
        return [*(self._ids[f"{f}={values[f]}"] for f in WRITTEN if f in values), self.end]

    def values(self, answer: Sequence[int]) -> dict[Facet, str]:
        """What an answer pins down; what follows its end does not count."""
        written = answer[: answer.index(self.end)] if self.end in answer else answer
        found = (self._values[token] for token in written if token in self._values)
        return {facet: key for facet, key in found if key != OPEN}

    def facets(self, answer: Sequence[int]) -> list[Facet | None]:
        """The facet that each token of an answer is about; None for any other, as the end."""
        return [self._values[token][0] if token in self._values else None for token in answer]

    def allowed(self, query: Query) -> list[int]:
        """The tokens that an answer to a query may use: what the query says is not said otherwise."""
        reading = read_query(query)
        open_values = (
            token
            for token, (facet, key) in self._values.items()
            if not reading.keys(facet) and key not in reading.keys(facet, negated=True)
        )
        return [self.end, *open_values]

    @property
    def order(self) -> list[int]:
        """The place of each token in an answer: a token may only follow those of lower places.

        Tokens that answers do not use have place 0.
        """
        places = [0] * self.size
        for token, (facet, _) in self._values.items():
            places[token] = 1 + WRITTEN.index(facet)
        places[self.end] = 1 + len(WRITTEN)
        return places

    def whole(self, query: Query, values: Mapping[Facet, str]) -> bool:
        """Whether values are an answer: all that the query leaves open is decided, and nothing else."""
        allowed = {self._values[token] for token in self.allowed(query) if token != self.end}
        return set(values) == {facet for facet, _ in allowed} and set(values.items()) <= allowed

    def _mentions(self, reading: Reading, blur: random.Random | None) -> Iterator[int]:
        named: set[str] = set()
        for mention in sorted(reading.mentions, key=lambda mention: FACETS.index(mention.facet)):
            if mention.negated:
                yield self._ids["not"]
            if mention.facet == "subject":
                # What holds of all subjects, or of a kind, is learnt once, and holds of strangers.
                yield self._ids["further subject" if named - {mention.key} else "subject"]
                yield self._ids[f"kind={kinds()[mention.key]}"]
                named.add(mention.key)
                if mention.key not in self._familiar or (blur is not None and blur.random() < BLUR):
                    continue
            yield self._ids[f"{mention.facet}={mention.key}"]


BLUR = 0.5
"""Share of familiar subjects that a blurred reading takes for unfamiliar ones."""
