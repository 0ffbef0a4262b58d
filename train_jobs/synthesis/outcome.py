"""What became of a sample: a pair that may be taken, a pair that may not, or a failure with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from actors.contracts import Failure, PairRecord


@dataclass(frozen=True)
class Made:
    """A judged pair. `gap` is the distance of the two totals, 0..1."""

    index: int
    record: PairRecord
    gap: float


@dataclass(frozen=True)
class Refused:
    """No pair, for a reason that lies in the sample: making it again would not help."""

    index: int
    reason: str
    """`audit_text`, `audit_picture`, `same_picture`, `no_total`."""


@dataclass(frozen=True)
class Failed:
    """No pair because a stage failed: the sample is put into quarantine."""

    index: int
    id: str
    failure: Failure


Outcome = Made | Refused | Failed
