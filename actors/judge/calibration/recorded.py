"""Calibration of judges whose answers are recorded: no picture and no service is needed. Pure."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.judge.calibration.anchors import RecordedAnchor, SubScores
from actors.judge.calibration.bradley_terry import sigmoid
from actors.judge.calibration.measure import JudgedPair, Origin, measure
from actors.judge.calibration.report import CalibrationReport
from configs.calibration import CalibrationSettings

FEATURES = ("SC_min", "SC_mean", "PQ_min", "PQ_mean")
"""Defined for any number of sub-scores, which differs from task to task."""
POINTS = 10.0
UNREADABLE = "Unreadable"
_DIGITS = 9
"""Means of the same ratings in another order must be equal."""


def judges_of(anchors: Iterable[RecordedAnchor]) -> list[str]:
    """Names of the judges that were asked."""
    return sorted({name for anchor in anchors for name in anchor.judges})


def calibrate_recorded(
    anchors: Sequence[RecordedAnchor], judge: str, settings: CalibrationSettings
) -> CalibrationReport:
    """Calibrate one of the recorded judges, pairing the pictures of each request.

    The total is sqrt(min SC x min PQ), `intent_match` is SC and `technical` is PQ; people's is the mean of
    the raters. The total is calibrated on the sub-scores, the other two on their own score.

    Raises:
        BadInput: the judge is not in the file, or there are no pairs with a winner.
    """
    if judge not in (known := judges_of(anchors)):
        raise BadInput(f"judge {judge!r} is not in the anchors; accepted: {', '.join(known)}")
    answers = [anchor.judges[judge] for anchor in anchors if judge in anchor.judges]
    unreadable = sum(answer is None for answer in answers)
    pairs = recorded_pairs(anchors, judge, settings.raw_slope)
    origin = Origin(
        judge=judge,
        judge_version=f"recorded:{judge}",
        anchors="human",
        mode="pointwise",
        pairs=sum(pair.dimension == Dimension.TOTAL for pair in pairs),
        questions=len(answers),
        failures={UNREADABLE: unreadable} if unreadable else {},
        features=FEATURES,
    )
    return measure(pairs, origin, settings)


def recorded_pairs(anchors: Iterable[RecordedAnchor], judge: str, raw_slope: float) -> list[JudgedPair]:
    """All pairs of pictures of one request that the judge has read, in three dimensions."""
    requests: dict[str, list[tuple[RecordedAnchor, SubScores]]] = defaultdict(list)
    for anchor in anchors:
        answer = anchor.judges.get(judge)
        if answer is not None:
            requests[f"{anchor.task}/{anchor.uid}"].append((anchor, answer))
    return [
        pair
        for group, read in requests.items()
        for first, second in itertools.combinations(read, 2)
        for pair in _pairs(group, first, second, raw_slope)
    ]


def _pairs(
    group: str,
    first: tuple[RecordedAnchor, SubScores],
    second: tuple[RecordedAnchor, SubScores],
    raw_slope: float,
) -> list[JudgedPair]:
    (a, says_a), (b, says_b) = first, second
    scores_a, scores_b = _scores(says_a), _scores(says_b)
    features = tuple(x - y for x, y in zip(_features(says_a), _features(says_b), strict=True))
    found = []
    for dimension, ratings_a in _ratings(a).items():
        ratings_b = _ratings(b)[dimension]
        difference = scores_a[dimension] - scores_b[dimension]
        found.append(
            JudgedPair(
                group=group,
                dimension=dimension,
                label=_wins(_mean(ratings_a), _mean(ratings_b)),
                said=float(sigmoid(raw_slope * difference)),
                difference=difference,
                features=features if dimension == Dimension.TOTAL else (),
                raters=tuple(_wins(x, y) for x, y in zip(ratings_a, ratings_b, strict=False)),
                source=a.task,
            )
        )
    return found


def _scores(answer: SubScores) -> dict[Dimension, float]:
    semantic, quality = min(answer.SC) / POINTS, min(answer.PQ) / POINTS
    return {
        Dimension.TOTAL: math.sqrt(semantic * quality),
        Dimension.INTENT_MATCH: semantic,
        Dimension.TECHNICAL: quality,
    }


def _features(answer: SubScores) -> tuple[float, ...]:
    return tuple(
        value / POINTS
        for points in (answer.SC, answer.PQ)
        for value in (min(points), sum(points) / len(points))
    )


def _ratings(anchor: RecordedAnchor) -> dict[Dimension, list[float]]:
    return {
        Dimension.TOTAL: [math.sqrt(semantic * quality) for semantic, quality in anchor.human],
        Dimension.INTENT_MATCH: [semantic for semantic, _ in anchor.human],
        Dimension.TECHNICAL: [quality for _, quality in anchor.human],
    }


def _mean(ratings: Sequence[float]) -> float:
    return round(sum(ratings) / len(ratings), _DIGITS)


def _wins(first: float, second: float) -> float:
    return 0.5 if first == second else float(first > second)
