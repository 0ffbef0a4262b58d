"""Datasets: immutable Parquet shards and one JSON manifest, on any fsspec storage.

A shard is written under a temporary name, renamed, then entered into the manifest. What the manifest
does not list is not part of the dataset; a crash in between is mended by writing the shard again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import fsspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actors.errors import AtelierError, BadInput, StageFailed

MANIFEST = "manifest.json"
FORMAT = 1
Column = Literal["bool", "int64", "double", "string", "json"]
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
_BATCH_ROWS = 1024


class DatasetCorrupt(AtelierError):
    """A dataset is not what its manifest says. Example: a shard that was copied in part."""


class Shard(BaseModel):
    """One Parquet file of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: str
    """Relative to the dataset's root."""
    sha256: str
    bytes: int
    rows: int


class Manifest(BaseModel):
    """What a dataset is made of, and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    columns: dict[str, Column] = Field(default_factory=dict)
    """Column -> type, the same in all shards. `json` is text that holds JSON: nested values come back as
    they were, which Arrow's structs would pad with nulls."""
    shards: tuple[Shard, ...] = ()
    events: dict[str, int] = Field(default_factory=dict)
    """Ledger -> the offset up to which its events went in."""
    seeds: dict[str, int] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all shards."""
        return sum(shard.rows for shard in self.shards)


class Dataset:
    """A dataset to read.

    Raises:
        BadInput: there is no dataset at the URI.
        DatasetCorrupt: its manifest is damaged, or of a format this version does not know.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._fs, root = fsspec.core.url_to_fs(uri)
        self._root = root.rstrip("/")
        manifest = _read_manifest(self._fs, self._root, uri)
        if manifest is None:
            raise BadInput(f"there is no dataset at {uri}; accepted: a folder with a {MANIFEST}")
        self.manifest: Manifest = manifest

    def __len__(self) -> int:
        return self.manifest.rows

    @property
    def digest(self) -> str:
        """sha256 of the manifest's bytes: equal for equal datasets."""
        return hashlib.sha256(self._fs.cat_file(f"{self._root}/{MANIFEST}")).hexdigest()

    def rows(
        self, shards: Sequence[str] | None = None, columns: Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The rows of the named shards, or of all, in order; one shard is in memory at a time.

        With `columns` only these are read.

        Raises:
            DatasetCorrupt: a shard is missing or has not the hash that the manifest says.
        """
        import pyarrow.parquet as pq

        wanted = self.manifest.columns if columns is None else columns
        nested = [name for name in wanted if self.manifest.columns[name] == "json"]
        for shard in self.manifest.shards:
            if shards is None or shard.name in shards:
                file = pq.ParquetFile(io.BytesIO(self._verified(shard)))
                for batch in file.iter_batches(_BATCH_ROWS, columns=None if columns is None else [*columns]):
                    for row in batch.to_pylist():
                        yield {**row, **{name: json.loads(row[name]) for name in nested if row[name]}}

    def verify(self) -> None:
        """Read every shard and compare its hash.

        Raises:
            DatasetCorrupt: see `rows`.
        """
        for shard in self.manifest.shards:
            self._verified(shard)

    def _verified(self, shard: Shard) -> bytes:
        try:
            data: bytes = self._fs.cat_file(f"{self._root}/{shard.path}")
        except FileNotFoundError:
            raise DatasetCorrupt(f"{self.uri}: shard {shard.path} is missing; write it again") from None
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            raise DatasetCorrupt(f"{self.uri}: shard {shard.path} is damaged; write it again")
        return data


class DatasetWriter:
    """Writes a dataset, or goes on with one that an earlier process left. One writer at a time.

    Raises:
        BadInput: the dataset there was made with other seeds or versions.
        DatasetCorrupt: its manifest is damaged.
    """

    def __init__(
        self,
        uri: str,
        *,
        seeds: Mapping[str, int] | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.uri = uri
        self._fs, root = fsspec.core.url_to_fs(uri)
        self._root = root.rstrip("/")
        wanted = Manifest(seeds=dict(seeds or {}), versions=dict(versions or {}))
        found = _read_manifest(self._fs, self._root, uri)
        if found is not None and (found.seeds, found.versions) != (wanted.seeds, wanted.versions):
            raise BadInput(
                f"the dataset at {uri} was made with seeds {found.seeds} and versions {found.versions}, not "
                f"{wanted.seeds} and {wanted.versions}; accepted: the same ones, or another place"
            )
        self.manifest: Manifest = found or wanted
        self._sweep()

    def __contains__(self, name: str) -> bool:
        return any(shard.name == name for shard in self.manifest.shards)

    def write_shard(
        self,
        name: str,
        records: Iterable[BaseModel | Mapping[str, Any]],
        events: Mapping[str, int] | None = None,
    ) -> Shard:
        """Write a shard and enter it into the manifest; when this returns it is part of the dataset.

        Args:
            name: the shard's name. A shard that is there already is returned as it is: the same name is
                the same content, which is what makes a resumed job skip its finished shards.
            records: contracts or dicts of JSON values, at least one. The first shard fixes the columns and
                their types; what a record lacks is null.
            events: ledger -> offset up to which its events are now in the dataset.

        Raises:
            BadInput: the name is not acceptable, there are no records, or they do not fit the columns of the
                shards before.
            StageFailed: the storage refused the write, e.g. a full disk. The dataset is as before.
        """
        if not _NAME.match(name):
            raise BadInput(f"shard name {name!r}; accepted: letters, digits, '.', '_', '-', at most 100")
        for shard in self.manifest.shards:
            if shard.name == name:
                return shard
        rows = _plain(records)
        columns = self.manifest.columns or _columns(rows)
        if unknown := sorted({column for row in rows for column in row} - columns.keys()):
            raise BadInput(
                f"shard {name!r} of {self.uri} has the columns {unknown}; "
                f"accepted: those of its first shard, {sorted(columns)}"
            )
        if not columns:
            raise BadInput(f"shard {name!r} of {self.uri} holds nothing; accepted: at least one record")
        data = _parquet(rows, columns)
        shard = Shard(
            name=name,
            path=f"{name}.parquet",
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            rows=len(rows),
        )
        manifest = self.manifest.model_copy(
            update={
                "columns": columns,
                "shards": (*self.manifest.shards, shard),
                "events": {**self.manifest.events, **(events or {})},
            }
        )
        self._put(shard.path, data)
        self._put_manifest(manifest)
        return shard

    def drop(self, names: Collection[str]) -> None:
        """Take shards out of the manifest, for a job that will write them again.

        Raises:
            StageFailed: the storage refused the write. The dataset is as before.
        """
        kept = tuple(shard for shard in self.manifest.shards if shard.name not in names)
        if len(kept) < len(self.manifest.shards):
            columns = self.manifest.columns if kept else {}
            manifest = self.manifest.model_copy(update={"shards": kept, "columns": columns})
            self._put_manifest(manifest)

    def _put_manifest(self, manifest: Manifest) -> None:
        self._put(MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n")
        self.manifest = manifest

    def _put(self, name: str, data: bytes) -> None:
        temporary = f"{self._root}/.{name}.{uuid.uuid4().hex}.tmp"
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(temporary, data)
            self._fs.mv(temporary, f"{self._root}/{name}")
        except OSError as error:
            with contextlib.suppress(OSError):
                self._fs.rm_file(temporary)
            raise StageFailed(
                f"cannot write {name} ({len(data)} bytes) to {self.uri}: {error.strerror or error}; "
                "free space or choose another place"
            ) from None

    def _sweep(self) -> None:
        """Remove what a writer that died left under temporary names."""
        if self._fs.exists(self._root):
            for path in self._fs.ls(self._root, detail=False):
                if path.endswith(".tmp"):
                    self._fs.rm_file(path)


def _read_manifest(fs: Any, root: str, uri: str) -> Manifest | None:
    try:
        manifest = Manifest.model_validate_json(fs.cat_file(f"{root}/{MANIFEST}"))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise DatasetCorrupt(f"{uri}/{MANIFEST} cannot be read: {where}: {problem['msg']}") from None
    if manifest.format != FORMAT:
        raise DatasetCorrupt(f"{uri} has format {manifest.format}; accepted: {FORMAT}")
    return manifest


def _plain(records: Iterable[BaseModel | Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [r.model_dump(mode="json") if isinstance(r, BaseModel) else dict(r) for r in records]


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """The columns that hold the rows; whatever is no plain value of one type goes in as JSON."""
    kinds: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).update({type(value)} - {type(None)})
    return {name: _column(found) for name, found in kinds.items()}


def _column(found: set[type]) -> Column:
    plain: dict[type, Column] = {bool: "bool", int: "int64", float: "double", str: "string"}
    return plain.get(next(iter(found)), "json") if len(found) == 1 else "json"


def _parquet(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column]) -> bytes:
    """One Parquet file.

    Raises:
        BadInput: a value does not fit its column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name, column in columns.items():
        values = [row.get(name) for row in rows]
        if column == "json":
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        try:
            arrays[name] = pa.array(values, pa.string() if column == "json" else pa.type_for_alias(column))
        except (pa.ArrowException, OverflowError) as error:
            raise BadInput(
                f"column {name!r} of type {column} cannot hold what it was given: {error}"
            ) from None
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays), sink, compression="zstd")
    return sink.getvalue()


def to_json_lines(dataset: Dataset) -> Iterator[str]:
    """The rows as JSON Lines, for readers without Parquet."""
    for row in dataset.rows():
        yield json.dumps(row, ensure_ascii=False) + "\n"
