import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.contracts import Dimension, Draw, Failure, Judgement, Reward
from actors.intervals import clustered, wilson
from configs.reward import RewardSettings
from train_jobs.loop.statistics import BARS, admission, admission_by_bar, arm_summary, failure_causes

SETTINGS = RewardSettings(bar=0.7)


def draw(picture: float, *, gates: dict[str, bool] | None = None, color: float = 0.5) -> Draw:
    gates = gates or {}
    passed = all(gates.values())
    scores: dict[Dimension, float | None] = {
        Dimension.COLOR: color,
        Dimension.COMPOSITION: 0.6,
        Dimension.LEGIBILITY: None,
    }
    return Draw(
        query_id="q",
        index=0,
        judgement=Judgement(scores=scores, judge_version="t"),
        reward=Reward(
            value=picture if passed else 0.0,
            admitted=passed and picture >= 0.7,
            gates=gates,
            picture=picture,
            prompt=1.0,
            parts={"color": color, "composition": 0.6},
        ),
    )


FAILED = Draw(query_id="q", index=0, failure=Failure(stage="generator", kind="X", message="x"))


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilson_against_published_values(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-3)


@given(st.integers(0, 200), st.integers(0, 200))
def test_wilson_holds_the_share(k: int, more: int) -> None:
    low, high = wilson(k, k + more)
    if k + more:
        assert low - 1e-12 <= k / (k + more) <= high + 1e-12


def test_tries_that_go_alike_tell_as_much_as_one_of_each_group() -> None:
    outcomes = [True] * 30 + [False] * 10
    assert clustered([[each] for each in outcomes]) == pytest.approx(wilson(30, 40))
    low, high = clustered([[each] * 4 for each in outcomes])
    assert (low, high) == pytest.approx(wilson(30, 40), abs=0.01)
    assert high - low > 1.8 * (wilson(120, 160)[1] - wilson(120, 160)[0])
    assert clustered([[True] * 4] * 20) == wilson(20, 20)
    assert clustered([]) == (0.0, 1.0) and clustered([[True, False]]) == wilson(0.5, 1)


def test_the_true_share_is_in_95_of_100_intervals_of_alike_tries() -> None:
    dice, held, narrow = random.Random(0), 0, 0
    for _ in range(1000):
        shares = [dice.betavariate(4, 1) for _ in range(100)]
        groups = [[dice.random() < share for _ in range(4)] for share in shares]
        low, high = clustered(groups)
        held += low <= 0.8 <= high
        tries = wilson(sum(map(sum, groups)), 400)
        narrow += tries[0] <= 0.8 <= tries[1]
    assert 935 <= held <= 975
    assert narrow < 930, "as if each try stood for itself: too narrow"


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=30))
def test_an_interval_of_groups_holds_the_share_and_is_no_narrower_than_that_of_all_tries(
    groups: list[list[bool]],
) -> None:
    successes, tries = sum(map(sum, groups)), sum(map(len, groups))
    low, high = clustered(groups)
    least, most = wilson(successes, tries)
    assert 0 <= low <= successes / tries + 1e-12 and successes / tries - 1e-12 <= high <= 1
    assert low <= least + 1e-9 and most - 1e-9 <= high


def test_a_failed_draw_is_not_admitted() -> None:
    assert admission([draw(0.9), FAILED]) == 0.5
    assert admission([]) is None


def test_summary_of_an_arm() -> None:
    summary = arm_summary(
        [draw(0.9), draw(0.5), draw(0.9, gates={"title": False}), FAILED], [draw(0.8)], SETTINGS, 2.0
    )
    assert summary["admission"] == 0.25
    assert summary["draws_per_admitted"] == 4.0
    assert summary["real_admission"] == 1.0
    assert summary["failures"] == 1
    assert summary["draws_per_second"] == 2.5
    assert summary["reward_by_dimension"] == {"color": 0.5, "composition": 0.6}


def test_nothing_admitted_has_no_price() -> None:
    assert arm_summary([draw(0.1)], [], SETTINGS, 1.0)["draws_per_admitted"] is None


def test_causes_are_shares_of_the_failures() -> None:
    draws = [
        draw(0.9),
        draw(0.5, color=0.1),
        draw(0.5, gates={"subject:moon": False}),
        draw(0.1, gates={"subject:sea": False}),
        FAILED,
    ]
    assert failure_causes(draws, SETTINGS) == {"subject": 0.5, "color": 0.25, "failed:generator": 0.25}


def test_admission_falls_with_the_bar() -> None:
    curve = admission_by_bar([draw(0.9), draw(0.5), draw(0.95, gates={"title": False})])
    assert curve == sorted(curve, reverse=True)
    assert curve[0] == pytest.approx(2 / 3)
    assert curve[BARS.index(0.7)] == pytest.approx(1 / 3)
