"""What a reward model sees of a query and an answer."""

from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import ASPECTS, Query
from actors.policy import grammar
from actors.policy.expander import write
from actors.policy.tiny.tokens import WRITTEN
from actors.vocabulary import read, read_query
from train_jobs.ppo.reward_model.features import Features

FEATURES = Features()


def _query(index: int) -> Query:
    return grammar.query(3, index, list(ASPECTS), ["en", "zh"])


@given(st.integers(0, 500), st.randoms())
def test_any_choice_of_an_answer_is_read_back_from_its_row_and_from_its_prompt(index, dice):
    query = _query(index)
    row = FEATURES.row(query, {})
    for place, values in FEATURES.choices(query).items():
        row[place] = dice.choice(values)
    values = FEATURES.values(row, query)
    assert FEATURES.row(query, values) == row
    assert FEATURES.answer(query, read(write(query, values))) == values


def test_what_a_query_says_is_no_choice_and_is_told_from_what_an_answer_says():
    query = Query.of("a crane, watercolour", aspect="3:4", lang="en")
    assert "style" in {f for f in WRITTEN if read_query(query).keys(f)}
    assert len(FEATURES.choices(query)) == len(WRITTEN) - 1
    other = Query.of("a crane", aspect="3:4", lang="en")
    asked, answered = FEATURES.row(query, {}), FEATURES.row(other, {"style": "watercolour"})
    assert sum(a != b for a, b in zip(asked, answered, strict=True)) == 1


def test_what_a_query_refuses_is_no_choice():
    plain, refused = (
        Query.of(text, aspect="3:4", lang="en") for text in ("a crane", "a crane, no watercolour")
    )
    more, fewer = (sum(map(len, FEATURES.choices(query).values())) for query in (plain, refused))
    assert fewer == more - 1
