"""Concepts have one place each, and the stem starts with the recogniser's eyes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from actors.contracts import Query
from actors.generator.procedural import plan, render
from actors.judge.measured.network import CLASSES
from actors.judge.measured.recogniser import Recogniser
from actors.scorer.architecture import PRESETS
from actors.scorer.model import STEEPNESS
from actors.scorer.patches import collate, patchify
from actors.scorer.stem import Stem
from actors.vocabulary import keys
from train_jobs.towers.concepts import (
    CONCEPTS,
    FACETS,
    MEASURES,
    SEEN,
    SUBJECTS,
    asked,
    reading_loss,
    seeing_loss,
)
from train_jobs.towers.eyes import give_eyes

SQUARE = 192
"""Side in px at which a square picture enters the small preset as it is."""


def test_places_do_not_overlap_and_fit_the_small_embedding() -> None:
    spans = [SUBJECTS, *FACETS.values(), MEASURES]
    taken = [place for span in spans for place in range(span.start, span.stop)]
    assert taken == list(range(SEEN)) and SEEN < CONCEPTS <= PRESETS["small"].embed


def test_a_request_is_read_into_its_concepts() -> None:
    calm = asked(Query.of("a lake in autumn, calm, watercolour", aspect="3:4"))
    assert calm[keys("subject").index("lake")] == 1
    assert calm[FACETS["style"].start + CLASSES["style"].index("watercolour")] == 1
    assert calm[FACETS["season"].start + CLASSES["season"].index("autumn")] == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a lake", "3:4"), ("a river", "9:16")),
        (("a lake, a boat", "1:1"), ("a moon, a tree, a boat", "1:1")),
    ],
)
def test_frames_of_one_kind_share_a_place(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert frame(*first) == frame(*second)


@pytest.mark.parametrize(
    ("text", "aspect", "title"),
    [("a lake", "4:3", None), ("a lake, a boat", "3:4", None), ("a lake", "3:4", "Tide")],
)
def test_frames_differ_by_shape_crowd_and_title(text: str, aspect: str, title: str | None) -> None:
    assert frame(text, aspect, title) != frame("a lake", "3:4")


def frame(text: str, aspect: str, title: str | None = None) -> int:
    """The only place in which all queries of one kind of frame agree and others do not."""
    from train_jobs.towers import concepts

    return int(asked(Query.of(text, aspect=aspect, title=title))[concepts._FRAMES].argmax())


def test_a_mood_sets_the_tone_before_a_season_and_a_season_before_the_subject() -> None:
    from train_jobs.towers.concepts import _LEADS

    def lead(text: str) -> list[str]:
        found = asked(Query.of(text))
        return [name for name, place in _LEADS.items() if found[place]]

    assert lead("a lake in winter, calm") == ["mood:calm"]
    assert lead("a lake in winter at night") == ["season:winter"]
    assert lead("a lake") == ["kind:water"]
    assert lead("something") == ["kind:abstract"]


def test_the_stem_starts_with_what_the_recogniser_sees() -> None:
    teacher, shape = Recogniser(), PRESETS["small"].image
    assert shape.stem is not None
    stem = Stem(shape.stem, shape.width)
    give_eyes(stem, teacher)
    for seed, text in enumerate(("a lake at night, watercolour", "a boat and the moon, retro", "a cat")):
        pixels = render(plan(text, "1:1", seed), SQUARE)
        batch = collate([patchify(pixels, shape)])
        with torch.inference_mode():
            glance = STEEPNESS * stem(batch, batch.pixels.shape[1])[1][0]
        seen = teacher.logits(pixels)
        assert torch.allclose(glance[SUBJECTS], seen["subject"], atol=0.6, rtol=0.04), text
        for facet, part in FACETS.items():
            assert torch.allclose(glance[part], seen[facet], atol=0.6, rtol=0.04), (text, facet)
    assert not any(p.requires_grad for p in stem.shapes.parameters())
    assert stem.glance.weight.requires_grad and stem.grain.weight.requires_grad


def test_what_the_teacher_did_not_look_at_is_no_loss() -> None:
    seen = torch.rand(2, SEEN)
    projected = torch.zeros(2, 160, requires_grad=True)
    seen[:, MEASURES.start] = np.nan
    seeing_loss(projected, seen).backward()
    assert projected.grad is not None and bool((projected.grad[:, MEASURES.start] == 0).all())
    assert bool((projected.grad[:, : MEASURES.start] != 0).all()) and bool(
        (projected.grad[:, SEEN:] == 0).all()
    )


def test_a_text_that_says_what_it_should_costs_nothing() -> None:
    wanted = torch.from_numpy(asked(Query.of("a lake, calm")))[None]
    right = torch.where(wanted > 0.5, 5.0, -5.0)
    assert float(reading_loss(right, wanted)) < 1e-3 < float(reading_loss(-right, wanted))
