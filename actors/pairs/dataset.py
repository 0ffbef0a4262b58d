"""Pair datasets: `PairRecord` rows in shards, their pictures beside them under `pictures/`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from actors.contracts import PairRecord, PairSide
from actors.datasets import Dataset, DatasetCorrupt, DatasetWriter
from actors.errors import BadInput
from actors.pairs.folder import Folder
from actors.pixels import FORMATS, MAX_BYTES, MAX_PIXELS

SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
"""Picture format -> the end of its file's name."""
SHARD_ROWS = 1000


@dataclass(frozen=True)
class Sample:
    """A pair with the files of its two pictures, PNG, JPEG or WebP."""

    record: PairRecord
    a: bytes
    b: bytes


def read_pairs(uri: str, shards: Sequence[str] | None = None) -> Iterator[PairRecord]:
    """The pairs of the named shards, or of all, in order; one shard is in memory at a time.

    Raises:
        BadInput: there is no dataset at the URI.
        DatasetCorrupt: a shard is damaged, or a row is no pair.
    """
    for row in Dataset(uri).rows(shards):
        try:
            yield record_of(row)
        except BadInput as error:
            raise DatasetCorrupt(f"{uri}: {error}") from None


def read_samples(uri: str, shards: Sequence[str] | None = None) -> Iterator[Sample]:
    """The pairs with their pictures, verified; raises as `read_pairs` does, and for a picture that is not
    what its record says."""
    folder = Folder(uri)
    for record in read_pairs(uri, shards):
        try:
            yield sample_of(record, folder)
        except BadInput as error:
            raise DatasetCorrupt(f"{uri}: {error}") from None


def write_pairs(
    uri: str, samples: Iterable[Sample], versions: Mapping[str, str], shard_rows: int = SHARD_ROWS
) -> int:
    """Write a new dataset, whole or not at all, and return its number of pairs; memory stays flat.

    It grows beside its place, at `<uri>.partial`, where the next attempt clears away what a crash left.

    Raises:
        BadInput: there is something at the URI already, there are no pairs, or a picture is not what its
            record says.
        StageFailed: the storage refused it.
    """
    target, partial = Folder(uri), Folder(f"{uri.rstrip('/')}.partial")
    target.refuse_used("a dataset")
    partial.renew()
    try:
        writer = DatasetWriter(partial.uri, versions=versions)
        flow = iter(samples)
        for number in itertools.count():
            records = [_stored(sample, partial) for sample in itertools.islice(flow, shard_rows)]
            if not records:
                break
            writer.write_shard(f"pairs-{number:05d}", records)
        if not len(writer.manifest.shards):
            raise BadInput(f"nothing was written to {uri}: there is no pair; accepted: at least one")
        partial.move_to(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.remove()
        raise
    return writer.manifest.rows


def record_of(row: Mapping[str, Any]) -> PairRecord:
    """A pair from its JSON.

    Raises:
        BadInput: a field is missing, unknown or wrong; the message names it.
    """
    try:
        return PairRecord.model_validate(row)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the whole"
        raise BadInput(f"pair {str(row.get('id'))[:80]!r}: {where}: {problem['msg']}") from None


def sample_of(record: PairRecord, pictures: Folder) -> Sample:
    """A pair with its pictures out of a folder, checked.

    Raises:
        BadInput: a picture is missing or not what the record says.
    """
    return checked(Sample(record, pictures.read(record.a.path), pictures.read(record.b.path)))


def checked(sample: Sample) -> Sample:
    """The sample, if both pictures are what its record says: hash, size in px, path.

    Raises:
        BadInput: one is not.
    """
    for name, side, data in (("a", sample.record.a, sample.a), ("b", sample.record.b, sample.b)):
        try:
            check_side(side, data)
        except BadInput as error:
            raise BadInput(f"pair {sample.record.id[:80]!r}, picture {name}: {error}") from None
    return sample


def picture_path(sha256: str, suffix: str) -> str:
    """Where a dataset keeps a picture, relative to its root."""
    return f"pictures/{sha256[:2]}/{sha256}.{suffix}"


def picture_shape(data: bytes) -> tuple[str, int, int]:
    """(suffix, width, height) of a picture file, in px, from its header alone.

    Raises:
        BadInput: it is no PNG, JPEG or WebP file, or larger than `MAX_BYTES` or `MAX_PIXELS`.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"the picture has {len(data)} bytes; accepted: at most {MAX_BYTES}")
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(io.BytesIO(data), formats=FORMATS) as image,
        ):
            suffix, (width, height) = SUFFIXES[str(image.format)], image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise BadInput(f"the file is no picture; accepted: {', '.join(FORMATS)}") from None
    if width * height > MAX_PIXELS:
        raise BadInput(f"the picture is {width} x {height} px; accepted: {MAX_PIXELS} px in all")
    return suffix, width, height


def check_side(side: PairSide, data: bytes) -> None:
    """Hold a picture file against its record.

    Raises:
        BadInput: hash, size in px or path are not what the record says.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != side.sha256:
        raise BadInput(f"the file has the sha256 {digest}, the record says {side.sha256[:64]!r}")
    suffix, width, height = picture_shape(data)
    if (width, height) != (side.width, side.height):
        raise BadInput(f"the file is {width} x {height} px, the record says {side.width} x {side.height}")
    if side.path != picture_path(digest, suffix):
        raise BadInput(f"the path {side.path[:200]!r} is refused; accepted: {picture_path(digest, suffix)}")


def _stored(sample: Sample, folder: Folder) -> PairRecord:
    record = checked(sample).record
    folder.write(record.a.path, sample.a)
    folder.write(record.b.path, sample.b)
    return record
