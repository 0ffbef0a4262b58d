"""Measures on arrays whose answer is known: tone, craft, title."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from actors.fonts import font
from actors.judge.measured.craft import craft
from actors.judge.measured.measure import TITLE_BAR
from actors.judge.measured.title import find_title
from actors.judge.measured.tone import tone
from actors.pixels import Pixels

TITLES = (
    "City Walk",
    "Annual Report",
    "新年快乐",
    "茶史",
    "A Brief History of Tea",
    "城市漫步",
    "童年",
    "琴赋高",
)


def plain(value: int | tuple[int, int, int], side: int = 256) -> Pixels:
    return np.full((side, side, 3), value, np.uint8)


def typeset(
    lines: list[str], *, size: int = 40, side: tuple[int, int] = (384, 512), weight: int = 600
) -> Pixels:
    ground = np.linspace(40, 90, side[1])[:, None, None] * np.array([0.6, 0.8, 1.4])
    image = Image.fromarray((ground * np.ones((1, side[0], 1))).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        pen.text((24, 30 + row * size * 1.3), line, fill=(245, 238, 220), font=font(size, weight))
    pen.ellipse((150, 330, 260, 440), fill=(200, 120, 40))
    return np.asarray(image)


def test_tone_of_plain_pictures() -> None:
    grey, red = tone(plain(119)), tone(plain((255, 0, 0)))
    assert grey.mean == pytest.approx(50, abs=1)
    assert grey.spread < 0.1 and grey.chroma < 0.5 and grey.hues == 0
    assert red.chroma > 90
    assert tone(plain(255)).blown == 1 and tone(plain(0)).crushed == 1


def test_texture_buys_no_contrast() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (512, 512, 1)) * 255
    halves = np.repeat(np.array([20, 230], np.uint8), 256)[None, :, None] * np.ones((512, 1, 3), np.uint8)
    assert tone(np.repeat(noise, 3, 2).astype(np.uint8)).spread < 12
    assert tone(halves).spread > 60


def test_craft_tells_soft_noisy_and_clipped() -> None:
    sharp = typeset(["City Walk"])
    soft = np.asarray(Image.fromarray(sharp).resize((16, 16)).resize((384, 512)))
    noisy = np.clip(sharp + np.random.default_rng(0).normal(0, 60, sharp.shape), 0, 255).astype(np.uint8)
    assert craft(soft).sharp < 0.6 * craft(sharp).sharp
    assert craft(noisy).noise > 5 * craft(sharp).noise
    assert craft(plain(255)).clipped == 1 and craft(sharp).clipped == 0


@pytest.mark.parametrize("title", TITLES)
def test_a_clean_title_is_found_and_another_is_not(title: str) -> None:
    words = title.split(" ")
    half = (len(words) + 1) // 2
    lines = [title] if len(words) < 3 else [" ".join(words[:half]), " ".join(words[half:])]
    for weight in (400, 800):
        pixels = typeset(lines, weight=weight)
        assert find_title(pixels, title).match > TITLE_BAR
        assert all(find_title(pixels, other).match < TITLE_BAR for other in TITLES if other != title)


@pytest.mark.parametrize("edge", [((150, 64), (150, 240)), ((0, 74), (384, 80))])
def test_a_thin_thing_that_touches_a_title_does_not_hide_it(edge: tuple[tuple[int, int], ...]) -> None:
    image = Image.fromarray(typeset(["城市漫步"]))
    ImageDraw.Draw(image).line(edge, fill=(245, 238, 220), width=3)
    assert find_title(np.asarray(image), "城市漫步").match > TITLE_BAR


def test_title_facts() -> None:
    found = find_title(typeset(["City Walk"]), "City Walk")
    faint = find_title((typeset(["City Walk"]) * 0.15 + 100).astype(np.uint8), "City Walk")
    assert found.contrast > 0.9 and found.quiet > 0.9
    assert 0.06 < found.size < 0.13
    assert faint.match < 0.5 or faint.contrast < 0.4
    assert find_title(plain(90), "City Walk").match == 0


def test_title_of_marks_alone_is_absent_without_error() -> None:
    for title in ("...", "🙂", "a" * 300, "很" * 200):
        assert 0 <= find_title(typeset(["City Walk"]), title).match < 0.6
