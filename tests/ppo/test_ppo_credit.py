import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.policy.tiny.tokens import WRITTEN
from actors.vocabulary import Facet
from train_jobs.ppo.credit import credits

WEIGHTS = {"composition": 1.0, "color": 1.0, "lighting": 1.0, "style_fit": 1.0, "technical": 0.5}
ALL: list[Facet | None] = ["layout", "palette", "style", "light", None]


def test_each_dimension_is_credited_to_its_own_word() -> None:
    scores = {"style_fit": 0.1, "color": 0.2, "composition": 0.4, "lighting": 0.8}
    assert credits(scores, WEIGHTS, (), WRITTEN, ALL) == pytest.approx([0.1, 0.05, 0.025, 0.2, 0.0])


def test_what_was_passed_over_is_owed_to_the_word_that_came_in_its_stead() -> None:
    said: list[Facet | None] = ["layout", "style", None]
    assert credits({"color": 1.0}, WEIGHTS, (), WRITTEN, said) == [0.0, 1.0, 0.0]
    assert credits({"lighting": 1.0}, WEIGHTS, (), WRITTEN, said) == [0.0, 0.0, 1.0]


def test_what_the_query_names_is_owed_to_every_word() -> None:
    said: list[Facet | None] = ["layout", "style", None]
    scores = {"color": 1.0, "composition": 0.5}
    assert credits(scores, WEIGHTS, ("palette",), WRITTEN, said) == [0.75, 0.5, 0.5]


def test_dimensions_that_no_facet_shows_are_owed_to_all_and_unweighted_ones_to_none() -> None:
    assert credits({"technical": 0.5, "total": 0.9}, WEIGHTS, (), WRITTEN, ALL) == [0.5] * 5
    assert credits({}, WEIGHTS, (), WRITTEN, ALL) == [0.0] * 5


@given(
    st.dictionaries(st.sampled_from(sorted(WEIGHTS)), st.floats(0, 1), min_size=1),
    st.sets(st.sampled_from(WRITTEN)),
    st.sets(st.sampled_from(WRITTEN)),
)
def test_nothing_is_lost(scores: dict[str, float], named: set[Facet], chosen: set[Facet]) -> None:
    said: list[Facet | None] = [*(facet for facet in WRITTEN if facet in chosen - named), None]
    shared = {"color": "palette", "composition": "layout", "lighting": "light", "style_fit": "style"}
    owed = {name: len(said) if shared.get(name) in {*named, None} else 1 for name in scores}
    whole = sum(WEIGHTS[name] * score * owed[name] for name, score in scores.items())
    found = credits(scores, WEIGHTS, named, WRITTEN, said)
    assert sum(found) == pytest.approx(whole / sum(WEIGHTS[name] for name in scores))
