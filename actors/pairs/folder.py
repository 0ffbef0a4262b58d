"""A folder on any fsspec storage, read and written by relative names that may come from strangers."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from actors.errors import BadInput, StageFailed
from actors.pixels import MAX_BYTES

_NO_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


class FileMissing(BadInput):
    """A name leads to no file. Example: a label file that names a picture nobody downloaded."""


class UnsafePath(BadInput):
    """A name leads out of its folder. Example: `../../etc/passwd` in a label file."""


def safe_name(name: str) -> str:
    """The name, if it stays inside whatever folder it is looked up in.

    Raises:
        UnsafePath: it is empty, absolute, has `..`, a backslash, a drive, a scheme or a control character.
    """
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\\" in name or min(name) < " ":
        raise UnsafePath(f"the path {name[:200]!r} is refused; accepted: a relative path without '..'")
    return name


class Folder:
    """A folder at a URI: a local path, `memory://...`, `s3://...`."""

    def __init__(self, uri: str) -> None:
        self.uri = uri if uri.endswith("://") else uri.rstrip("/") or "/"
        self._fs, root = fsspec.core.url_to_fs(self.uri)
        self._root = root.rstrip("/")

    @property
    def is_folder(self) -> bool:
        """Whether something is there, and it is a folder."""
        return bool(self._fs.isdir(self._root))

    def parent(self) -> tuple[Folder, str]:
        """The folder above, and this one's name in it."""
        above, slash, name = self.uri.rpartition("/")
        if above.endswith(":/"):
            return Folder(f"{above}/"), name
        return Folder(above or slash or "."), name

    def names(self, suffix: str = "") -> list[str]:
        """Names of the files directly inside that end in `suffix`, sorted; hidden ones are left out."""
        if not self._fs.exists(self._root):
            return []
        entries = self._fs.ls(self._root, detail=True)
        names = (e["name"].rstrip("/").rsplit("/", 1)[-1] for e in entries if e["type"] != "directory")
        return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))

    def has(self, name: str) -> bool:
        """Whether there is something of this name."""
        return bool(self._fs.exists(self._path(name)))

    def refuse_used(self, what: str) -> None:
        """Make sure that nothing is overwritten.

        Raises:
            BadInput: the folder holds something, or is a file.
        """
        if self._fs.exists(self._root) and not (self.is_folder and not self._fs.ls(self._root, detail=False)):
            raise BadInput(
                f"{self.uri} is in use already; {what} goes to a new or an empty folder: "
                "choose another place, or delete what is there"
            )

    def read(self, name: str, limit: int = MAX_BYTES) -> bytes:
        """The bytes of a file.

        Raises:
            UnsafePath: the name, or the link that it is, leads out of the folder.
            FileMissing: there is no such file.
            BadInput: the file has more than `limit` bytes.
            StageFailed: the storage refused it.
        """
        with self.opened(name) as file:
            data: bytes = file.read(limit + 1)
        if len(data) > limit:
            raise BadInput(f"{name} has more than {limit} bytes; accepted: at most that")
        return data

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A file to read from; raises as `read` does."""
        path = self._path(name)
        self._refuse_link(path)
        try:
            with self._fs.open(path, "rb") as file:
                yield file
        except OSError as error:
            if error.errno in _NO_FILE or isinstance(error, FileNotFoundError):
                raise FileMissing(f"there is no file {name[:200]!r} in {self.uri}") from None
            raise StageFailed(
                f"cannot read {name[:200]} in {self.uri}: {error.strerror or error}; mend it and try again"
            ) from None

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole or not at all; nothing is done where one of this size is there already.

        Raises:
            StageFailed: the storage refused it, e.g. a full disk.
        """
        with contextlib.suppress(FileNotFoundError):
            if self._fs.info(self._path(name))["size"] == len(data):
                return
        with self.writing(name) as file:
            file.write(data)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to: it gets its name when the block ends well, and is gone when it does not.

        Raises:
            StageFailed: the storage refused it.
        """
        path = self._path(name)
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        try:
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            with self._fs.open(temporary, "wb") as file:
                yield file
            self._fs.mv(temporary, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                self._fs.rm_file(temporary)
            if isinstance(error, OSError):
                raise self._refused(name, error) from None
            raise

    def move_to(self, target: Folder) -> None:
        """Give the whole folder another name on the same storage; an empty folder there gives way.

        Raises:
            StageFailed: the storage refused it.
        """
        try:
            if target.is_folder:
                self._fs.rmdir(target._root)
            self._fs.mv(self._root, target._root, recursive=True)
        except OSError as error:
            raise self._refused(target.uri, error) from None

    def renew(self) -> None:
        """Make the folder, empty, whatever there was.

        Raises:
            StageFailed: the storage refused it.
        """
        try:
            self.remove()
            self._fs.makedirs(self._root, exist_ok=True)
        except OSError as error:
            raise self._refused("anything", error) from None

    def remove(self) -> None:
        """Delete the folder and all in it, if it is there."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._fs.rm(self._root, recursive=True)

    def _refused(self, name: str, error: OSError) -> StageFailed:
        reason = error.strerror or error
        return StageFailed(f"cannot write {name} to {self.uri}: {reason}; free space or choose another place")

    def _path(self, name: str) -> str:
        return f"{self._root}/{safe_name(name)}"

    def _refuse_link(self, path: str) -> None:
        """A link in what strangers gave may point anywhere."""
        local = isinstance(self._fs, LocalFileSystem)
        if local and not os.path.realpath(path).startswith(f"{self._real_root}{os.sep}"):
            raise UnsafePath(f"the path {path!r} is a link that leads out of {self.uri}; it is refused")

    @functools.cached_property
    def _real_root(self) -> str:
        return str(os.path.realpath(self._root)).rstrip(os.sep)
