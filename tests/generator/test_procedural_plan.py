"""What a prompt decides, what the seed decides, and what too long a prompt loses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import vocabulary
from actors.generator.procedural.plan import BUDGET, MIX_CHANCE, OPEN_LIGHTS, cost, plan

FULL = (
    "a lighthouse, warm colours, flat illustration, rule of thirds, at dusk, soft light, "
    'balanced details, "Home"'
)
SINGLE = ("palette", "style", "layout", "season", "time", "mood", "light", "density")


def share(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("facet", SINGLE)
def test_a_mentioned_value_is_obeyed(facet: str, lang: str) -> None:
    for key in vocabulary.keys(facet):
        for seed in range(4):
            scene = plan(
                f"{vocabulary.phrase('subject', 'cat', lang)}，{vocabulary.phrase(facet, key, lang)}",
                "1:1",
                seed,
            )
            assert getattr(scene, facet) == key
            assert scene.subjects == ("cat",)


def test_the_same_arguments_give_the_same_scene() -> None:
    assert plan(FULL, "3:4", 7) == plan(FULL, "3:4", 7)


def test_changing_one_clause_changes_only_that_decision() -> None:
    for seed in range(20):
        open_palette = plan("a boat, flat illustration", "1:1", seed)
        warm = plan("a boat, flat illustration, warm colours", "1:1", seed)
        assert replace(open_palette, palette="warm", palette_mix=None) == warm


def test_open_choices_are_spread_by_the_seed() -> None:
    scenes = [plan("a boat", "1:1", seed) for seed in range(600)]
    assert set(Counter(s.layout for s in scenes)) == set(vocabulary.keys("layout"))
    assert set(Counter(s.light for s in scenes)) == set(OPEN_LIGHTS)
    assert {"cluttered"} <= {s.density for s in scenes}
    assert all(s.layout_jitter is not None for s in scenes)
    assert share([s.palette_mix is not None for s in scenes]) == pytest.approx(MIX_CHANCE, abs=0.07)
    times = Counter(s.time for s in scenes)
    assert min(times.values()) > 100
    assert share([s.season is None for s in scenes]) > 0.6


def test_pinned_choices_are_clean() -> None:
    for seed in range(50):
        scene = plan(FULL, "1:1", seed)
        assert scene.layout_jitter is None and scene.palette_mix is None
        assert scene.light == "soft" and scene.title == "Home" and scene.ignored == ()


def test_a_contradiction_is_a_fair_coin() -> None:
    hits = [plan("a boat, warm colours, cool colours", "1:1", seed).palette == "warm" for seed in range(600)]
    assert share(hits) == pytest.approx(0.5, abs=0.07)


def test_mood_tilts_but_does_not_rule() -> None:
    calm = Counter(plan("a boat, calm", "1:1", seed).density for seed in range(800))
    plain = Counter(plan("a boat", "1:1", seed).density for seed in range(800))
    assert calm["sparse"] > plain["sparse"] + 60
    assert calm["cluttered"] > 60


def test_overload_loses_clauses_and_subjects_less() -> None:
    tail = ", ".join(f"word{chr(97 + i)} thing{chr(97 + i)}" for i in range(12))
    scenes = [plan(f"a boat, {tail}, warm colours, in spring", "1:1", seed) for seed in range(400)]
    lost = share(["palette:warm" in s.ignored for s in scenes])
    lost_subject = share(["subject:boat" in s.ignored for s in scenes])
    assert lost > 0.4
    assert 0.1 < lost_subject < 0.6 * lost
    assert share([not (s.season != "spring" and "season:spring" not in s.ignored) for s in scenes]) == 1.0


def test_cost_counts_clauses_unknown_words_repeats_and_regurgitation() -> None:
    assert cost(vocabulary.read(FULL)) <= BUDGET
    one = cost(vocabulary.read("a boat"))
    assert cost(vocabulary.read("a boat, a boat")) == one + 2
    assert cost(vocabulary.read("a boat giraffe")) == one + 0.25
    run = "alpha beta gamma delta epsilon zeta eta theta"
    assert cost(vocabulary.read(f"{run} {run}")) - cost(vocabulary.read(run)) == pytest.approx(2 + 8 * 0.25)
    han = "甲乙丙丁戊己庚辛壬癸"
    assert cost(vocabulary.read(han + han)) - cost(vocabulary.read(han)) == pytest.approx(2 + 5 * 0.25)


def test_two_subjects_are_sure_further_ones_a_coin_and_four_the_most() -> None:
    keys = ["boat", "moon", "cat", "pine", "kite", "book"]
    text = " and ".join(vocabulary.phrase("subject", key, "en") for key in keys)
    drawn = [plan(text, "1:1", seed).subjects for seed in range(300)]
    assert all(subjects[:2] == ("boat", "moon") and len(subjects) <= 4 for subjects in drawn)
    assert share(["cat" in subjects for subjects in drawn]) == pytest.approx(0.5, abs=0.1)


def test_negated_subjects_and_values_are_not_drawn() -> None:
    for seed in range(80):
        scene = plan("a boat, no moon, without warm colours", "1:1", seed)
        assert scene.subjects == ("boat",) and scene.palette != "warm"


def test_unknown_subjects_are_noted() -> None:
    scene = plan("a purple giraffe", "1:1", 1)
    assert scene.subjects == ()
    assert any("no known subject" in note for note in scene.notes)
    assert any("giraffe" in note for note in scene.notes)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300), st.integers(0, 2**31 - 1))
def test_any_text_has_a_plan(text: str, seed: int) -> None:
    scene = plan(text, "16:9", seed)
    assert scene.palette in vocabulary.keys("palette") and len(scene.subjects) <= 4
