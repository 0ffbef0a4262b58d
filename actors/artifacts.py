"""Blobs by sha256 on any fsspec storage: written atomically, verified when read."""

from __future__ import annotations

import contextlib
import hashlib
import re
import uuid

import fsspec

from actors.errors import AtelierError, StageFailed

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


class ArtifactMissing(AtelierError):
    """No blob has this hash. Example: a picture of another run's store."""


class ArtifactCorrupt(AtelierError):
    """A blob's bytes do not have the hash it is stored under. Example: a truncated copy."""


class Artifacts:
    """A store of immutable blobs at a URI: a local folder, `memory://...`, `s3://...`.

    `suffix` ends every blob's name, for stores that people open, e.g. `.png`.
    """

    def __init__(self, uri: str, suffix: str = "") -> None:
        self._suffix = suffix
        self._fs, root = fsspec.core.url_to_fs(uri)
        self._root = root.rstrip("/")
        # A process elsewhere has another working directory, so a local path travels in full.
        self.uri = uri if "://" in uri else self._root

    def __reduce__(self) -> tuple[type[Artifacts], tuple[str, str]]:
        return type(self), (self.uri, self._suffix)

    def put(self, data: bytes) -> str:
        """Store bytes and return their sha256. Storing the same bytes again changes nothing.

        Raises:
            StageFailed: the storage refused them, e.g. a full disk. No half-written file is left.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        try:
            if self._size(path) != len(data):
                self._write(path, data)
        except OSError as error:
            raise StageFailed(
                f"cannot store {len(data)} bytes in {self.uri}: {error.strerror or error}; "
                "free space or choose another place with paths.artifacts"
            ) from None
        return digest

    def get(self, sha256: str) -> bytes:
        """The bytes stored under a hash, verified.

        Raises:
            ArtifactMissing: nothing is stored there.
            ArtifactCorrupt: what is stored there is something else.
        """
        try:
            data: bytes = self._fs.cat_file(self._path(sha256))
        except FileNotFoundError:
            raise ArtifactMissing(f"no artifact {sha256} in {self.uri}") from None
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ArtifactCorrupt(f"artifact {sha256} in {self.uri} is damaged; delete it and make it again")
        return data

    def has(self, sha256: str) -> bool:
        """Whether a blob is stored under the hash."""
        return bool(self._fs.exists(self._path(sha256)))

    def discard(self, sha256: str) -> None:
        """Forget a blob, for stores that nobody but their maker reads. One that is not there is no error."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(sha256))

    def _size(self, path: str) -> int | None:
        try:
            size: int | None = self._fs.info(path)["size"]
        except FileNotFoundError:
            return None
        return size

    def _write(self, path: str, data: bytes) -> None:
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        temporary = f"{path}.{uuid.uuid4().hex}.tmp"
        try:
            self._fs.pipe_file(temporary, data)
            self._fs.mv(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._fs.rm_file(temporary)
            raise

    def _path(self, sha256: str) -> str:
        if not _SHA256.match(sha256):
            raise ArtifactMissing(f"{sha256!r} is not a sha256; accepted: 64 hex digits")
        return f"{self._root}/{sha256[:2]}/{sha256}{self._suffix}"
