from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.gepa import StopSettings
from train_jobs.gepa.stopping import Progress, reason_to_stop


@pytest.mark.parametrize(
    ("settings", "short", "there", "reason"),
    [
        ({"score": 0.5}, {"best": 0.49}, {"best": 0.5}, "the best score reached 0.5"),
        ({"proposals": 7}, {"proposals": 6}, {"proposals": 7}, "7 proposals were made"),
        ({"plateau": 3}, {"since_best": 2}, {"since_best": 3}, "3 proposals in a row did not lift the best"),
        ({"money": 1.5}, {"money": 1.4}, {"money": 1.5}, "reflection cost 1.5"),
        ({"barren": 4}, {"barren": 3}, {"barren": 4}, "4 proposals in a row found nothing new"),
        ({}, {"barren": 199}, {"barren": 200}, "200 proposals in a row found nothing new"),
    ],
)
def test_each_setting_stops_for_its_reason(
    settings: dict[str, float], short: dict[str, float], there: dict[str, float], reason: str
) -> None:
    stop = StopSettings.model_validate(settings)
    assert reason_to_stop(stop, Progress(**short)) == ""  # type: ignore[arg-type]
    assert reason in reason_to_stop(stop, Progress(**there))  # type: ignore[arg-type]


def test_a_score_of_zero_is_one() -> None:
    assert reason_to_stop(StopSettings(score=0.0), Progress(best=0.0))
    assert not reason_to_stop(StopSettings(score=0.0), Progress())


def test_nothing_is_asked_for_and_nothing_stops() -> None:
    progress = Progress(best=1e9, proposals=10**9, since_best=10**9, barren=0, money=1e9)
    assert reason_to_stop(StopSettings(), progress) == ""


rows = st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([True, False, None]))


@given(st.lists(rows, max_size=40))
def test_progress_counts_since_the_last_rise_and_the_last_call(rows: list[tuple[float, bool | None]]) -> None:
    """Who cannot tell whether anything is left to try neither counts as barren nor ends the count."""
    progress = Progress()
    for best, barren in rows:
        progress.follow(best, barren)
    bests = [best for best, _ in rows]
    assert progress.proposals == len(rows)
    assert progress.best == max(bests, default=-math.inf)
    rise = bests.index(max(bests)) if bests else -1
    assert progress.since_best == len(rows) - 1 - rise
    last = max((place for place, (_, barren) in enumerate(rows) if barren is False), default=-1)
    assert progress.barren == sum(barren is True for _, barren in rows[last + 1 :])
