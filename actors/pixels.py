"""Pictures as bytes and as arrays, with the limits that hostile files need."""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from actors.contracts import ASPECTS, MAX_SIDE_PX
from actors.errors import BadInput

Pixels = NDArray[np.uint8]
"""[height, width, 3], RGB, 0..255."""

MAX_BYTES = 32 * 1024 * 1024
MAX_PIXELS = 4096 * 4096
FORMATS = ("PNG", "JPEG", "WEBP")
_HASH_SIDE = 32


def frame_size(aspect: str, long_side: int) -> tuple[int, int]:
    """(width, height) in px of an aspect ratio whose longer side is `long_side`, both even.

    Raises:
        BadInput: the aspect or the side is not one that Atelier draws.
    """
    if aspect not in ASPECTS:
        raise BadInput(f"aspect {aspect!r} is not known; accepted: {', '.join(ASPECTS)}")
    if not 64 <= long_side <= MAX_SIDE_PX:
        raise BadInput(f"long side {long_side} px is out of range; accepted: 64 to {MAX_SIDE_PX}")
    w, h = ASPECTS[aspect]
    scale = long_side / max(w, h)
    return max(2, round(w * scale / 2) * 2), max(2, round(h * scale / 2) * 2)


def encode_png(pixels: Pixels, compression: int = 1) -> bytes:
    """PNG bytes of an RGB array; no metadata, the same bytes for the same pixels.

    One filter for all rows: trying out filters takes a third of the time and saves nothing on covers.

    Args:
        compression: zlib's level, 0 to 9. 0 = none, nor a filter: fifteen times the bytes of a cover, written
            and read in a tenth of the time.

    Raises:
        BadInput: the array is no RGB picture of 8 bits.
    """
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,) or not pixels.size:
        raise BadInput(
            f"an array of shape {pixels.shape} and type {pixels.dtype} is no picture; accepted: uint8, "
            "(height, width, 3)"
        )
    filtering = cv2.IMWRITE_PNG_FILTER_SUB if compression else cv2.IMWRITE_PNG_FILTER_NONE
    how = [cv2.IMWRITE_PNG_COMPRESSION, compression, cv2.IMWRITE_PNG_FILTER, filtering]
    return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)[1])


def decode(data: bytes) -> Pixels:
    """RGB pixels of a PNG, JPEG or WebP file; transparency is laid on white.

    A JPEG or WebP picture is turned upright as its EXIF orientation says, an animation gives its first frame,
    and 16-bit grey is brought to 8 bits.

    Raises:
        BadInput: not such a file, damaged, or larger than `MAX_BYTES` or `MAX_PIXELS`.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"the picture has {len(data)} bytes; accepted: at most {MAX_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadInput(
                        f"the picture is {image.width} x {image.height} px; accepted: {MAX_PIXELS} px in all"
                    )
                if image.format == "PNG" and image.mode == "RGB":
                    return _decode_plain(data, image)
                return _flatten(image)
    except UnidentifiedImageError:
        raise BadInput(f"the file is no picture; accepted: {', '.join(FORMATS)}") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise BadInput(
            f"the picture cannot be read ({error}); accepted: a whole {', '.join(FORMATS)} file"
        ) from None


def _decode_plain(data: bytes, image: Image.Image) -> Pixels:
    how = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if pixels is None or pixels.shape[:2] != (image.height, image.width):
        raise OSError("damaged data")
    return np.asarray(pixels, np.uint8)


def _flatten(image: Image.Image) -> Pixels:
    image.load()
    if image.mode.startswith("I"):
        return np.repeat((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.format != "PNG":
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(white, layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def perceptual_hash(pixels: Pixels) -> str:
    """64 bits as 16 hex digits: signs of the lowest cosine waves of the lightness, against their median.

    Pictures that look alike differ in few bits (`hash_distance`). The DCT hash of Zauner (2010).
    """
    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = cv2.dct(small)[:8, :8].ravel()
    bits = waves > np.median(waves[1:])
    return np.packbits(bits).tobytes().hex()


def hash_distance(first: str, second: str) -> int:
    """In how many bits two perceptual hashes differ, 0..64."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
