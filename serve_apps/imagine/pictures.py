"""Picture bytes in and out: given in base64 or by hash, and served by hash."""

from __future__ import annotations

import base64
import binascii
from typing import Literal

from actors.artifacts import Artifacts
from actors.contracts import Picture
from actors.errors import BadInput
from actors.pixels import decode
from serve_apps.edge.problems import Problem
from serve_apps.imagine.schemas import GivenPicture

MediaType = Literal["image/png", "image/jpeg", "image/webp"]


def media_type_of(data: bytes) -> MediaType | None:
    """What kind of picture bytes are, by their first bytes; None when they are no picture."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def take_in(given: GivenPicture, artifacts: Artifacts, field: str) -> Picture:
    """Check a given picture, store it, and refer to it.

    Raises:
        Problem: 422, naming the field, when the bytes are no acceptable picture.
        ArtifactMissing: no picture is stored under the hash.
    """
    data = artifacts.get(given.sha256) if given.sha256 else _from_base64(given.b64_json or "", field)
    try:
        height, width, _ = decode(data).shape
    except BadInput as error:
        raise Problem(422, f"{field}: {error}", field) from None
    return Picture(
        sha256=given.sha256 or artifacts.put(data),
        width=width,
        height=height,
        media_type=media_type_of(data) or "image/png",
        prompt_id="given",
        seed=0,
        generator_version="given",
    )


def _from_base64(text: str, field: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(
            422, f"{field}: the text is not base64; accepted: the file's bytes in base64", field
        ) from None
    if not data:
        raise Problem(422, f"{field}: the picture is empty; accepted: a PNG, JPEG or WebP file", field)
    return data
