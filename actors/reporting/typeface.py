"""The Chinese glyphs that a page uses, inside the page, for machines where no Chinese font is installed."""

from __future__ import annotations

import base64
import functools
import io

from fontTools import subset
from fontTools.ttLib import TTFont

from actors.fonts import MAX_WEIGHT, MIN_WEIGHT, font_path

FAMILY = "Atelier CJK"
_FIRST_CJK = 0x2E80


def face(text: str) -> str:
    """A CSS `@font-face` with the CJK glyphs of a text, about 0.3 KB each; empty where it has none."""
    glyphs = "".join(sorted(char for char in set(text) if ord(char) >= _FIRST_CJK))
    return _face(glyphs) if glyphs else ""


@functools.lru_cache(maxsize=4)
def _face(glyphs: str) -> str:
    options = subset.Options(
        layout_features=[], notdef_outline=False, name_IDs=[], hinting=False, glyph_names=False
    )
    with TTFont(font_path(), lazy=True) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(text=glyphs)
        subsetter.subset(font)
        font.flavor = "woff"
        buffer = io.BytesIO()
        font.save(buffer)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'@font-face {{ font-family: "{FAMILY}"; font-weight: {MIN_WEIGHT} {MAX_WEIGHT}; '
        f"unicode-range: U+{_FIRST_CJK:X}-1FFFF; src: url(data:font/woff;base64,{data}) format('woff'); }}"
    )
