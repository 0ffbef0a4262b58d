"""HTML pages as single files: templates, bilingual words, small pictures inside the page."""

from __future__ import annotations

import base64
import functools
from importlib.resources import files
from typing import Any

import cv2
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from actors.pixels import Pixels
from actors.reporting.typeface import face

Words = dict[str, list[str]]
_FONTS = "/* fonts */"


def render(template: str, **data: Any) -> str:
    """Fill a template of `actors/reporting/templates`; every text is escaped."""
    page = _environment().get_template(template).render(**data)
    return page.replace(_FONTS, face(page), 1)


def thumbnail(pixels: Pixels, side: int = 320) -> str:
    """A JPEG data URI of a picture, RGB [height, width, 3], whose longer side is at most `side` px."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype)
    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    return "data:image/jpeg;base64," + base64.b64encode(bytes(data)).decode("ascii")


def bilingual(key: str, fallback: str | None = None) -> Markup:
    """A word in both languages, of which the page shows one; an unknown key shows `fallback` or itself."""
    pair = words().get(key)
    if pair is None:
        return escape(fallback if fallback is not None else key.replace("_", " "))
    return both(*pair)


def both(english: str, chinese: str) -> Markup:
    """A text in both languages, of which the page shows one."""
    return Markup('<span class="t en" lang="en">{}</span><span class="t zh" lang="zh">{}</span>').format(
        english, chinese
    )


@functools.cache
def words() -> Words:
    """Key -> [English, Chinese]."""
    loaded: Words = yaml.safe_load(files("actors.reporting").joinpath("words.yaml").read_text("utf-8"))
    return loaded


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("actors.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("actors.reporting").joinpath("templates", "style.css").read_text("utf-8")
    environment.globals |= {"t": bilingual, "style": Markup(style)}
    environment.filters |= {"percent": _percent, "score": _score}
    return environment


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f}%"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
