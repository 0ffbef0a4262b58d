from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.judge.calibration.anchors import RecordedAnchor, SubScores
from actors.judge.calibration.bradley_terry import sigmoid
from actors.judge.calibration.measure import JudgedPair, Origin, measure
from actors.judge.calibration.recorded import FEATURES, calibrate_recorded
from actors.judge.calibration.report import CalibrationReport, read_report
from actors.judge.calibration.split import folds_of
from configs.calibration import CalibrationSettings

ROOM = CalibrationSettings(resamples=100)
ORIGIN = Origin(
    judge="fake",
    judge_version="fake-1",
    anchors="human",
    mode="pointwise",
    pairs=0,
    questions=10,
    failures={},
)


def judged(n: int, slope: float, seed: int = 0, dimension: Dimension = Dimension.TOTAL) -> list[JudgedPair]:
    """Pairs whose winner follows the judge's difference by `slope`; four of them a request."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(n):
        difference = float(rng.normal(0, 0.3))
        wins = float(rng.random() < sigmoid(slope * difference))
        pairs.append(JudgedPair(f"g{i // 4}", dimension, wins, float(sigmoid(10 * difference)), difference))
    return pairs


def test_an_overconfident_judge_becomes_honest() -> None:
    report = measure(judged(2000, 3.0), ORIGIN, ROOM)
    assert report.slopes[Dimension.TOTAL] == pytest.approx(3.0, rel=0.15)
    assert report.before.ece is not None and report.after.ece is not None
    assert report.before.ece > 0.15 and report.after.ece < 0.04
    assert report.after.accuracy == report.before.accuracy
    assert report.probability(Dimension.TOTAL, 0.2) == 1 - report.probability(Dimension.TOTAL, -0.2)
    assert report.probability(Dimension.COLOR, 0.2) == 0.5


def test_a_judge_at_chance_says_one_half() -> None:
    report = measure(judged(2000, 0.0), ORIGIN, ROOM)
    assert report.slopes == {Dimension.TOTAL: 0.0}
    assert (report.after.spread, report.after.accuracy, report.after.ece) == (0.0, 0.5, 0.0)
    assert [check.name for check in report.gate.failed] == ["accuracy_lower_bound"]


def test_a_judge_that_runs_against_people_is_not_reversed() -> None:
    report = measure(judged(2000, -6.0), ORIGIN, ROOM)
    assert report.slopes == {Dimension.TOTAL: 0.0}
    assert not report.gate.passed


def test_a_judge_that_half_of_the_requests_belie_says_one_half() -> None:
    pairs = judged(800, 8.0)
    folds = folds_of((pair.group for pair in pairs), 2, ROOM.seed)
    belied = [
        JudgedPair(p.group, p.dimension, 1 - p.label if folds[p.group] else p.label, p.said, p.difference)
        for p in pairs
    ]
    report = measure(belied, ORIGIN, ROOM)
    assert report.slopes == {Dimension.TOTAL: 0.0}
    assert report.after.spread == 0.0


def test_no_pair_is_measured_by_a_model_that_saw_it() -> None:
    # The features name the request, and the label is the request's: only having seen a request can tell.
    rng = np.random.default_rng(0)
    pairs = []
    for request in range(40):
        wins, eye = float(rng.random() < 0.5), np.eye(40)[request]
        for _ in range(4):
            pairs.append(
                JudgedPair(
                    f"g{request}", Dimension.TOTAL, wins, 0.5, 2 * wins - 1, tuple(float(v) for v in eye)
                )
            )
    origin = Origin(
        "fake", "1", "human", "pointwise", 160, 10, {}, features=tuple(f"f{i}" for i in range(40))
    )
    report = measure(pairs, origin, ROOM)
    assert report.after.spread is not None and report.after.spread < 1e-6


def test_folds_keep_requests_together_and_alike_in_size() -> None:
    folds = folds_of([f"g{i % 31}" for i in range(300)], 3, seed=1)
    assert len(folds) == 31
    sizes = [list(folds.values()).count(k) for k in range(3)]
    assert max(sizes) - min(sizes) <= 1
    assert folds != folds_of(folds, 3, seed=2)
    assert folds == folds_of(reversed(list(folds)), 3, seed=1)


def test_a_dimension_with_few_pairs_gets_no_slope() -> None:
    few = judged(8, 10.0, dimension=Dimension.COLOR)
    report = measure([*judged(400, 5.0), *few], ORIGIN, ROOM)
    assert report.dimensions[Dimension.COLOR].slope is None
    assert Dimension.COLOR not in report.slopes
    assert report.headline == "total"


def test_without_a_total_all_dimensions_are_pooled() -> None:
    pairs = [*judged(200, 5.0, dimension=Dimension.COLOR), *judged(120, 5.0, 1, Dimension.TECHNICAL)]
    report = measure(pairs, ORIGIN, ROOM)
    assert report.headline == "all"
    assert report.after.n == 320


def test_ties_of_people_count_in_the_agreement_only() -> None:
    pairs = judged(400, 5.0)
    ties = [JudgedPair(p.group, p.dimension, 0.5, p.said, p.difference) for p in pairs[:100]]
    with_ties, without = measure([*pairs, *ties], ORIGIN, ROOM), measure(pairs, ORIGIN, ROOM)
    assert with_ties.after == without.after
    assert with_ties.slopes == without.slopes
    assert with_ties.alpha is not None and without.alpha is not None and with_ties.alpha < without.alpha
    with pytest.raises(BadInput, match="none has a winner"):
        measure(ties, ORIGIN, ROOM)


def test_agreement_does_not_hang_on_which_side_the_winner_is_written() -> None:
    pairs = judged(400, 5.0)
    winner_first = [
        p if p.label == 1 else JudgedPair(p.group, p.dimension, 1.0, 1 - p.said, -p.difference) for p in pairs
    ]
    one, other = measure(pairs, ORIGIN, ROOM), measure(winner_first, ORIGIN, ROOM)
    assert one.kappa == pytest.approx(other.kappa) and one.alpha == pytest.approx(other.alpha)
    assert one.slopes == pytest.approx(other.slopes)


def test_rates_are_of_questions_and_of_pairs_with_a_winner() -> None:
    pairs = judged(100, 5.0)
    tied = [JudgedPair("t", Dimension.TOTAL, 1.0, 0.5, 0.0) for _ in range(25)]
    origin = Origin("fake", "1", "human", "pointwise", 125, 50, {"Unreadable": 3, "TimedOut": 2})
    report = measure([*pairs, *tied], origin, ROOM)
    assert report.parse_failure_rate == pytest.approx(0.1)
    assert report.tie_rate == pytest.approx(0.2)


def test_a_report_survives_json(tmp_path: Path) -> None:
    report = measure(judged(100, 5.0), ORIGIN, ROOM)
    path = tmp_path / "report.json"
    path.write_text(report.model_dump_json(), "utf-8")
    assert read_report(path) == report
    assert CalibrationReport.model_validate(report.model_dump(mode="json")) == report
    path.write_text("{}", "utf-8")
    with pytest.raises(BadInput, match="atelier judge calibrate"):
        read_report(path)
    with pytest.raises(BadInput, match="cannot be read"):
        read_report(tmp_path / "absent.json")


def recorded(
    n: int, answer: Callable[[float, np.random.Generator], SubScores | None]
) -> list[RecordedAnchor]:
    """Four pictures a request; people rate their true quality on three levels."""
    rng = np.random.default_rng(5)
    anchors = []
    for request in range(n):
        for model in range(4):
            true = float(rng.random())
            human = tuple((round(2 * true) / 2, round(2 * true) / 2) for _ in range(3))
            anchors.append(
                RecordedAnchor(
                    task="t",
                    uid=str(request),
                    model=str(model),
                    human=human,
                    judges={"j": answer(true, rng)},
                )
            )
    return anchors


def seeing(true: float, rng: np.random.Generator) -> SubScores:
    points = tuple(float(np.clip(round(10 * true + rng.normal(0, 2)), 0, 10)) for _ in range(4))
    return SubScores(SC=points[:2], PQ=points[2:])


def blind(true: float, rng: np.random.Generator) -> SubScores | None:
    return None if rng.random() < 0.3 else seeing(float(rng.random()), rng)


def test_recorded_judges_are_calibrated_on_their_sub_scores() -> None:
    report = calibrate_recorded(recorded(150, seeing), "j", ROOM)
    total = report.dimensions[Dimension.TOTAL]
    assert set(total.weights) == set(FEATURES)
    assert report.gate.passed
    assert total.after.accuracy is not None and total.before.accuracy is not None
    assert total.after.accuracy >= total.before.accuracy > 0.8
    assert report.human_alpha == pytest.approx(1.0)
    assert set(report.slopes) == {Dimension.TOTAL, Dimension.INTENT_MATCH, Dimension.TECHNICAL}


def test_a_blind_recorded_judge_is_refused() -> None:
    report = calibrate_recorded(recorded(150, blind), "j", ROOM)
    assert report.after.spread == 0.0
    assert not any(report.dimensions[Dimension.TOTAL].weights.values())
    assert {check.name for check in report.gate.failed} == {"parse_failure_rate", "accuracy_lower_bound"}
    assert report.failures == {"Unreadable": pytest.approx(180, abs=50)}


def test_an_absent_judge_is_named() -> None:
    with pytest.raises(BadInput, match="'k' is not in the anchors; accepted: j"):
        calibrate_recorded(recorded(2, seeing), "k", ROOM)
