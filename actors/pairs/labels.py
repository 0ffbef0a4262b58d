"""Label files that people published, as JSON arrays read element by element: they can be large."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from actors.errors import BadInput

MAX_ELEMENT_CHARS = 4 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_SPACE = " \t\r\n"
Rank = Annotated[float, Field(allow_inf_nan=False)]
Paths = Annotated[list[str], Field(min_length=2, max_length=32)]


@dataclass(frozen=True)
class Ranked:
    """What people said of the pictures of one prompt."""

    prompt: str
    paths: tuple[str, ...]
    ranks: tuple[float, ...]
    """Lower is better; equal is a draw."""


class _Entry(BaseModel):
    """Fields that are not named here are ignored: the formats have grown some since."""

    prompt: str

    def ranked(self) -> Ranked:
        raise NotImplementedError

    @model_validator(mode="after")
    def _as_many(self) -> _Entry:
        found = self.ranked()
        if len(found.paths) != len(found.ranks):
            raise ValueError(f"{len(found.paths)} pictures have {len(found.ranks)} ranks")
        return self


class ImageRewardEntry(_Entry):
    """An element of ImageReward's `data/{train,valid,test}.json`: rank 1 is best, draws are allowed."""

    generations: Paths
    ranking: list[Rank]

    def ranked(self) -> Ranked:
        """The common form."""
        return Ranked(self.prompt, tuple(self.generations), tuple(self.ranking))


class HPDv2TrainEntry(_Entry):
    """An element of HPDv2's `train.json`: 1 marks the preferred picture. The README's name of the paths is
    `file_path`; the files have been published with `image_path` too."""

    file_path: Paths
    human_preference: list[Literal[0, 1]]

    def ranked(self) -> Ranked:
        """The common form."""
        return Ranked(self.prompt, tuple(self.file_path), tuple(-float(p) for p in self.human_preference))


class HPDv2TestEntry(_Entry):
    """An element of HPDv2's `test.json`: lower ranks are better, taken over all annotators."""

    image_path: Paths
    rank: list[Rank]

    def ranked(self) -> Ranked:
        """The common form."""
        return Ranked(self.prompt, tuple(self.image_path), tuple(self.rank))


def imagereward(entry: dict[str, Any]) -> Ranked:
    """Read an element of ImageReward's label files (github.com/THUDM/ImageReward).

    Raises:
        BadInput: a field is missing or wrong.
    """
    return _read(ImageRewardEntry, entry)


def hpdv2(entry: dict[str, Any]) -> Ranked:
    """Read an element of HPDv2's label files (github.com/tgxs002/HPSv2); raises as `imagereward` does."""
    if "human_preference" not in entry:
        return _read(HPDv2TestEntry, entry)
    paths = {"file_path": entry["image_path"]} if "image_path" in entry else {}
    return _read(HPDv2TrainEntry, {**entry, **paths})


def elements(file: IO[bytes], name: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON array, one in memory at a time.

    Raises:
        BadInput: the file is no JSON array of objects, is cut off, or has an element that is too long.
    """
    decoder, text, ended, count = json.JSONDecoder(), _Text(file, name), False, 0
    text.expect("[", "an array of objects")
    while not ended:
        if text.peek() == "]" and count == 0:
            text.expect("]", "the end")
            break
        value = text.value(decoder, f"element {count + 1}")
        if not isinstance(value, dict):
            raise BadInput(f"{name}: element {count + 1} is no object; accepted: an array of objects")
        yield value
        count += 1
        ended = text.expect(",]", f"',' or ']' after element {count}") == "]"
    if text.peek():
        raise BadInput(f"{name} goes on after its array; accepted: one JSON array")


class _Text:
    """A window on a file of UTF-8 text that moves on as values are taken out of it."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._text, self._rest = "", b""

    def peek(self) -> str:
        """The next character that is no space, or nothing at the end."""
        while not (stripped := self._text.lstrip(_SPACE)) and self._more():
            pass
        self._text = stripped
        return stripped[:1]

    def expect(self, accepted: str, what: str) -> str:
        """Take one of the accepted characters."""
        found = self.peek()
        if not found or found not in accepted:
            raise BadInput(f"{self._name}: {found or 'the end of the file'!r} stands where {what} is wanted")
        self._text = self._text[1:]
        return found

    def value(self, decoder: json.JSONDecoder, what: str) -> Any:
        """Take one JSON value. Of an object the end shows; what else is cut short is refused anyway."""
        self.peek()
        while True:
            try:
                value, end = decoder.raw_decode(self._text)
                self._text = self._text[end:]
                return value
            except RecursionError:
                raise BadInput(f"{self._name}: {what} is nested too deeply") from None
            except json.JSONDecodeError as error:
                if len(self._text) > MAX_ELEMENT_CHARS:
                    raise BadInput(
                        f"{self._name}: {what} is no JSON, or longer than {MAX_ELEMENT_CHARS} characters"
                    ) from None
                if not self._more():
                    raise BadInput(f"{self._name}: {what} is no JSON ({error.msg})") from None

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK_BYTES)
        data = self._rest + chunk
        try:
            text, self._rest = data.decode(), b""
        except UnicodeDecodeError as error:
            if not chunk or len(data) - error.start > 3:
                raise BadInput(f"{self._name} is no UTF-8 text; accepted: JSON in UTF-8") from None
            text, self._rest = data[: error.start].decode(), data[error.start :]
        self._text += text
        return bool(chunk)


def _read(kind: type[_Entry], entry: dict[str, Any]) -> Ranked:
    try:
        return kind.model_validate(entry).ranked()
    except ValidationError as error:
        problem = error.errors()[0]
        where = "".join(f"{part}: " for part in problem["loc"])
        raise BadInput(f"{where}{problem['msg'].removeprefix('Value error, ')}") from None
