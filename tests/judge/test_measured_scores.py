"""From evidence to scores: what was seen is given by hand, so that every answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from actors.contracts import Dimension, Judgement, Query
from actors.judge.measured.brief import Brief
from actors.judge.measured.measure import measure
from actors.judge.measured.network import CLASSES
from actors.judge.measured.recogniser import Recognition
from actors.pixels import Pixels
from actors.vocabulary import keys
from configs.judge import MeasuredSettings

BRIEF, WEIGHTS = Brief.load(), MeasuredSettings().weights
LAKE = Query.of("a lake, calm", aspect="1:1")
GOOD = {
    "layout": "centred",
    "palette": "cool",
    "light": "soft",
    "style": "watercolour",
    "time": "day",
    "season": "none",
}


def seen(subjects: tuple[str, ...], **changed: str) -> Recognition:
    chosen = GOOD | changed
    facets = {
        facet: {name: 0.97 if name == chosen[facet] else 0.03 / (len(names) - 1) for name in names}
        for facet, names in CLASSES.items()
    }
    return Recognition({key: 0.98 if key in subjects else 0.02 for key in keys("subject")}, facets)


def pixels() -> Pixels:
    picture = np.full((200, 200, 3), (70, 120, 160), np.uint8)
    picture[:90] = np.linspace(120, 230, 90)[:, None, None]
    picture[60:140, 60:140] = (210, 225, 235)
    return picture


def judged(query: Query, recognition: Recognition) -> Judgement:
    return measure(pixels(), query, recognition, BRIEF, WEIGHTS, "test")


def test_a_wanted_picture_scores_high_everywhere() -> None:
    judgement = judged(LAKE, seen(("lake",)))
    assert judgement.gates == {"subject:lake": True}
    assert all(score is None or score >= 0.75 for score in judgement.scores.values()), judgement.scores
    assert judgement.scores[Dimension.LEGIBILITY] is None


@pytest.mark.parametrize(
    ("facet", "value", "dimension"),
    [
        ("layout", "diagonal", Dimension.COMPOSITION),
        ("layout", "loose", Dimension.COMPOSITION),
        ("palette", "vivid", Dimension.COLOR),
        ("palette", "muddy", Dimension.COLOR),
        ("light", "dramatic", Dimension.LIGHTING),
        ("light", "flat", Dimension.LIGHTING),
        ("style", "retro", Dimension.STYLE_FIT),
    ],
)
def test_one_wrong_facet_costs_its_dimension_only(facet: str, value: str, dimension: Dimension) -> None:
    good, bad = judged(LAKE, seen(("lake",))), judged(LAKE, seen(("lake",), **{facet: value}))
    assert bad.scores[dimension] is not None and bad.scores[dimension] <= 0.2
    assert str(dimension) in bad.rationale
    same = set(good.scores) - {dimension, Dimension.TOTAL}
    assert {name: good.scores[name] for name in same} == {name: bad.scores[name] for name in same}
    assert bad.scores[Dimension.TOTAL] < 0.7 < good.scores[Dimension.TOTAL]  # type: ignore[operator]


def test_gates_are_those_that_the_query_names() -> None:
    query = Query.of("a lake and the moon, cool colours, no birds", title="City Walk")
    judgement = judged(query, seen(("lake", "birds")))
    assert judgement.gates == {
        "subject:lake": True,
        "subject:moon": False,
        "absent:birds": False,
        "title": False,
        "palette": True,
    }
    assert judgement.scores[Dimension.INTENT_MATCH] < 0.1  # type: ignore[operator]
    assert judgement.scores[Dimension.LEGIBILITY] < 0.3  # type: ignore[operator]


def test_a_query_without_intent_has_no_intent_match() -> None:
    judgement = judged(Query.of("something calm"), seen(()))
    assert judgement.gates == {}
    assert judgement.scores[Dimension.INTENT_MATCH] is None


def test_named_time_and_season_are_graded() -> None:
    query = Query.of("a lake in winter at night, calm", aspect="1:1")
    right = judged(query, seen(("lake",), time="night", season="winter"))
    wrong = judged(query, seen(("lake",), time="day", season="summer"))
    for dimension in (Dimension.LIGHTING, Dimension.STYLE_FIT):
        assert right.scores[dimension] > 0.8 > 0.5 > wrong.scores[dimension]  # type: ignore[operator]
