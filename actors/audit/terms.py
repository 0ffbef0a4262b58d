"""Unsafe words in Chinese and English texts, also when they are disguised."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from actors.errors import BadInput

_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_LOOK_ALIKE = str.maketrans("аеорсухкіѕјԁԛԝһαεοικνρτυχɡıł", "aeopcyxkisjdqwhaeoiknptuxgil")
_DIGITS_FOR_LETTERS = str.maketrans("0134578@$!|€", "oieastbasiie")
_BETWEEN_HAN = re.compile(
    r"(?<=[\u3400-\u9fff])[^\w\u3400-\u9fff]+(?=[\u3400-\u9fff])|(?<=[\u3400-\u9fff])_+(?=[\u3400-\u9fff])"
)
_SPELLED = re.compile(
    r"(?<![a-z0-9])[a-z0-9@$!](?P<by>[\s._*~|+/\\-]+)(?:[a-z0-9@$!](?P=by))+[a-z0-9@$!](?![a-z0-9])"
)
_SEPARATOR = re.compile(r"[\s._*~|+/\\-]+")
_ID_CARD = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){15}\d(?!\d)")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True)
class Variants:
    """A text as it may have been meant: as written, with digits read as letters, and what it spells out."""

    plain: str
    unleeted: str
    spelled: tuple[str, ...]


def normalise(text: str, traditional: dict[int, str]) -> Variants:
    """Undo full-width forms, accents, look-alike letters, invisible characters, spacing and leetspeak."""
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    text = unicodedata.normalize("NFC", text).translate(_LOOK_ALIKE).translate(traditional)
    text = _BETWEEN_HAN.sub("", text)
    spelled = tuple(_SEPARATOR.sub("", run[0]) for run in _SPELLED.finditer(text))
    both = (*spelled, *(word.translate(_DIGITS_FOR_LETTERS) for word in spelled))
    return Variants(text, text.translate(_DIGITS_FOR_LETTERS), both)


@dataclass(frozen=True)
class Category:
    """One reason to refuse: phrases by themselves, and groups of words that must not stand together."""

    name: str
    phrases: tuple[re.Pattern[str], ...]
    spelled: tuple[str, ...]
    near: tuple[tuple[re.Pattern[str], ...], ...]

    def found(self, variants: Variants, within: int) -> bool:
        """Whether a text asks for this."""
        texts = (variants.plain, variants.unleeted)
        if any(pattern.search(text) for pattern in self.phrases for text in texts):
            return True
        if any(_together(group, text, within) for group in self.near for text in texts):
            return True
        return any(_spells(word, phrase) for phrase in self.spelled for word in variants.spelled)


class Terms:
    """A list of terms, ready to search."""

    def __init__(self, path: Path) -> None:
        try:
            self._data: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
            self.version = f"terms-{self._data['version']}"
            self._within = int(self._data["within"])
            self._traditional = {ord(old): new for old, new in self._data["traditional"].items()}
            self._categories = tuple(_category(*item) for item in self._data["categories"].items())
            decoys = self._data["decoys"]
            self._decoys = re.compile(f"{_words(decoys['en']).pattern}|{_parts(decoys['zh']).pattern}")
        except (KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise BadInput(
                f"{path} is no list of terms ({error!r}); accepted: the form of terms.yaml"
            ) from None

    def reasons(self, text: str) -> tuple[str, ...]:
        """The categories that speak against a text; none = it may be used."""
        variants = normalise(text, self._traditional)
        cleared = Variants(
            self._decoys.sub(" ", variants.plain), self._decoys.sub(" ", variants.unleeted), variants.spelled
        )
        found = [category.name for category in self._categories if category.found(cleared, self._within)]
        if "private_data" not in found and _identifies(variants.plain):
            found.append("private_data")
        return tuple(found)


def _category(name: str, data: dict[str, Any]) -> Category:
    phrases, near = data["phrases"], data.get("near", {})
    groups = [tuple(_words(words) for words in near["en"])] if "en" in near else []
    groups += [tuple(_parts(words) for words in near["zh"])] if "zh" in near else []
    spelled = tuple(joined for phrase in phrases["en"] if len(joined := phrase.replace(" ", "")) >= 4)
    return Category(name, (_words(phrases["en"]), _parts(phrases["zh"])), spelled, tuple(groups))


def _spells(word: str, phrase: str) -> bool:
    """Spelled-out letters have no word boundaries; a short phrase in their midst is more likely chance."""
    return word == phrase or (len(phrase) >= 6 and phrase in word)


def _words(words: list[str]) -> re.Pattern[str]:
    body = "|".join(
        re.escape(word).replace(r"\ ", r"[\s_-]*") for word in sorted(words, key=len, reverse=True)
    )
    return re.compile(rf"(?<![a-z])(?:{body})(?:'s|es|s|ed|ing)?(?![a-z])")


def _parts(words: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))


def _together(group: tuple[re.Pattern[str], ...], text: str, within: int) -> bool:
    places = [[found.span() for found in pattern.finditer(text)] for pattern in group]
    if not all(places):
        return False
    first, *others = places
    return any(all(any(_gap(a, b) <= within for b in other) for other in others) for a in first)


def _gap(a: tuple[int, int], b: tuple[int, int]) -> int:
    return max(b[0] - a[1], a[0] - b[1])


def _identifies(text: str) -> bool:
    """Whether a text holds a number that identifies a person: a Chinese identity card, a payment card."""
    if any(_is_id_card(found[0]) for found in _ID_CARD.finditer(text)):
        return True
    return any(_is_payment_card(re.sub(r"\D", "", found[0])) for found in _CARD.finditer(text))


def _is_id_card(number: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(number[:17], _ID_WEIGHTS, strict=True))
    return "10x98765432"[total % 11] == number[17].lower() and number[6:8] in ("19", "20")


def _is_payment_card(number: str) -> bool:
    doubled = (int(digit) * (2 if i % 2 == 0 else 1) for i, digit in enumerate(number))
    return number[0] in "3456" and sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0
