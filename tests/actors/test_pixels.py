"""Picture files of every kind that people have."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from actors.errors import BadInput
from actors.pixels import decode, encode_png

TURNED_RIGHT = 6


def file_of(image: Image.Image, form: str, **how: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, form, **how)
    return sink.getvalue()


def halves(width: int = 40, height: int = 20) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_a_turned_photograph_is_seen_upright(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED_RIGHT
    pixels = decode(file_of(halves(), form, exif=exif, quality=95))
    assert pixels.shape == (40, 20, 3)
    assert pixels[5, 10, 0] > 200 and pixels[35, 10, 2] > 200


def test_a_png_is_seen_as_it_is_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = TURNED_RIGHT
    assert decode(file_of(halves(), "PNG", exif=exif)).shape == (20, 40, 3)


def test_no_compression_is_the_same_picture_in_more_bytes() -> None:
    pixels = np.tile(np.arange(96, dtype=np.uint8)[None, :, None], (64, 1, 3))
    plain, small = encode_png(pixels, 0), encode_png(pixels)
    assert len(plain) > 96 * 64 * 3 > 4 * len(small)
    assert (decode(plain) == pixels).all() and (decode(small) == pixels).all()


@pytest.mark.parametrize("level", [0, 1])
def test_a_picture_turned_or_cut_in_memory_is_written_as_it_looks(level: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    for seen in (pixels[::-1], pixels[:, ::-1], pixels[5:20, 3:9], pixels.transpose(1, 0, 2)):
        assert (decode(encode_png(seen, level)) == seen).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_not_written(array: NDArray[Any]) -> None:
    with pytest.raises(BadInput, match="accepted: uint8"):
        encode_png(array)


def test_sixteen_bits_of_grey_keep_their_tones() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16)[None].repeat(4, 0)
    pixels = decode(file_of(Image.fromarray(ramp), "PNG"))
    assert np.abs(pixels[0, :, 1].astype(int) - np.arange(256)).max() <= 1


def test_transparency_lies_on_white_and_an_animation_gives_its_first_frame() -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert decode(file_of(clear, "PNG")).min() == 255
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    moving = file_of(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode(moving)[0, 0].tolist() == [255, 0, 0] or decode(moving)[0, 0, 0] > 250


def test_cmyk_becomes_rgb() -> None:
    assert decode(file_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))[0, 0, 0] > 200


@pytest.mark.parametrize("data", [b"", b"GIF89a", file_of(halves(), "PNG")[:80], file_of(halves(), "BMP")])
def test_what_is_no_whole_picture_is_one_sentence(data: bytes) -> None:
    with pytest.raises(BadInput, match="accepted"):
        decode(data)
