"""The house brief: complete, consistent, and different from query to query."""

from __future__ import annotations

from itertools import product

import pytest

from actors.contracts import ASPECTS, Query
from actors.errors import BadInput
from actors.judge.measured.brief import Brief
from actors.judge.measured.network import CLASSES
from actors.vocabulary import keys, phrase, read_query

BRIEF = Brief.load()
COUNTS = (("",), ("lake",), ("lake", "moon"))


def wanted(text: str, aspect: str = "3:4", title: str | None = None):
    query = Query.of(text, aspect=aspect, title=title)
    return BRIEF.wanted(read_query(query), aspect)


def test_every_legal_query_has_an_accepted_combination() -> None:
    open_or = {facet: (None, *keys(facet)) for facet in ("mood", "style", "palette", "time", "season")}
    for chosen in product(*open_or.values()):
        words = [phrase(facet, key, "en") for facet, key in zip(open_or, chosen, strict=True) if key]
        found = wanted(", ".join(["a lake", *words]))
        for facet, accepted in (
            ("palette", found.palettes),
            ("light", found.lights),
            ("style", found.styles),
        ):
            assert accepted and accepted <= set(keys(facet))
        named = dict(zip(open_or, chosen, strict=True))
        assert found.times == (frozenset({named["time"]}) if named["time"] else None)
        assert found.seasons == (frozenset({named["season"]}) if named["season"] else None)
        if named["style"]:
            assert found.styles == {named["style"]}
        if named["palette"]:
            assert found.palettes == {named["palette"]}


def test_every_frame_title_and_count_has_layouts() -> None:
    for aspect, title, subjects in product(ASPECTS, (None, "City Walk"), COUNTS):
        accepted = wanted(" and ".join(subjects) or "cover", aspect, title).layouts
        assert 1 <= len(accepted) <= 2
        assert accepted <= set(keys("layout"))


def test_no_layout_and_no_palette_serves_half_of_the_cases() -> None:
    layouts = [
        wanted(" and ".join(subjects) or "cover", aspect, title).layouts
        for aspect, title, subjects in product(ASPECTS, (None, "City Walk"), COUNTS)
    ]
    palettes = [wanted(subject).palettes for subject in keys("subject")]
    palettes += [wanted(phrase("mood", mood, "en")).palettes for mood in keys("mood")]
    for facet, cases in (("layout", layouts), ("palette", palettes)):
        for key in keys(facet):
            assert sum(key in case for case in cases) <= 0.55 * len(cases), key


def test_mood_overrules_season_and_season_overrules_time() -> None:
    assert wanted("a lake, lonely, in spring").palettes == wanted("a lake, lonely").palettes
    assert wanted("a lake in spring at night").palettes == wanted("a lake in spring").palettes
    assert wanted("a lake, lonely").palettes != wanted("a lake, festive").palettes


def test_wanted_keys_are_classes_of_the_recogniser() -> None:
    for facet in ("layout", "palette", "light", "style", "time", "season"):
        assert set(keys(facet)) <= set(CLASSES[facet])


def test_a_brief_without_a_subject_is_refused() -> None:
    with pytest.raises(BadInput, match="temperament to"):
        Brief({"temperament": {"sky": ["moon"]}})
