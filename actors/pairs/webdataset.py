"""WebDataset: tar files of `KEY.a.png`, `KEY.b.png`, `KEY.json`, the same bytes for the same pairs.

The JSON is the record. Reading takes plain files out of plain tar headers, nothing else: no links, devices,
extended headers or compression, so a hostile tar can neither write anywhere nor fill the memory.
"""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

from actors.errors import BadInput
from actors.pairs.dataset import SUFFIXES, Sample, checked, record_of
from actors.pairs.folder import Folder
from actors.pairs.jsonl import MAX_LINE_BYTES, line_of, parse_object
from actors.pairs.sizes import by_size
from actors.pixels import MAX_BYTES

SUFFIX = ".tar"
SHARD_BYTES = 256 * 1024 * 1024
_BLOCK = tarfile.BLOCKSIZE
_MEMBER = re.compile(
    rf"^(?P<key>[A-Za-z0-9_-]{{1,90}})\.(?P<part>[ab]\.({'|'.join(SUFFIXES.values())})|json)$"
)


def members(sample: Sample, key: str) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of a pair's three files."""
    record = sample.record
    yield f"{key}.a.{record.a.path.rsplit('.', 1)[-1]}", sample.a
    yield f"{key}.b.{record.b.path.rsplit('.', 1)[-1]}", sample.b
    yield f"{key}.json", line_of(record.model_dump(mode="json"))


def of_members(files: dict[str, bytes], where: str) -> Sample:
    """The pair of three files, by `a`, `b` and `json`.

    Raises:
        BadInput: one is missing, or they do not fit together.
    """
    if missing := {"a", "b", "json"} - files.keys():
        raise BadInput(
            f"{where} lacks {sorted(missing)}; accepted: KEY.a.png, KEY.b.png and KEY.json together"
        )
    record = record_of(parse_object(files["json"], f"{where}, json"))
    return checked(Sample(record, files["a"], files["b"]))


def write(samples: Iterable[Sample], folder: Folder) -> None:
    """Write `pairs-000000.tar` and following, each of about `SHARD_BYTES`."""
    keys = itertools.count()
    for number, group in by_size(samples, SHARD_BYTES):
        with (
            folder.writing(f"pairs-{number:06d}.tar") as file,
            tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for sample in group:
                for name, data in members(sample, f"{next(keys):08d}"):
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode, entry.mtime = len(data), 0o644, 0
                    tar.addfile(entry, io.BytesIO(data))


def read(folder: Folder, name: str, pictures: Folder) -> Iterator[Sample]:
    """The pairs of one tar file.

    Raises:
        BadInput: it is cut off, or holds something else than pairs; the message names the member.
    """
    del pictures
    with folder.opened(name) as file:
        for key, group in itertools.groupby(_files(file, name), key=lambda member: member[0]):
            yield of_members({part: data for _, part, data in group}, f"{name}, {key}")


def _files(file: IO[bytes], name: str) -> Iterator[tuple[str, str, bytes]]:
    """(key, part, bytes) of each member."""
    while any(header := _exactly(file, _BLOCK, name)):
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise BadInput(f"{name} is no tar file that can be read ({error}); export it again") from None
        found = _MEMBER.match(entry.name)
        if found is None or entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise BadInput(
                f"{name} holds {entry.name[:100]!r}; accepted: plain files KEY.a.png, KEY.b.png, KEY.json"
            )
        part = found["part"].split(".")[0]
        limit = MAX_LINE_BYTES if part == "json" else MAX_BYTES
        if not 0 <= entry.size <= limit:
            raise BadInput(f"{name}: {entry.name} has {entry.size} bytes; accepted: at most {limit}")
        padded = -(-entry.size // _BLOCK) * _BLOCK
        yield found["key"], part, _exactly(file, padded, name)[: entry.size]


def _exactly(file: IO[bytes], size: int, name: str) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise BadInput(f"{name} is cut off; copy or export it again")
    return data
