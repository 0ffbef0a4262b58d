from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import Query
from actors.errors import BadInput
from actors.policy.tiny.tokens import LONGEST_QUERY, WRITTEN, Tokens
from actors.vocabulary import Facet, keys, kinds
from tests.policy.tiny_kit import FAMILIAR, tokens

values = st.fixed_dictionaries({}, optional={facet: st.sampled_from(keys(facet)) for facet in WRITTEN})


@given(values)
def test_an_answer_says_what_it_was_made_of(found: dict[Facet, str]) -> None:
    answer = tokens().answer(found)
    assert tokens().values(answer) == found
    order = tokens().order
    places = [order[token] for token in answer]
    assert places == sorted(set(places)) and answer[-1] == tokens().end
    assert tokens().values([*answer, *tokens().answer({"style": "retro"})]) == found


def test_a_word_is_one_token_in_either_language() -> None:
    english = tokens().query(Query.of("moon, watercolour"))
    chinese = tokens().query(Query.of("月亮，水彩"))
    shared = set(english) & set(chinese)
    assert {tokens()._ids["subject=moon"], tokens()._ids["style=watercolour"]} <= shared
    assert english[1] != chinese[1], "the language is told"


def test_the_frame_is_told() -> None:
    heads = {tokens().query(Query.of("moon", aspect=aspect))[2] for aspect in ("1:1", "3:4", "16:9")}
    assert len(heads) == 3


def test_an_unfamiliar_subject_is_a_subject() -> None:
    assert "rocket" not in FAMILIAR
    read = tokens().query(Query.of("a rocket and the moon"))
    assert tokens()._ids["subject"] in read and tokens()._ids["subject=rocket"] not in read
    assert tokens()._ids["subject=moon"] in read


def test_an_answer_is_whole_when_it_decides_all_that_is_open_and_nothing_else() -> None:
    query = Query.of("moon, watercolour, no warm colours")
    whole: dict[Facet, str] = {"palette": "cool", "layout": "thirds", "light": "soft", "density": "rich"}
    assert tokens().whole(query, whole)
    assert not tokens().whole(query, {**whole, "time": "dusk"})
    assert not tokens().whole(query, {**whole, "style": "retro"})
    assert not tokens().whole(query, {**whole, "palette": "warm"})
    assert not tokens().whole(query, {facet: key for facet, key in whole.items() if facet != "layout"})


def test_what_the_query_says_is_not_answered() -> None:
    allowed = tokens().allowed(Query.of("moon at night, watercolour, no warm colours"))
    said = {tokens()._values[token] for token in allowed if token != tokens().end}
    assert {facet for facet, _ in said} == {"palette", "layout", "light", "density"}
    assert ("palette", "warm") not in said and ("palette", "cool") in said


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=1500).filter(lambda text: text.strip()))
def test_any_text_is_read_and_words_have_a_limit(text: str) -> None:
    try:
        query = Query.of(text)
    except ValueError:
        return
    read = tokens().query(query)
    assert all(0 <= token < tokens().size for token in read)
    pieces = sum(token >= len(tokens()._ids) for token in read)
    assert pieces <= LONGEST_QUERY


def test_facets_behind_a_long_text_are_still_read() -> None:
    read = tokens().query(Query.of(f"{'zqx ' * 400}, moon"))
    assert tokens()._ids["subject=moon"] in read


def test_subjects_are_counted() -> None:
    first, further = tokens()._ids["subject"], tokens()._ids["further subject"]
    for text, counts in (
        ("the moon", (1, 0)),
        ("the moon, and the moon again", (2, 0)),
        ("the moon and a rocket", (1, 1)),
        ("月亮和火箭", (1, 1)),
    ):
        read = tokens().query(Query.of(text))
        assert (read.count(first), read.count(further)) == counts, text


def test_sentences_do_not_matter_but_unknown_words_are_read() -> None:
    plain = tokens().query(Query.of("the moon, watercolour"))
    assert tokens().query(Query.of("please make me a poster with the moon, watercolour")) == plain
    longer = tokens().query(Query.of("the moon, watercolour, bioluminescent"))
    assert len(longer) > len(plain) and set(plain) < set(longer)


def test_a_title_is_told_but_not_its_words() -> None:
    one, other, none = (
        tokens().query(Query.of("the moon", title=title)) for title in ("The Lake", "Small Things", None)
    )
    assert one == other != none


def test_a_blurred_reading_has_stray_words_and_lacks_names() -> None:
    query = Query.of("the moon and a lake, watercolour", title="My Evening")
    facets = {tokens()._ids[name] for name in ("style=watercolour", "title", "subject", "further subject")}
    readings = [tokens().query(query, random.Random(seed)) for seed in range(200)]
    assert all(facets <= set(read) for read in readings)
    named = [tokens()._ids["subject=moon"] in read for read in readings]
    stray = [any(token >= len(tokens()._ids) for token in read) for read in readings]
    for share in (sum(named) / 200, sum(stray) / 200):
        assert 0.35 < share < 0.65


def test_a_file_that_is_no_tokenizer_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pieces.json").write_text("{}")
    with pytest.raises(BadInput, match=r"pieces\.json: .*accepted: a tokenizer\.json"):
        Tokens.load(tmp_path / "pieces.json", [])


def test_every_subject_has_a_kind_which_an_unfamiliar_one_keeps() -> None:
    assert set(kinds()) == set(keys("subject"))
    read = tokens().query(Query.of("a rocket"))
    assert tokens()._ids["kind=vehicle"] in read and tokens()._ids["subject=rocket"] not in read
