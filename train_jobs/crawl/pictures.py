"""Bytes from the web -> a checked picture in the dataset's folder."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

from actors.errors import BadInput, StageFailed
from actors.pixels import decode, perceptual_hash
from train_jobs.crawl.errors import Refused

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"RIFF", "image/webp", "webp"),
)


def keep(data: bytes, out: Path, min_side: int) -> dict[str, Any]:
    """Decode a picture, store its bytes as `pictures/<sha[:2]>/<sha>.<ext>`, and say what it is.

    What was declared does not count: the type is the one that the bytes have.

    Raises:
        Refused: it is no whole PNG, JPEG or WebP file, too large when decoded, or too small.
        StageFailed: the folder cannot be written.
    """
    media_type, suffix = next(
        ((kind, ext) for magic, kind, ext in _MAGIC if data.startswith(magic)), ("", "")
    )
    if not media_type:
        raise Refused(f"the file is no PNG, JPEG or WebP; it begins {data[:12]!r}")
    try:
        pixels = decode(data)
    except BadInput as error:
        raise Refused(str(error)) from None
    height, width = pixels.shape[:2]
    if min(height, width) < min_side:
        raise Refused(f"the picture is {width} x {height} px; accepted: min_side {min_side}")
    digest = hashlib.sha256(data).hexdigest()
    path = f"pictures/{digest[:2]}/{digest}.{suffix}"
    _store(out / path, data)
    return {
        "sha256": digest,
        "path": path,
        "width": width,
        "height": height,
        "media_type": media_type,
        "phash": perceptual_hash(pixels),
    }


def _store(path: Path, data: bytes) -> None:
    """Write whole or not at all, and on the disk before anybody is told."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StageFailed(
            f"cannot store {len(data)} bytes at {path}: {error.strerror}; free space or mend the folder, "
            "then run the same command again"
        ) from None
