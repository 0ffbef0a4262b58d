"""From judged pairs to a report. Pure.

Requests are split into folds; each fold is measured with a model fitted on the others, so that no number is
of a pair that its model has seen. The slopes that are handed out are then fitted on all pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actors.contracts import Dimension
from actors.errors import BadInput
from actors.judge.calibration.agreement import cohen_kappa, krippendorff_alpha
from actors.judge.calibration.bradley_terry import BradleyTerry, distinguishable, fit
from actors.judge.calibration.gate import gate
from actors.judge.calibration.reliability import Quality, quality, shares_right
from actors.judge.calibration.report import CalibrationReport, DimensionReport, Kind, Mode, Source
from actors.judge.calibration.split import folds_of
from configs.calibration import CalibrationSettings

SIDES = (-1.0, 0.0, 1.0)
_EVEN = 1e-9
Row = tuple[float, ...]


@dataclass(frozen=True)
class JudgedPair:
    """One pair in one dimension: what the judge said and what is known."""

    group: str
    dimension: Dimension
    label: float
    """Probability that a wins; 0.5 is a tie, which is left out of all but the agreement."""
    said: float
    """The judge's own, uncalibrated probability that a wins."""
    difference: float
    """Score of a less score of b."""
    features: tuple[float, ...] = ()
    """Differences of sub-scores, where the judge gives some."""
    raters: tuple[float, ...] = ()
    """Each rater's own label."""
    source: str = ""
    """What kind of pair it is, for a table of where the judge is weak."""


@dataclass(frozen=True)
class Origin:
    """Where judged pairs come from."""

    judge: str
    judge_version: str
    anchors: Kind
    mode: Mode
    pairs: int
    questions: int
    failures: Mapping[str, int]
    swap_consistency: float | None = None
    features: tuple[str, ...] = ()
    """Names of the pairs' features."""

    @property
    def parse_failure_rate(self) -> float | None:
        """Share of the questions without an answer."""
        return sum(self.failures.values()) / self.questions if self.questions else None


@dataclass(frozen=True)
class _Measured:
    """Pairs of one dimension, and their calibrated probabilities by models that have not seen them."""

    pairs: list[JudgedPair]
    after: list[float]


def measure(pairs: Sequence[JudgedPair], origin: Origin, settings: CalibrationSettings) -> CalibrationReport:
    """Calibrate every dimension and sum up.

    Raises:
        BadInput: nothing was judged, or no pair has a winner.
    """
    decided = [pair for pair in pairs if abs(pair.label - 0.5) > _EVEN]
    if not decided:
        raise BadInput(
            f"{len(pairs)} pairs were judged and none has a winner ({sum(origin.failures.values())} of "
            f"{origin.questions} questions failed); accepted: anchors with labels other than 0.5"
        )
    folds = folds_of((pair.group for pair in pairs), settings.folds, settings.seed)
    dimensions: dict[Dimension, DimensionReport] = {}
    measured: dict[Dimension, _Measured] = {}
    for dimension in Dimension:
        if own := [pair for pair in decided if pair.dimension == dimension]:
            dimensions[dimension], measured[dimension] = _dimension(own, folds, origin.features, settings)
    only_total = Dimension.TOTAL in dimensions
    shown = [Dimension.TOTAL] if only_total else list(dimensions)
    headline = [pair for pair in pairs if pair.dimension in shown]
    before, after = _pooled([measured[dimension] for dimension in shown], settings)
    tie_rate = _tie_rate(headline)
    kappa, alpha = _agreement([(pair.said, pair.label) for pair in headline])
    human_kappa, human_alpha = _agreement([pair.raters for pair in headline])
    return CalibrationReport(
        judge=origin.judge,
        judge_version=origin.judge_version,
        anchors=origin.anchors,
        mode=origin.mode,
        pairs=origin.pairs,
        groups=len({pair.group for pair in pairs}),
        questions=origin.questions,
        failures=dict(sorted(origin.failures.items())),
        parse_failure_rate=origin.parse_failure_rate,
        tie_rate=tie_rate,
        swap_consistency=origin.swap_consistency,
        kappa=kappa,
        alpha=alpha,
        human_kappa=human_kappa,
        human_alpha=human_alpha,
        headline="total" if only_total else "all",
        before=before,
        after=after,
        sources=_sources(headline),
        dimensions=dimensions,
        slopes={name: found.slope for name, found in dimensions.items() if found.slope is not None},
        thresholds=settings.gate,
        gate=gate(
            settings.gate,
            parse_failure_rate=origin.parse_failure_rate,
            tie_rate=tie_rate,
            swap_consistency=origin.swap_consistency,
            comparative=origin.mode == "comparative",
            pairs=after.n,
            accuracy_low=after.interval[0],
            ece=after.ece,
        ),
        seed=settings.seed,
    )


