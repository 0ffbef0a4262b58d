from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import Query
from actors.errors import BadInput
from actors.policy.tiny.tokens import LONGEST_QUERY, LONGEST_TITLE, WRITTEN, Tokens
from actors.vocabulary import Facet, keys
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
    assert pieces <= LONGEST_QUERY + LONGEST_TITLE


def test_facets_behind_a_long_text_are_still_read() -> None:
    read = tokens().query(Query.of(f"{'zqx ' * 400}, moon"))
    assert tokens()._ids["subject=moon"] in read


def test_a_blurred_reading_leaves_out_words_and_names() -> None:
    query = Query.of("please make me a lovely poster of the moon and a lake, watercolour")
    readings = {tuple(tokens().query(query, random.Random(seed))) for seed in range(40)}
    assert len(readings) > 10
    assert any(tokens()._ids["subject"] in read for read in readings)
    assert all(tokens()._ids["style=watercolour"] in read for read in readings)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "pieces.json").write_text("{}")
    with pytest.raises(BadInput, match=r"pieces\.json: .*accepted: a tokenizer\.json"):
        Tokens.load(tmp_path / "pieces.json", [])
