"""Contact sheets: many pictures on one, each with its label."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from actors.fonts import font
from actors.pixels import Pixels

_GROUND = (243, 241, 237)
_SHADOW = (219, 216, 210)
_INK = (58, 56, 53)
_CELL, _GAP, _LABEL = 240, 22, 34


def contact_sheet(pictures: Sequence[Pixels], labels: Sequence[str], columns: int) -> Pixels:
    """Lay pictures out in rows on a light ground.

    Args:
        pictures: RGB, any sizes; each is fitted into a cell of 240 px.
        labels: one a picture, Chinese or English; cut to the cell's width.
        columns: pictures a row, at least 1.

    Raises:
        ValueError: the sequences differ in length, are empty, or columns < 1.
    """
    if len(pictures) != len(labels) or not pictures or columns < 1:
        raise ValueError(
            f"{len(pictures)} pictures, {len(labels)} labels, {columns} columns; "
            "accepted: one label a picture, at least one picture and one column"
        )
    columns = min(columns, len(pictures))
    rows = [list(range(i, min(i + columns, len(pictures)))) for i in range(0, len(pictures), columns)]
    small = [_fitted(picture) for picture in pictures]
    heights = [max(small[i].shape[0] for i in row) for row in rows]
    width = columns * (_CELL + _GAP) + _GAP
    sheet = np.full((sum(heights) + len(rows) * (_LABEL + _GAP) + _GAP, width, 3), _GROUND, np.uint8)
    places: list[tuple[int, int, str]] = []
    y = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            h, w = small[i].shape[:2]
            left, top = _GAP + column * (_CELL + _GAP) + (_CELL - w) // 2, y + height - h
            sheet[top + 4 : top + h + 4, left + 3 : left + w + 3] = _SHADOW
            sheet[top : top + h, left : left + w] = small[i]
            places.append((_GAP + column * (_CELL + _GAP) + _CELL // 2, y + height + 20, labels[i]))
        y += height + _LABEL + _GAP
    return _lettered(sheet, places)


def _fitted(picture: Pixels) -> Pixels:
    h, w = picture.shape[:2]
    k = _CELL / max(h, w)
    size = (max(1, round(w * k)), max(1, round(h * k)))
    out: Pixels = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_CUBIC)
    return out


def _lettered(sheet: Pixels, places: Sequence[tuple[int, int, str]]) -> Pixels:
    image = Image.fromarray(sheet)
    pen, face = ImageDraw.Draw(image), font(14, 420)
    for x, y, label in places:
        text = " ".join(label.split())
        while text and face.getlength(text) > _CELL:
            text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
        pen.text((x, y), text, fill=_INK, font=face, anchor="ms")
    return np.asarray(image)
