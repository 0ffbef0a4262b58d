"""Which pairs are trained on, chosen by and tested on: by combinations of subject and style. Pure.

Splitting by prompt would leave the same moon in the same watercolour on both sides, in other words. What is
held out here is the combination itself, whoever worded it and in whichever language.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, get_args

from actors.contracts import PairRecord, PairSide, Query, derive_seed
from actors.errors import BadInput
from actors.vocabulary import read, read_query

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
OPEN = "open"
"""The style of a prompt that names none."""
_SEEDS = 2**31
_WORD = re.compile(r"\w+")


class Atom(NamedTuple):
    """A combination that is held out or not, as a whole."""

    subject: str
    """A key of the vocabulary; `text:` and the query's words where no subject is known."""
    style: str


@dataclass(frozen=True)
class Split:
    """Every pair is in one part. Indices are into the records, ascending."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    wholly_unseen: tuple[bool, ...]
    """For each test pair: none of its atoms is in any pair of training or validation."""
    held_out: str | None
    """The generator all of whose pairs are test; None where the records name fewer than two, or they mix."""
    atoms: dict[Part, int]
    """How many of the atoms that occur were drawn for each part."""

    @property
    def pairs(self) -> dict[Part, int]:
        """How many pairs each part has."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}


def split(
    records: Sequence[PairRecord],
    *,
    test: float,
    validation: float,
    seed: int,
    mix_generators: bool = False,
) -> Split:
    """Divide pairs so that no atom drawn for test is in training or validation, and none of validation in
    training.

    A pair with any test atom is test, else with any validation atom validation. Pairs name several atoms, so
    the parts' shares of the pairs come out larger than their shares of the atoms. Of several generators
    (`versions["generator"]`) the one with the fewest pairs, of equals the last by name, is test throughout;
    its pairs may show atoms that are trained on, see `wholly_unseen`.

    Args:
        records: pairs in any order; a pair's part does not depend on it.
        test: share of the atoms for test, above 0.
        validation: share of the atoms for validation, above 0; both together below 1.
        seed: another one draws other atoms.
        mix_generators: hold no generator out.

    Raises:
        BadInput: a share is not acceptable, or a part is left without pairs.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise BadInput(f"shares test={test}, validation={validation}; accepted: above 0, together below 1")
    atoms = [atoms_of(record) for record in records]
    drawn = {atom: part_of(atom, test, validation, seed) for atom in set().union(*atoms)}
    held_out = None if mix_generators else rarest_generator(records)
    members: dict[Part, list[int]] = {part: [] for part in PARTS}
    for index, (record, own) in enumerate(zip(records, atoms, strict=True)):
        apart = held_out is not None and record.versions.get("generator") == held_out
        members["test" if apart else _strictest({drawn[atom] for atom in own})].append(index)
    seen = set().union(*(atoms[index] for part in ("train", "validation") for index in members[part]))
    found = Split(
        train=tuple(members["train"]),
        validation=tuple(members["validation"]),
        test=tuple(members["test"]),
        wholly_unseen=tuple(not atoms[index] & seen for index in members["test"]),
        held_out=held_out,
        atoms={part: sum(drawn[atom] == part for atom in drawn) for part in PARTS},
    )
    _refuse_empty(found, test, validation)
    return found


def atoms_of(record: PairRecord) -> frozenset[Atom]:
    """The combinations that a pair shows, of both its sides."""
    return side_atoms(record.query, record.a) | side_atoms(record.query, record.b)


def side_atoms(query: Query, side: PairSide) -> frozenset[Atom]:
    """Every subject of the query and of the side's prompt, in every style of the prompt.

    Where neither names a known subject: one atom of the query's words, case and punctuation apart.
    """
    written = read(side.prompt.text)
    subjects = {*read_query(query).keys("subject"), *written.keys("subject")}
    if not subjects:
        words = _WORD.findall(unicodedata.normalize("NFKC", query.text).casefold())
        return frozenset({Atom(f"text:{' '.join(words)}", OPEN)})
    styles = written.keys("style") or (OPEN,)
    return frozenset(Atom(subject, style) for subject, style in product(subjects, styles))


def part_of(atom: Atom, test: float, validation: float, seed: int) -> Part:
    """The part that an atom is drawn for: by hash, so whatever else there is."""
    place = derive_seed(seed, "split", *atom) / _SEEDS
    return "test" if place < test else "validation" if place < test + validation else "train"


def rarest_generator(records: Sequence[PairRecord]) -> str | None:
    """The generator with the fewest pairs, of equals the last by name; None of fewer than two."""
    pairs = Counter(record.versions["generator"] for record in records if "generator" in record.versions)
    return max(pairs, key=lambda name: (-pairs[name], name)) if len(pairs) > 1 else None


def _strictest(parts: set[Part]) -> Part:
    return max(parts, key=PARTS.index)


def _refuse_empty(found: Split, test: float, validation: float) -> None:
    empty = [part for part in PARTS if not found.pairs[part]]
    if not empty:
        return
    apart = f" Generator {found.held_out!r} is test throughout (`mix_generators`)." if found.held_out else ""
    raise BadInput(
        f"the split leaves {' and '.join(empty)} without pairs: {sum(found.pairs.values())} pairs ("
        + ", ".join(f"{part} {n}" for part, n in found.pairs.items())
        + f") of {sum(found.atoms.values())} combinations of subject and style ("
        + ", ".join(f"{part} {n}" for part, n in found.atoms.items())
        + f") at shares test={test}, validation={validation}.{apart} Accepted: pairs in every part; give "
        "pairs of more combinations, other shares, or another seed"
    )
