"""Queries and answers as tokens: one token a facet word in either language, byte pairs for all other words.

A query is `language, frame, words`, an answer the facet values that it pins down, in the order of `WRITTEN`,
and the end. The query's own words are not answered again: the prompt quotes them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.context import shape_of
from actors.contracts import Query
from actors.errors import BadInput
from actors.vocabulary import FACETS, Facet, Mention, Reading, keys, read_query

WRITTEN: tuple[Facet, ...] = ("time", "style", "palette", "layout", "light", "density")
"""Facets that an answer may pin down, in its order."""
LONGEST_ANSWER = len(WRITTEN) + 1
LONGEST_QUERY, LONGEST_TITLE = 48, 8
"""Byte pairs that are read of a query's text and of its title; facet words are always read."""
_SPECIAL = ("pad", "start", "answer", "end", "not", "subject", "title", "end of title")
_FRAMES = ("en", "zh", "tall", "square", "wide")


class Tokens:
    """The vocabulary: special tokens, frames, facet words, then byte pairs.

    Args:
        pieces: a `tokenizers.Tokenizer` of byte pairs.
        familiar: subjects that the policy was trained on; any other is read as `subject`.

    Raises:
        BadInput: a familiar subject is not in the vocabulary.
    """

    def __init__(self, pieces: Any, familiar: Sequence[str]) -> None:
        if strange := set(familiar) - set(keys("subject")):
            raise BadInput(f"{', '.join(sorted(strange))}: no subject of the vocabulary")
        names = [*_SPECIAL, *_FRAMES, *(f"{facet}={key}" for facet in FACETS for key in keys(facet))]
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
            blur: in training, draws which words are left out and which subjects are read as `subject`, so
                that the policy leans on no filler word and knows what to do with an unfamiliar subject.
        """
        reading = read_query(query)
        head = [self._ids[name] for name in ("start", query.lang, shape_of(query.aspect))]
        title: list[int] = []
        if reading.title is not None:
            words = self._words(reading.title)[:LONGEST_TITLE]
            title = [self._ids["title"], *words, self._ids["end of title"]]
        return [*head, *self._text(reading, blur), *title, self._ids["answer"]]

    def answer(self, values: Mapping[Facet, str]) -> list[int]:
        """The tokens of an answer, its end included."""
        return [*(self._ids[f"{f}={values[f]}"] for f in WRITTEN if f in values), self.end]

    def values(self, answer: Sequence[int]) -> dict[Facet, str]:
        """What an answer pins down; what follows its end does not count."""
        written = answer[: answer.index(self.end)] if self.end in answer else answer
        return dict(self._values[token] for token in written if token in self._values)

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

    def _text(self, reading: Reading, blur: random.Random | None) -> Iterator[int]:
        left = LONGEST_QUERY
        at = 0
        for mention in (*reading.mentions, None):
            words = self._words(reading.text[at : mention.start if mention else None])[:left]
            left -= len(words)
            if blur is not None:
                words = [word for word in words if blur.random() > BLUR]
            yield from words
            if mention is not None:
                yield from self._mention(mention, blur)
                at = max(at, mention.end)

    def _mention(self, mention: Mention, blur: random.Random | None) -> Iterator[int]:
        if mention.negated:
            yield self._ids["not"]
        strange = mention.key not in self._familiar or (blur is not None and blur.random() < BLUR)
        if mention.facet == "subject" and strange:
            yield self._ids["subject"]
        else:
            yield self._ids[f"{mention.facet}={mention.key}"]

    def _words(self, text: str) -> list[int]:
        first = len(self._ids)
        return [first + piece for piece in self._pieces.encode(text.strip()).ids]


BLUR = 0.15
"""Share of words and subjects that a blurred reading leaves out."""
