"""What a score means. Pure.

The scores of a Bradley-Terry model (Bradley & Terry 1952) have neither origin nor unit: the loss sees
differences alone, and how large they grow hangs on how long and on how strictly it was trained. Mean and
deviation over a set of pictures give the origin and the unit, a temperature turns a difference into an honest
probability.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from actors.contracts import Contract, Dimension
from actors.errors import BadInput

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Calibration(Contract):
    """How the scores of one model are spread over the pictures it was calibrated on, by dimension."""

    mean: dict[Dimension, Finite]
    deviation: dict[Dimension, Positive]
    temperature: dict[Dimension, Positive | None]
    """Difference of scores at which the better picture wins with odds of e; None where the scores cannot be
    told from chance."""

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if not self.mean.keys() == self.deviation.keys() == self.temperature.keys():
            raise ValueError("mean, deviation and temperature are not of the same dimensions")
        return self

    def z(self, dimension: Dimension, score: float) -> float:
        """Standard deviations above the mean picture."""
        self.require((dimension,))
        return (score - self.mean[dimension]) / self.deviation[dimension]

    def unit(self, dimension: Dimension, score: float) -> float:
        """The share of pictures that score lower, if scores are normally distributed: 0..1."""
        return 0.5 * math.erfc(-self.z(dimension, score) / math.sqrt(2))

    def probability(self, dimension: Dimension, a: float, b: float) -> float:
        """The probability that the picture of score `a` is better than that of `b`."""
        self.require((dimension,))
        temperature = self.temperature[dimension]
        return 0.5 if temperature is None else _sigmoid((a - b) / temperature)

    def require(self, dimensions: Iterable[Dimension]) -> None:
        """Check that all of the dimensions are calibrated.

        Raises:
            BadInput: one is not.
        """
        if missing := [dimension for dimension in dimensions if dimension not in self.mean]:
            raise BadInput(f"dimension {missing[0]} is not calibrated; accepted: {', '.join(self.mean)}")


def _sigmoid(x: float) -> float:
    small = math.exp(-abs(x))
    return (1 if x >= 0 else small) / (1 + small)
