"""The gate before mass judging: what a judge must reach, and what it missed. Pure."""

from __future__ import annotations

from typing import Literal

from actors.contracts import Contract
from configs.calibration import GateSettings


class Check(Contract):
    """One number against its bar."""

    name: str
    value: float | None
    """None where it could not be measured, which fails the check."""
    rule: Literal["at most", "at least"]
    bar: float

    @property
    def passed(self) -> bool:
        """Whether the bar is kept."""
        if self.value is None:
            return False
        return self.value <= self.bar if self.rule == "at most" else self.value >= self.bar

    @property
    def shown(self) -> str:
        """The value as people read it."""
        return "not measured" if self.value is None else self._as_read(self.value)

    @property
    def shown_bar(self) -> str:
        """The bar as people read it."""
        return self._as_read(self.bar)

    def _as_read(self, number: float) -> str:
        if self.name == "decided_pairs":
            return f"{number:.0f}"
        return f"{number:.3f}" if self.name == "ece" else f"{100 * number:.3g}%"

    def __str__(self) -> str:
        return f"{self.name.replace('_', ' ')} is {self.shown}; accepted: {self.rule} {self.shown_bar}"


class Gate(Contract):
    """All checks of a calibration."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that were not passed, in order."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def passed(self) -> bool:
        """Whether mass judging may start."""
        return not self.failed


def gate(
    settings: GateSettings,
    *,
    parse_failure_rate: float | None,
    tie_rate: float | None,
    swap_consistency: float | None,
    comparative: bool,
    pairs: int,
    accuracy_low: float,
    ece: float | None,
) -> Gate:
    """Hold a judge's numbers against the settings; swap consistency is asked of comparative judging only."""
    checks = [
        Check(
            name="parse_failure_rate",
            value=parse_failure_rate,
            rule="at most",
            bar=settings.max_parse_failure_rate,
        ),
        Check(name="tie_rate", value=tie_rate, rule="at most", bar=settings.max_tie_rate),
        Check(
            name="swap_consistency",
            value=swap_consistency,
            rule="at least",
            bar=settings.min_swap_consistency,
        ),
        Check(name="decided_pairs", value=pairs, rule="at least", bar=settings.min_pairs),
        Check(name="accuracy_lower_bound", value=accuracy_low, rule="at least", bar=settings.min_accuracy),
        Check(name="ece", value=ece, rule="at most", bar=settings.max_ece),
    ]
    return Gate(checks=tuple(c for c in checks if comparative or c.name != "swap_consistency"))
