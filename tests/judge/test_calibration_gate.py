from __future__ import annotations

from typing import Any

import pytest

from actors.judge.calibration.gate import Gate, gate
from configs.calibration import GateSettings

BARS = GateSettings(
    max_parse_failure_rate=0.02,
    max_tie_rate=0.3,
    min_swap_consistency=0.8,
    min_pairs=24,
    min_accuracy=0.6,
    max_ece=0.15,
)
AT_THE_BARS: dict[str, Any] = {
    "parse_failure_rate": 0.02,
    "tie_rate": 0.3,
    "swap_consistency": 0.8,
    "comparative": True,
    "pairs": 24,
    "accuracy_low": 0.6,
    "ece": 0.15,
}


def held(**change: Any) -> Gate:
    return gate(BARS, **(AT_THE_BARS | change))


def test_a_judge_at_the_bars_passes() -> None:
    assert held().passed
    assert len(held().checks) == 6


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"parse_failure_rate": 0.021}, "parse_failure_rate"),
        ({"tie_rate": 0.31}, "tie_rate"),
        ({"swap_consistency": 0.79}, "swap_consistency"),
        ({"pairs": 23}, "decided_pairs"),
        ({"accuracy_low": 0.59}, "accuracy_lower_bound"),
        ({"ece": 0.151}, "ece"),
    ],
)
def test_each_bar_refuses_and_is_named(change: dict[str, float], name: str) -> None:
    (check,) = held(**change).failed
    assert check.name == name
    assert name.replace("_", " ") in str(check) and "accepted" in str(check)


@pytest.mark.parametrize("missing", ["parse_failure_rate", "tie_rate", "swap_consistency", "ece"])
def test_what_was_not_measured_does_not_pass(missing: str) -> None:
    (check,) = held(**{missing: None}).failed
    assert "not measured" in str(check)


def test_a_pointwise_judge_is_not_asked_about_orders() -> None:
    assert held(comparative=False, swap_consistency=None).passed


def test_bars_are_settings() -> None:
    assert gate(GateSettings(max_tie_rate=0.5), **(AT_THE_BARS | {"tie_rate": 0.4})).passed
    everything = {"parse_failure_rate": 1.0, "tie_rate": 1.0, "swap_consistency": 0.0, "pairs": 0}
    assert len(held(**everything, accuracy_low=0.0, ece=1.0).failed) == 6


def test_a_gate_survives_json() -> None:
    found = held(ece=None)
    assert Gate.model_validate_json(found.model_dump_json()) == found
