from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gepa.strategies.acceptance import ImprovementOrEqualAcceptance, StrictImprovementAcceptance
from hypothesis import given
from hypothesis import strategies as st

from train_jobs.gepa.acceptance import AcceptanceName, accepts

RULES: list[AcceptanceName] = ["strict_improvement", "improvement_or_equal"]
some = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 1.0]), min_size=1, max_size=6)


@pytest.mark.parametrize("rule", RULES)
@given(some, some)
def test_without_tolerance_as_gepa(rule: AcceptanceName, before: list[float], after: list[float]) -> None:
    proposal: Any = SimpleNamespace(subsample_scores_before=before, subsample_scores_after=after)
    state: Any = None
    criteria = {
        "strict_improvement": StrictImprovementAcceptance(),
        "improvement_or_equal": ImprovementOrEqualAcceptance(),
    }
    assert accepts(rule, before, after) == criteria[rule].should_accept(proposal, state)


@pytest.mark.parametrize(
    ("gain", "strict", "equal"),
    [(-1.0, False, False), (-0.5, False, True), (0.0, False, True), (0.5, False, True), (0.75, True, True)],
)
def test_tolerance_by_hand(gain: float, strict: bool, equal: bool) -> None:
    before, after = [1.0, 1.0, 0.0], [1.0, 1.0, gain]
    assert accepts("strict_improvement", before, after, tolerance=0.5) is strict
    assert accepts("improvement_or_equal", before, after, tolerance=0.5) is equal


@given(some, some, st.floats(0, 2), st.floats(0, 2))
def test_more_tolerance_is_harder_to_beat_and_easier_to_equal(
    before: list[float], after: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    strict, equal = RULES
    assert accepts(strict, before, after, low) >= accepts(strict, before, after, high)
    assert accepts(equal, before, after, low) <= accepts(equal, before, after, high)
    assert accepts(strict, before, after, low) <= accepts(equal, before, after, low)
