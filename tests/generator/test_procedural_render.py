"""Pixels: the same for the same scene, at every size, for every subject, style and text."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import vocabulary
from actors.artifacts import Artifacts
from actors.contracts import ASPECTS, Failure, Picture, Prompt, Query
from actors.errors import BadInput
from actors.generator.procedural import ProceduralGenerator, plan, render
from actors.generator.procedural.compose import HEROES, LANDSCAPES
from actors.generator.procedural.layouts import arrange
from actors.generator.procedural.seating import seat
from actors.generator.procedural.typeset import breaks, fit
from actors.pixels import decode, frame_size
from actors.sheet import contact_sheet
from configs.generator import ProceduralSettings

SUBJECTS = vocabulary.keys("subject")
STYLES = vocabulary.keys("style")
TEXT = (
    'a lighthouse, cool colours, {style}, rule of thirds, in daylight, bright light, balanced details, "远山"'
)


def prompt(text: str, aspect: str = "1:1") -> Prompt:
    return Prompt.of(text, query=Query.of("q", aspect=aspect), strategy_id="s", policy_version="t")


def test_every_subject_of_the_vocabulary_is_drawn() -> None:
    assert set(HEROES) | set(LANDSCAPES) == set(SUBJECTS)
    assert not set(HEROES) & set(LANDSCAPES)


@pytest.mark.parametrize("style", STYLES)
def test_every_subject_renders_in_every_style_and_aspect(style: str) -> None:
    words = vocabulary.phrase("style", style, "en")
    for i, subject in enumerate(SUBJECTS):
        aspect = list(ASPECTS)[(i + STYLES.index(style)) % len(ASPECTS)]
        pixels = render(plan(f"{vocabulary.phrase('subject', subject, 'en')}, {words}", aspect, i), 64)
        assert pixels.shape[1::-1] == frame_size(aspect, 64)
        assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous
        assert pixels.std() > 3


def test_subjects_look_different() -> None:
    tail = ", cool colours, minimal poster, centred layout, in daylight, bright light, balanced details"
    small = []
    for subject in SUBJECTS:
        pixels = render(plan(vocabulary.phrase("subject", subject, "en") + tail, "1:1", 3), 64)
        small.append(cv2.resize(pixels, (24, 24), interpolation=cv2.INTER_AREA).astype(float))
    for i, a in enumerate(small):
        for j in range(i):
            assert np.abs(a - small[j]).mean() > 2, (SUBJECTS[i], SUBJECTS[j])


@pytest.mark.parametrize("style", STYLES)
def test_the_same_scene_gives_the_same_bytes_in_another_process(style: str) -> None:
    text = TEXT.format(style=vocabulary.phrase("style", style, "en"))
    here = render(plan(text, "3:4", 5), 128)
    assert np.array_equal(here, render(plan(text, "3:4", 5), 128))
    if style != "watercolour":
        return
    code = (
        "import sys, hashlib\n"
        "from actors.generator.procedural import plan, render\n"
        "print(hashlib.sha256(render(plan(sys.argv[1], '3:4', 5), 128).tobytes()).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, text], capture_output=True, text=True, check=True, timeout=60
    )
    assert there.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


@pytest.mark.parametrize("style", STYLES)
def test_a_larger_picture_is_the_same_picture(style: str) -> None:
    scene = plan(TEXT.format(style=vocabulary.phrase("style", style, "en")), "4:3", 11)
    small, large = render(scene, 256), render(scene, 512)
    shrunk = cv2.resize(large, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    soft = [cv2.GaussianBlur(image, (0, 0), 1.5).astype(float) for image in (small, shrunk)]
    assert np.abs(soft[0] - soft[1]).mean() < 5


def test_a_title_changes_the_picture_and_only_where_it_stands() -> None:
    scene = plan(TEXT.format(style="minimal poster"), "1:1", 2)
    scene = replace(scene, layout="negative_space")
    bare, titled = render(replace(scene, title=None), 256), render(scene, 256)
    changed = np.any(bare != titled, axis=2)
    x0, y0, x1, y1 = (round(v * 256) for v in arrange(scene).title)
    assert changed[y0:y1, x0:x1].mean() > 0.01
    changed[max(0, y0 - 4) : y1 + 14, max(0, x0 - 4) : x1 + 4] = False
    assert not changed.any()


@pytest.mark.parametrize(
    "title", ["秋", "A", "The Long Way Home", "x" * 60, "长" * 60, "word " * 12, "中 English 混排 Title"]
)
@pytest.mark.parametrize("layout", vocabulary.keys("layout"))
def test_titles_fit_their_box(title: str, layout: str) -> None:
    for aspect in ASPECTS:
        scene = replace(plan("a cat", aspect, 1), layout=layout, layout_jitter=None, title=title)
        box = arrange(scene).title
        lines, size = fit(title, box, 700)
        assert size > 0.01
        assert len(lines) * size * 1.24 <= box[3] - box[1] + 1e-6
        if len(title) <= 2:
            assert size * 0.73 > 0.06


def test_lines_are_balanced_and_keep_latin_words() -> None:
    assert breaks("The Long Way Home", 2) == ["The Long", "Way Home"]
    assert breaks("春江花月夜色", 2) == ["春江花", "月夜色"]
    assert "".join(breaks("一二三，四五六", 2)) == "一二三，四五六"
    assert not any(line.startswith("，") for line in breaks("一二三，四五六", 2))


@pytest.mark.parametrize("layout", vocabulary.keys("layout"))
def test_heroes_are_large_enough_and_apart(layout: str) -> None:
    for aspect in ASPECTS:
        scene = replace(plan("a cat", aspect, 4), layout=layout, layout_jitter=None)
        a = arrange(scene)
        for first in HEROES:
            (place,) = seat([HEROES[first]], a, False)
            assert place.size * max(HEROES[first].width, HEROES[first].height) >= 0.295
            for second in ("moon", "cat", "boat", "book"):
                if second == first:
                    continue
                pair = [HEROES[first], HEROES[second]]
                for place, hero in zip(seat(pair, a, False), pair, strict=True):
                    assert place.size * max(hero.width, hero.height) >= 0.22


def test_mono_is_grey_and_symmetric_is_mirrored() -> None:
    scene = plan("a pagoda, black and white, symmetric layout, flat illustration, bright light", "1:1", 3)
    pixels = render(scene, 128)
    assert np.ptp(pixels.astype(int), axis=2).max() == 0
    assert np.array_equal(pixels, pixels[:, ::-1])


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=120), st.sampled_from(list(ASPECTS)), st.integers(0, 2**31 - 1))
def test_any_text_is_drawn(text: str, aspect: str, seed: int) -> None:
    render(plan(text, aspect, seed), 64)
    render(replace(plan("a cat", aspect, seed), title=text.strip() or "x"), 64)


def test_the_worker_stores_what_it_draws(tmp_path) -> None:  # type: ignore[no-untyped-def]
    artifacts = Artifacts(str(tmp_path))
    worker = ProceduralGenerator(ProceduralSettings(long_side=96), artifacts)
    made = worker.draw([prompt("a cat", "16:9"), prompt("giraffe")], [1, 2])
    assert all(isinstance(picture, Picture) for picture in made)
    first, second = made
    assert isinstance(first, Picture) and isinstance(second, Picture)
    assert decode(artifacts.get(first.sha256)).shape == (first.height, first.width, 3)
    assert (first.width, first.height) == (96, 54)
    assert second.notes and "no known subject" in second.notes[0]
    assert worker.draw([prompt("a cat", "16:9")], [1])[0] == first


def test_a_failed_write_is_a_record_not_a_crash(tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Full(Artifacts):
        def put(self, data: bytes) -> str:
            raise OSError(28, "No space left on device")

    (failure,) = ProceduralGenerator(ProceduralSettings(long_side=64), Full(str(tmp_path))).draw(
        [prompt("a cat")], [1]
    )
    assert isinstance(failure, Failure)
    assert failure.stage == "generator" and "No space" in failure.message and failure.item_id


@pytest.mark.parametrize("aspect, side", [("2:1", 256), ("1:1", 32), ("1:1", 4096)])
def test_bad_frames_are_refused(aspect: str, side: int) -> None:
    with pytest.raises(BadInput, match="accepted"):
        render(replace(plan("a cat", "1:1", 1), aspect=aspect), side)


def test_a_contact_sheet_holds_all_pictures() -> None:
    pictures = [np.full((40, 60, 3), 10 * i, np.uint8) for i in range(5)]
    sheet = contact_sheet(pictures, ["a", "猫", "x" * 200, "", "e"], 3)
    assert sheet.dtype == np.uint8 and sheet.shape[1] > 3 * 200
    assert all((sheet == 10 * i).all(axis=2).any() for i in range(5))
    with pytest.raises(ValueError, match="one label"):
        contact_sheet(pictures, ["a"], 3)