def _dimension(
    pairs: Sequence[JudgedPair],
    folds: Mapping[str, int],
    names: Sequence[str],
    settings: CalibrationSettings,
) -> tuple[DimensionReport, _Measured]:
    """Measure a dimension fold by fold, and fit what is handed out if every fold could be trusted."""
    measured = _Measured([], [])
    trusted = True
    for fold in range(settings.folds):
        fitted = [pair for pair in pairs if folds[pair.group] != fold]
        others = [pair for pair in pairs if folds[pair.group] == fold]
        model = _trusted(fitted, settings)
        trusted = trusted and model is not None
        measured.pairs.extend(others)
        measured.after.extend(
            model.probability(_rows(others)).tolist() if model and others else [0.5] * len(others)
        )
    weights = [0.0] * len(names)
    slope = None if len(pairs) < settings.gate.min_pairs else 0.0
    if trusted:
        slope = _fit(pairs, [(pair.difference,) for pair in pairs], settings).weights[0]
        weights = list(_fit(pairs, _rows(pairs), settings).weights)
    else:
        measured.after[:] = [0.5] * len(pairs)
    before, after = _pooled([measured], settings)
    report = DimensionReport(
        slope=slope,
        weights=dict(zip(names, weights, strict=True)) if pairs[0].features else {},
        distinguishable=trusted,
        before=before,
        after=after,
    )
    return report, measured


def _trusted(pairs: Sequence[JudgedPair], settings: CalibrationSettings) -> BradleyTerry | None:
    """The fitted model; None where the judge's score cannot be told from chance.

    Sub-scores, which overfit sooner, are trusted only where the score that is made of them is.
    """
    told = bool(pairs) and distinguishable(
        [pair.difference for pair in pairs],
        [pair.label for pair in pairs],
        [pair.group for pair in pairs],
        l2=settings.l2,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return _fit(pairs, _rows(pairs), settings) if told else None


def _fit(pairs: Sequence[JudgedPair], rows: Sequence[Row], settings: CalibrationSettings) -> BradleyTerry:
    return fit(rows, [pair.label for pair in pairs], l2=settings.l2)


def _rows(pairs: Sequence[JudgedPair]) -> list[Row]:
    """What the model sees of each pair: the sub-scores' differences, or the one score's."""
    return [pair.features or (pair.difference,) for pair in pairs]


def _pooled(parts: Sequence[_Measured], settings: CalibrationSettings) -> tuple[Quality, Quality]:
    """The judge's own probabilities and the calibrated ones on the same pairs."""
    pairs = [pair for part in parts for pair in part.pairs]
    labels, groups = [pair.label for pair in pairs], [pair.group for pair in pairs]
    before, after = (
        quality(values, labels, groups, resamples=settings.resamples, seed=settings.seed)
        for values in (
            [pair.said for pair in pairs],
            [value for part in parts for value in part.after],
        )
    )
    return before, after


def _tie_rate(pairs: Sequence[JudgedPair]) -> float:
    """Share of the pairs with a winner between which the judge sees no difference."""
    decided = [pair for pair in pairs if abs(pair.label - 0.5) > _EVEN]
    return sum(abs(pair.said - 0.5) <= _EVEN for pair in decided) / len(decided)


def _sources(pairs: Sequence[JudgedPair]) -> dict[str, Source]:
    found = {}
    for name in sorted({pair.source for pair in pairs if pair.source}):
        own = [pair for pair in pairs if pair.source == name and abs(pair.label - 0.5) > _EVEN]
        if own:
            right = shares_right([pair.said for pair in own], [pair.label for pair in own])
            found[name] = Source(n=len(own), accuracy=float(right.mean()))
    return found


def _agreement(rows: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """(kappa, alpha) of labels by pair and rater: the mean kappa of two raters, and alpha of all of them.

    Each pair counts in both orientations: which of two pictures is called a must not matter.
    """
    raters = max((len(row) for row in rows), default=0)
    columns = [[_side(row[k]) if k < len(row) else None for row in rows] for k in range(raters)]
    mirrored = [[*column, *(None if v is None else -v for v in column)] for column in columns]
    kappas = []
    for one, other in itertools.combinations(mirrored, 2):
        both = [(v, w) for v, w in zip(one, other, strict=True) if v is not None and w is not None]
        found = cohen_kappa([v for v, _ in both], [w for _, w in both], SIDES, "linear")
        if found is not None:
            kappas.append(found)
    return (
        float(np.mean(kappas)) if kappas else None,
        krippendorff_alpha(mirrored, "ordinal") if raters > 1 else None,
    )


def _side(probability: float) -> float:
    if abs(probability - 0.5) <= _EVEN:
        return 0.0
    return 1.0 if probability > 0.5 else -1.0
