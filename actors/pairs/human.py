"""Pairs out of published human labels and a local folder of the pictures that they are about."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from actors.contracts import (
    Dimension,
    PairRecord,
    PairSide,
    Prompt,
    Query,
    content_id,
    nearest_aspect,
)
from actors.errors import BadInput
from actors.pairs import labels
from actors.pairs.dataset import Sample, picture_path, picture_shape, write_pairs
from actors.pairs.folder import FileMissing, Folder, UnsafePath
from actors.pairs.forms import Progress, counted
from actors.pixels import decode, perceptual_hash


@dataclass(frozen=True)
class Source:
    """A published collection of human labels."""

    read: Callable[[dict[str, Any]], labels.Ranked]
    licence: str
    """Of the labels, as their repository states it; the pictures may have another."""


SOURCES = {
    "imagereward": Source(labels.imagereward, "Apache-2.0"),
    "hpdv2": Source(labels.hpdv2, "Apache-2.0"),
}


@dataclass
class Imported:
    """What came of an import."""

    entries: int = 0
    pairs: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    """Reason -> how many entries, pictures or pairs."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason -> the first case, in full."""

    def reject(self, reason: str, example: str) -> None:
        """Count something that could not be used."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        self.examples.setdefault(reason, example)


@dataclass(frozen=True)
class _Shown:
    """A picture of an entry, with what a pair says of it."""

    data: bytes
    side: dict[str, Any]


def import_labels(path: str, source: str, pictures: str, out: str, progress: Progress) -> Imported:
    """Make a pair dataset of a label file: each two pictures of an entry are a pair, draws have label 0.5.

    Entries, pictures and pairs that cannot be used are counted with their reason and left out.

    Args:
        path: URI of the label file, JSON.
        source: one of `SOURCES`.
        pictures: URI of the folder that the paths in the label file are relative to.
        out: URI of the dataset, new or empty.
        progress: called with `(stage, done, total)`.

    Raises:
        BadInput: the source is not known, the label file is damaged, names a path that leads out of the
            folder, or no pair can be made of it; nothing is left at `out`.
        StageFailed: the storage refused it.
    """
    if source not in SOURCES:
        raise BadInput(f"the label format {source!r} is not known; accepted: {', '.join(SOURCES)}")
    chosen, result = SOURCES[source], Imported()
    above, name = Folder(path).parent()
    folder = Folder(pictures)
    if not folder.is_folder:
        raise BadInput(
            f"there is no folder {pictures}; accepted: the one that the paths in {name} start from"
        )
    versions = {"source": source, "licence": chosen.licence}

    def samples() -> Iterator[Sample]:
        with above.opened(name) as file:
            for index, entry in enumerate(labels.elements(file, name)):
                result.entries += 1
                yield from _pairs(entry, index, chosen, folder, versions, result)

    flow = _refusing_none(samples(), result, path)
    result.pairs = write_pairs(out, counted(flow, "importing pairs", 0, progress), versions)
    return result


def _pairs(
    entry: dict[str, Any],
    index: int,
    source: Source,
    folder: Folder,
    versions: dict[str, str],
    result: Imported,
) -> Iterator[Sample]:
    try:
        ranked = source.read(entry)
    except BadInput as error:
        result.reject("entry is not of the format", f"entry {index}: {error}")
        return
    try:
        # The id is of the text alone: however its pictures are shaped, one prompt is one group in a split.
        query = Query.of(ranked.prompt, id=f"q-{content_id(ranked.prompt)}")
    except ValidationError as error:
        result.reject("prompt is not accepted", f"entry {index}: {error.errors()[0]['msg']}")
        return
    shown = [_shown(path, index, folder, result) for path in ranked.paths]
    if sized := next((picture for picture in shown if picture), None):
        query = query.model_copy(update={"aspect": nearest_aspect(sized.side["width"], sized.side["height"])})
    for (i, first), (j, second) in itertools.combinations(enumerate(shown), 2):
        case = f"entry {index}: {ranked.paths[i]} and {ranked.paths[j]}"
        if first is None or second is None:
            result.reject("pair lacks a picture", case)
        elif first.data == second.data:
            result.reject("pair is twice the same picture", case)
        else:
            yield _sample(query, (first, second), (ranked.ranks[i], ranked.ranks[j]), f"{index}", versions)


def _shown(path: str, index: int, folder: Folder, result: Imported) -> _Shown | None:
    try:
        data = folder.read(path)
        pixels = decode(data)
        suffix, width, height = picture_shape(data)
    except UnsafePath as error:
        raise BadInput(f"entry {index}: {error}; do not trust this label file") from None
    except FileMissing:
        result.reject("picture is missing", f"entry {index}: {path}")
        return None
    except BadInput as error:
        result.reject("picture cannot be used", f"entry {index}: {path}: {error}")
        return None
    digest = hashlib.sha256(data).hexdigest()
    side = {"sha256": digest, "path": picture_path(digest, suffix), "width": width, "height": height}
    return _Shown(data, {**side, "phash": perceptual_hash(pixels)})


def _sample(
    query: Query,
    shown: tuple[_Shown, _Shown],
    ranks: tuple[float, float],
    entry: str,
    versions: dict[str, str],
) -> Sample:
    prompt = Prompt.of(
        query.text, query=query, strategy_id="imported", policy_version=f"imported-{versions['source']}"
    )
    a, b = (PairSide(prompt=prompt, **picture.side) for picture in shown)
    label = 0.5 if ranks[0] == ranks[1] else float(ranks[0] < ranks[1])
    record = PairRecord(
        id=f"pair-{content_id(versions['source'], entry, a.sha256, b.sha256)}",
        kind="imported",
        query=query,
        a=a,
        b=b,
        scores={},
        labels={Dimension.TOTAL: label},
        labelled_by="human",
        raw=(json.dumps({"ranks": ranks}),),
        versions=versions,
    )
    return Sample(record, shown[0].data, shown[1].data)


def _refusing_none(samples: Iterator[Sample], result: Imported, path: str) -> Iterator[Sample]:
    """The samples; none at all is an error that says why."""
    first = next(samples, None)
    if first is None:
        reasons = "; ".join(f"{n} x {why}, e.g. {result.examples[why]}" for why, n in result.rejected.items())
        raise BadInput(f"no pair can be made of {path}: {reasons or 'it has no entries'}")
    yield first
    yield from samples
