"""Rules that are rewritten by what was measured: what an edit may touch, and what moves it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.context import Context, Shape
from actors.policy.expander import default_strategy
from actors.policy.rules import Rule, decide, parse_rules
from actors.vocabulary import FACETS, Facet, keys, phrase
from train_jobs.gepa.edits import EDITS, FRAMED, RANKS, RULES, SHOWS, Seen, edit, join, with_rule, write

Conditions = tuple[tuple[str, frozenset[str]], ...]
OPEN: tuple[Facet, ...] = ("style", "palette", "layout", "light", "density")
SHIPPED = default_strategy().components
FRAME_NAMES, TONE_NAMES = {"title", "no title", "shape", "subjects"}, {"mood", "time", "season", "subject"}


def a_situation(**changes: Any) -> dict[str, Any]:
    plain = {
        "shape": "tall",
        "titled": False,
        "subjects": ["moon"],
        "mood": None,
        "time": None,
        "season": None,
    }
    return {**plain, **changes}


def a_row(
    worth: float = 0.4,
    *,
    open: Sequence[str] = OPEN,
    written: Mapping[str, str] | None = None,
    score: float = 0.4,
    **situation: Any,
) -> Seen:
    return Seen(a_situation(**situation), written or {}, open, dict.fromkeys(SHOWS, score), worth)


def pairs_of(rules: Sequence[Rule]) -> dict[tuple[Conditions, Facet], str]:
    """What rules say under each conditions: the first one decides."""
    said: dict[tuple[Conditions, Facet], str] = {}
    for rule in rules:
        for facet, value in rule.values:
            said.setdefault((rule.conditions, facet), value)
    return said


def changed(before: str, after: str) -> dict[tuple[Conditions, Facet], str]:
    old, new = pairs_of(parse_rules(before)), pairs_of(parse_rules(after))
    assert old.keys() <= new.keys()
    return {where: value for where, value in new.items() if old.get(where) != value}


def context(situation: Mapping[str, Any]) -> Context:
    return Context(**{**situation, "subjects": tuple(situation["subjects"])})


situations = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(get_args(Shape)),
        "titled": st.booleans(),
        "subjects": st.lists(st.sampled_from(keys("subject")), max_size=3, unique=True),
        "mood": st.none() | st.sampled_from(keys("mood")),
        "time": st.none() | st.sampled_from(keys("time")),
        "season": st.none() | st.sampled_from(keys("season")),
    }
)
unit = st.floats(0, 1)
rows = st.builds(
    Seen,
    situations,
    st.fixed_dictionaries({}, optional={f: st.sampled_from(keys(f)) for f in FACETS}),
    st.lists(st.sampled_from(OPEN), unique=True),
    st.fixed_dictionaries({}, optional=dict.fromkeys(SHOWS, unit)),
    unit,
)


@st.composite
def a_condition(draw: st.DrawFn, name: str) -> tuple[str, frozenset[str]]:
    if name in ("title", "no title"):
        return name, frozenset()
    accepted: Any = {"shape": get_args(Shape), "subjects": ("0", "1", "2", "3")}.get(name) or keys(name)  # type: ignore[arg-type]
    return name, frozenset(draw(st.lists(st.sampled_from(accepted), min_size=1, max_size=3)))


@st.composite
def a_rule(draw: st.DrawFn) -> Rule:
    names = draw(st.lists(st.sampled_from(RANKS), max_size=3, unique=True))
    facets = draw(st.lists(st.sampled_from(OPEN), min_size=1, max_size=3, unique=True))
    values = [(f, draw(st.sampled_from(keys(f)))) for f in FACETS if f in facets]
    return Rule(tuple(draw(a_condition(name)) for name in names), tuple(values))


rule_lists = st.lists(a_rule(), max_size=4, unique_by=lambda rule: rule.conditions)
EMPTY: dict[str, str] = {RULES: "", "instruction": "be bold"}


@given(rule_lists, st.lists(rows, min_size=1, max_size=8), st.lists(rows, max_size=8), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_an_edit_is_small_lawful_and_repeatable(
    rules: list[Rule], shown: list[Seen], history: list[Seen], seed: int
) -> None:
    candidate = {**EMPTY, RULES: write(rules)}
    texts = edit(candidate, shown, history, seed)
    assert texts == edit(dict(candidate), list(shown), list(history), seed)
    assert set(texts) <= {RULES}
    if not texts:
        return
    moved = changed(candidate[RULES], texts[RULES])
    assert len(moved) <= math.ceil(EDITS * len(shown))
    for (conditions, facet), value in moved.items():
        fitting = [row for row in shown if facet in row.open and row.worth < 1]
        assert any(Rule(conditions, ()).applies(context(row.situation)) for row in fitting)
        assert value in keys(facet)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 16])
def test_the_most_that_one_edit_changes_is_reached_and_not_passed(count: int) -> None:
    rows = [a_row(subjects=[name], mood=None) for name in keys("subject")[:count]]
    sizes = [len(changed("", edit(EMPTY, rows, [], seed)[RULES])) for seed in range(30)]
    assert max(sizes) == math.ceil(0.375 * count)


def test_only_open_facets_are_edited() -> None:
    for facet in OPEN:
        for seed in range(20):
            new = edit(SHIPPED, [a_row(open=[facet])], [], seed).get(RULES, SHIPPED[RULES])
            assert {name for _, name in changed(SHIPPED[RULES], new)} <= {facet}
    assert edit(SHIPPED, [a_row(open=[])] * 8, [], 0) == {}


def test_other_seeds_rows_and_texts_choose_otherwise() -> None:
    rows = [a_row(subjects=[name]) for name in keys("subject")[:8]]
    assert len({edit(EMPTY, rows, [], seed)[RULES] for seed in range(10)}) > 5
    assert edit(EMPTY, rows, [], 0) != edit(EMPTY, rows[::-1], [], 0)
    assert edit(EMPTY, rows, [], 0) != edit({**EMPTY, "instruction": "be shy"}, rows, [], 0)


def test_perfect_rows_teach_nothing() -> None:
    assert edit(SHIPPED, [a_row(1.0)] * 8, [a_row()] * 8, 0) == {}
    assert edit(SHIPPED, [], [a_row()], 0) == {}
    mixed = [a_row(1.0, mood="calm"), a_row(0.99, mood="lonely"), a_row(1.0, mood="solemn")]
    for seed in range(10):
        for conditions, facet in changed("", edit(EMPTY, mixed, [], seed)[RULES]):
            assert facet in FRAMED or ("mood", frozenset({"lonely"})) in conditions


@pytest.mark.parametrize(
    ("facet", "good", "bad"), [("layout", "diagonal", "thirds"), ("light", "soft", "bright")]
)
def test_what_scored_well_in_alike_situations_is_taken(facet: Facet, good: str, bad: str) -> None:
    row = a_row(open=[facet], written={facet: bad}, score=0.1)
    proven = [a_row(0.95, written={facet: good}, score=0.95)] * 3
    elsewhere = {"shape": "wide", "subjects": ["sun"]}
    for seed in range(20):
        (value,) = changed("", edit(EMPTY, [row], proven, seed)[RULES]).values()
        assert value == good
    far = [a_row(0.95, written={facet: good}, score=0.95, **elsewhere)] * 3
    taken = [next(iter(changed("", edit(EMPTY, [row], far, s)[RULES]).values())) for s in range(40)]
    assert taken.count(good) < 30


@pytest.mark.parametrize("facet", OPEN)
def test_what_scored_badly_is_not_tried_again_while_others_are_untried(facet: Facet) -> None:
    poor, *_, untried = keys(facet)
    row = a_row(open=[facet], written={facet: poor}, score=0.1)
    history = [a_row(0.1, written={facet: key}, score=0.1) for key in keys(facet) if key != untried]
    for seed in range(20):
        (value,) = changed("", edit(EMPTY, [row], history, seed)[RULES]).values()
        assert value == untried


def test_what_is_written_stays_where_nothing_promises_more() -> None:
    best, *others = keys("palette")
    row = a_row(0.9, open=["palette"], written={"palette": best}, score=0.95)
    history = [a_row(0.5, written={"palette": key}, score=0.5) for key in others] * 3
    assert all(edit(EMPTY, [row], history, seed) == {} for seed in range(20))


def test_the_weakest_dimension_chooses_the_facet() -> None:
    scores = {**dict.fromkeys(SHOWS, 0.99), "lighting": 0.0}
    row = Seen(a_situation(), {}, OPEN, scores, 0.5)
    facets = [facet for s in range(50) for _, facet in changed("", edit(EMPTY, [row], [], s)[RULES])]
    assert facets.count("light") > 45


@pytest.mark.parametrize(
    ("situation", "tone"),
    [
        ({"mood": "calm", "time": "night", "season": "winter"}, ("mood", "calm")),
        ({"time": "night", "season": "winter"}, ("time", "night")),
        ({"season": "winter"}, ("season", "winter")),
        ({}, ("subject", "moon")),
    ],
)
@pytest.mark.parametrize("facet", OPEN)
def test_conditions_fit_the_facet(facet: Facet, situation: dict[str, Any], tone: tuple[str, str]) -> None:
    row = a_row(open=[facet], **situation)
    kinds = []
    for seed in range(60):
        ((conditions, _),) = changed("", edit(EMPTY, [row], [], seed)[RULES])
        named = {name for name, _ in conditions}
        kinds.append((bool(named & FRAME_NAMES), bool(named & TONE_NAMES)))
        if named & FRAME_NAMES:
            assert {"no title", "shape"} <= named and ("shape", frozenset({"tall"})) in conditions
        if named & TONE_NAMES:
            assert [(n, set(v)) for n, v in conditions if n in TONE_NAMES] == [(tone[0], {tone[1]})]
    only = (True, False) if facet in FRAMED else (False, True)
    assert set(kinds) <= {only, (True, True)}
    assert kinds.count(only) > 35 and kinds.count((True, True)) > 1


def test_titled_frames_and_subjects_are_told_apart() -> None:
    row = a_row(open=["layout"], titled=True, subjects=["moon", "sea"])
    seen = {conditions for s in range(30) for conditions, _ in changed("", edit(EMPTY, [row], [], s)[RULES])}
    names = {name for conditions in seen for name, _ in conditions}
    assert "title" in names and "no title" not in names
    assert any(("subjects", frozenset({"2"})) in conditions for conditions in seen)
    assert any("subjects" not in dict(conditions) for conditions in seen)


def strength(rule: Rule) -> tuple[bool, bool, int]:
    places = [RANKS.index(name) for name, _ in rule.conditions]
    return not places, len(places) < 2, min(places, default=0)


@given(st.lists(a_rule(), max_size=8))
@settings(max_examples=30, deadline=None)
def test_stronger_rules_stand_above_and_always_is_last(made: list[Rule]) -> None:
    rules: list[Rule] = []
    for rule in made:
        for facet, value in rule.values:
            rules = with_rule(rules, rule.conditions, facet, value)
            assert pairs_of(rules)[rule.conditions, facet] == value
    assert all(strength(above) <= strength(below) for above, below in pairwise(rules))
    assert len({rule.conditions for rule in rules}) == len(rules)


def test_a_new_rule_stands_above_those_as_strong_as_it() -> None:
    rules = parse_rules("when subject=moon|stars: soft light\nalways: bright light")
    new = with_rule(rules, (("subject", frozenset({"moon"})),), "light", "dramatic")
    assert decide(tuple(new), context(a_situation()))["light"] == "dramatic"
    assert new[-1] == rules[-1]


def test_a_value_is_replaced_in_its_place() -> None:
    text = "when title: soft light, centred layout\nwhen mood=calm: cool colours\nalways: flat illustration\n"
    rules = parse_rules(text)
    new = with_rule(rules, (("title", frozenset()),), "light", "dramatic")
    assert write(new) == text.replace("soft light, centred layout", "centred layout, dramatic light")
    grown = with_rule(rules, (("mood", frozenset({"calm"})),), "layout", "framed")
    assert write(grown).splitlines()[1] == "when mood=calm: cool colours, framed layout"
    assert rules == parse_rules(text)


def test_of_two_values_of_a_facet_the_deciding_one_is_kept() -> None:
    rules = parse_rules("when title: soft light, bright light")
    new = with_rule(rules, rules[0].conditions, "layout", "framed")
    situation = context(a_situation(titled=True))
    assert decide(tuple(new), situation) == {"layout": "framed", **decide(rules, situation)}


@given(rule_lists)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back(rules: list[Rule]) -> None:
    assert list(parse_rules(write(rules))) == rules


def test_every_value_is_read_back() -> None:
    for facet in FACETS:
        for key in keys(facet):
            assert parse_rules(f"always: {phrase(facet, key, 'en')}") == (Rule((), ((facet, key),)),)
    shipped = parse_rules(SHIPPED[RULES])
    assert parse_rules(write(shipped)) == shipped


@given(rule_lists, rule_lists)
@settings(max_examples=40, deadline=None)
def test_a_joined_text_keeps_what_both_say(first: list[Rule], second: list[Rule]) -> None:
    joined = parse_rules(join(write(first), write(second)))
    assert pairs_of(joined) == {**pairs_of(second), **pairs_of(first)}
    assert all(strength(above) <= strength(below) for above, below in pairwise(joined))


@given(rule_lists, st.lists(situations, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_text_joined_with_itself_says_the_same(made: list[Rule], asked: list[dict[str, Any]]) -> None:
    rules: list[Rule] = []
    for rule in made:
        for facet, value in rule.values:
            rules = with_rule(rules, rule.conditions, facet, value)
    text = write(rules)
    once = join(text, text)
    assert once == text and join(once, text) == once
    for situation in asked:
        assert decide(parse_rules(once), context(situation)) == decide(tuple(rules), context(situation))


def test_of_rules_as_strong_the_first_ones_stand_above_and_shared_ones_last() -> None:
    shared = "when subject=moon|sun: soft light\n"
    first, second = "when subject=moon: dramatic light\n", "when subject=moon|sea: bright light\n"
    assert join(first + shared, second + shared) == first + second + shared
    assert join(second + shared, first + shared) == second + first + shared
