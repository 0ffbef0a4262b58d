"""The one typeface for Chinese and English: Noto Sans SC, variable weight.

The font comes with the package `justmytype-intl-cjk` and is licensed under the SIL Open Font License 1.1,
which allows use, bundling and embedding; it may not be sold by itself.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from PIL import ImageFont

MIN_WEIGHT, MAX_WEIGHT = 100, 900


@cache
def font_path() -> Path:
    """Where the font file lies."""
    folder = files("justmytype_intl_cjk").joinpath("fonts/ofl/notosanssc")
    return Path(str(folder.joinpath("NotoSansSC[wght].ttf")))


@lru_cache(maxsize=64)
def font(size: int, weight: int = 400) -> ImageFont.FreeTypeFont:
    """The font at a size in px and a weight of 100 (thin) to 900 (black). Kept per process."""
    face = ImageFont.truetype(str(font_path()), max(4, size), layout_engine=ImageFont.Layout.BASIC)
    face.set_variation_by_axes([min(MAX_WEIGHT, max(MIN_WEIGHT, weight))])
    return face
