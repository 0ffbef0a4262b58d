"""Queries and answers as tokens: one token a facet word in either language, byte pairs for unknown words.

A query is `language, frame, facet words, unknown words, title or none`; words without meaning of their own
are not read. An answer is a value for each facet of `WRITTEN` that the query leaves open, in that order, and
the end. The query's own words are not answered again: the prompt quotes them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.context import shape_of
from actors.contracts import Query
from actors.errors import BadInput
from actors.vocabulary import FACETS, Facet, Reading, keys, kinds, read_query

WRITTEN: tuple[Facet, ...] = ("style", "palette", "layout", "light", "density")
"""Facets that an answer decides, in its order."""
LONGEST_ANSWER = len(WRITTEN) + 1
LONGEST_QUERY = 48
"""Byte pairs that are read of a query's unknown words; facet words are always read."""
_SPECIAL = ("pad", "start", "answer", "end", "not", "subject", "further subject", "title")
_FRAMES = ("en", "zh", "tall", "square", "wide")


class Tokens:
    """The vocabulary: special tokens, frames, facet words, then byte pairs.

    Args:
        pieces: a `tokenizers.Tokenizer` of byte pairs.
        familiar: subjects that the policy was trained on; of any other only the kind is read.

    Raises:
        BadInput: a familiar subject is not in the vocabulary.
    """

    def __init__(self, pieces: Any, familiar: Sequence[str]) -> None:
        if strange := set(familiar) - set(keys("subject")):
            raise BadInput(f"{', '.join(sorted(strange))}: no subject of the vocabulary")
        kind = sorted({f"kind={name}" for name in kinds().values()})
        names = [*_SPECIAL, *_FRAMES, *kind, *(f"{facet}={key}" for facet in FACETS for key in keys(facet))]
        self._ids = {name: number for number, name in enumerate(names)}
        self._pieces, self._familiar = pieces, frozenset(familiar)
        self._values: dict[int, tuple[Facet, str]] = {
            self._ids[f"{facet}={key}"]: (facet, key) for facet in WRITTEN for key in keys(facet)
        }
        self.pad, self.end = self._ids["pad"], self._ids["end"]
        self.size: int = len(names) + pieces.get_vocab_size()

    @classmethod
    def load(cls, pieces: Path, familiar: Sequence[str]) -> Tokens:
        """From a file of the `tokenizers` library.

        Raises:
            BadInput: the file cannot be read.
        """
        from tokenizers import Tokenizer

        try:
            return cls(Tokenizer.from_file(str(pieces)), familiar)
        except Exception as error:  # the library raises its base class
            raise BadInput(f"{pieces}: {error}; accepted: a tokenizer.json with byte pairs") from None

    def query(self, query: Query, blur: random.Random | None = None) -> list[int]:
        """The tokens of a query, up to where its answer begins.

        Args:
            blur: in training, draws which stray words come in, and of which subjects only the kind is read,
                so that the policy leans on no unknown word, and knows what to do with an unfamiliar subject.
        """
        reading = read_query(query)
        head = [self._ids[name] for name in ("start", query.lang, shape_of(query.aspect))]
        words = self._words(" ".join(reading.unknown))[:LONGEST_QUERY]
        if blur is not None and blur.random() < BLUR:
            words += [blur.randrange(len(self._ids), self.size) for _ in range(blur.randint(1, STRAY))]
        title = [self._ids["title"]] if reading.title is not None else []
        return [*head, *self._mentions(reading, blur), *words, *title, self._ids["answer"]]

    def answer(self, values: Mapping[Facet, str]) -> list[int]:
        """The tokens of an answer, its end included."""
        return [*(self._ids[f"{f}={values[f]}"] for f in WRITTEN if f in values), self.end]

    def values(self, answer: Sequence[int]) -> dict[Facet, str]:
        """What an answer pins down; what follows its end does not count."""
        written = answer[: answer.index(self.end)] if self.end in answer else answer
        return dict(self._values[token] for token in written if token in self._values)

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
        for mention in reading.mentions:
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

    def _words(self, text: str) -> list[int]:
        first = len(self._ids)
        return [first + piece for piece in self._pieces.encode(text.strip()).ids]


BLUR = 0.5
"""Share of queries that a blurred reading puts stray words into, and of familiar subjects that it takes for
unfamiliar ones."""
STRAY = 3
"""Most stray words."""
