"""What a calibration found: the report that people read and that synthesis takes its slopes from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from actors.contracts import Contract, Dimension, UnitFloat
from actors.errors import BadInput
from actors.judge.calibration.bradley_terry import sigmoid
from actors.judge.calibration.gate import Gate
from actors.judge.calibration.reliability import Quality
from configs.calibration import GateSettings

FORMAT: Literal[1] = 1
_SOURCE = "the report.json of `atelier judge calibrate`"
Kind = Literal["human", "constructed"]
Mode = Literal["pointwise", "comparative"]


class DimensionReport(Contract):
    """One dimension's calibration; `before` and `after` are of the same pairs, all those with a winner."""

    slope: float | None
    """Log-odds that a wins, a unit of score difference a - b; of a comparative judge, a unit of 2 p - 1.
    0 where the judge cannot be told from chance; None where there are too few pairs to say."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Log-odds a unit of each sub-score's difference, where the judge gives sub-scores; `after` is theirs."""
    distinguishable: bool
    """Whether the judge's score is told from chance in every fold; if not, slope and weights are zero."""
    before: Quality
    """Of the judge's own probabilities."""
    after: Quality
    """Of the calibrated ones, each by a model that was fitted on other requests."""


class Source(Contract):
    """The judge's own answers on one kind of pair, all of them."""

    n: int
    accuracy: UnitFloat


class CalibrationReport(Contract):
    """How far a judge can be trusted, and whether it may judge in mass."""

    format: Literal[1] = FORMAT
    judge: str
    """Backend, or the name of the recorded judge."""
    judge_version: str
    anchors: Kind
    """`constructed`: pairs whose winner is known by how they were made. They check the machinery, and say
    nothing about agreement with people."""
    mode: Mode
    pairs: int
    groups: int
    """Requests; a whole request is in one fold."""
    questions: int
    failures: dict[str, int]
    """Questions without an answer by the failure's kind."""
    parse_failure_rate: float | None
    tie_rate: float | None
    """Pairs with a winner between which the judge sees no difference."""
    swap_consistency: float | None
    """Pairs on which both orders agree; None of a pointwise judge, which sees no order."""
    kappa: float | None
    """Judge and anchors: linearly weighted over a wins, tie, b wins; every pair in both orientations."""
    alpha: float | None
    """Krippendorff's alpha of the same, ordinal."""
    human_kappa: float | None = None
    """Mean kappa of two raters, where anchors hold the raters' own labels."""
    human_alpha: float | None = None
    headline: Literal["total", "all"]
    """What the numbers above, `before` and `after` are of: the total, or all dimensions pooled."""
    before: Quality
    after: Quality
    sources: dict[str, Source]
    """By kind of pair, uncalibrated: the task of recorded anchors, how a constructed pair was made."""
    dimensions: dict[Dimension, DimensionReport]
    slopes: dict[Dimension, float]
    """P(a wins) = 1 / (1 + exp(-slope (a - b))); a dimension with too few pairs is absent."""
    thresholds: GateSettings
    gate: Gate
    seed: int

    def probability(self, dimension: Dimension, difference: float) -> float:
        """Calibrated probability that a wins, from a score difference a - b; 0.5 where no slope is known."""
        return float(sigmoid(self.slopes.get(dimension, 0.0) * difference))


def read_report(path: Path) -> CalibrationReport:
    """A `report.json` that `atelier judge calibrate` wrote.

    Raises:
        BadInput: there is no such file, or it is no calibration report.
    """
    try:
        return CalibrationReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); accepted: {_SOURCE}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "the file"
        raise BadInput(f"{path}: {where}: {problem['msg']}; accepted: {_SOURCE}") from None
