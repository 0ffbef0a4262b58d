from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.contracts import ASPECTS, Query
from actors.errors import BadInput
from actors.policy.tiny.tokens import OPEN, WRITTEN, Tokens
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


def test_a_time_that_is_left_open_is_not_written() -> None:
    answer = tokens().answer({"layout": "thirds", "time": OPEN})
    assert len(answer) == 3 and tokens().values(answer) == {"layout": "thirds"}
    assert {("time", OPEN), ("time", "dusk")} <= {
        tokens()._values[token] for token in tokens().allowed(Query.of("moon")) if token != tokens().end
    }
    named = tokens().allowed(Query.of("moon at night"))
    assert not any(tokens()._values[token][0] == "time" for token in named if token != tokens().end)


def test_a_word_is_one_token_in_either_language() -> None:
    english = tokens().query(Query.of("moon, watercolour"))
    chinese = tokens().query(Query.of("月亮，水彩"))
    shared = set(english) & set(chinese)
    assert {tokens()._ids["subject=moon"], tokens()._ids["style=watercolour"]} <= shared
    assert english[1] != chinese[1], "the language is told"


def test_the_frame_is_told() -> None:
    def head(aspect: str) -> list[int]:
        return tokens().query(Query.of("moon", aspect=aspect))[2:4]

    assert len({tuple(head(aspect)) for aspect in ASPECTS}) == len(ASPECTS)
    assert head("3:4")[0] == head("9:16")[0] != head("16:9")[0], "the shape is told as such"


def test_an_unfamiliar_subject_is_a_subject() -> None:
    assert "rocket" not in FAMILIAR
    read = tokens().query(Query.of("a rocket and the moon"))
    assert tokens()._ids["subject"] in read and tokens()._ids["subject=rocket"] not in read
    assert tokens()._ids["subject=moon"] in read


def test_an_answer_is_whole_when_it_decides_all_that_is_open_and_nothing_else() -> None:
    query = Query.of("moon, watercolour, no warm colours")
    whole: dict[Facet, str] = {"palette": "cool", "layout": "thirds", "light": "soft", "density": "rich"}
    assert not tokens().whole(query, whole)
    whole["time"] = OPEN
    assert tokens().whole(query, whole) and tokens().whole(query, {**whole, "time": "dusk"})
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
def test_any_text_is_read(text: str) -> None:
    try:
        query = Query.of(text)
    except ValueError:
        return
    read = tokens().query(query)
    assert all(0 <= token < tokens().size for token in read)


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


def test_neither_sentences_nor_unknown_words_matter() -> None:
    plain = tokens().query(Query.of("the moon, watercolour"))
    assert tokens().query(Query.of("please make me a poster in watercolour with the moon")) == plain
    assert tokens().query(Query.of("the moon, watercolour, bioluminescent")) == plain


def test_a_title_is_told_but_not_its_words() -> None:
    one, other, none = (
        tokens().query(Query.of("the moon", title=title)) for title in ("The Lake", "Small Things", None)
    )
    assert one == other != none


def test_a_blurred_reading_lacks_names() -> None:
    query = Query.of("the moon and a lake, watercolour", title="My Evening")
    facets = {tokens()._ids[name] for name in ("style=watercolour", "title", "subject", "further subject")}
    readings = [tokens().query(query, random.Random(seed)) for seed in range(200)]
    assert all(facets <= set(read) for read in readings)
    named = [tokens()._ids["subject=moon"] in read for read in readings]
    assert 0.35 < sum(named) / 200 < 0.65


def test_a_familiar_subject_that_nobody_knows_is_named() -> None:
    with pytest.raises(BadInput, match="unicorn: no subject of the vocabulary"):
        Tokens(["moon", "unicorn"])


def test_every_subject_has_a_kind_which_an_unfamiliar_one_keeps() -> None:
    assert set(kinds()) == set(keys("subject"))
    read = tokens().query(Query.of("a rocket"))
    assert tokens()._ids["kind=vehicle"] in read and tokens()._ids["subject=rocket"] not in read
