"""Which pairs are taken: decided in the order of the index, whatever the timing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.pixels import hash_distance
from configs.synthesis import SynthesisSettings
from tests.synthesis.simulated import outcome, spec
from train_jobs.synthesis.outcome import Made
from train_jobs.synthesis.selection import Selector

MADE = [made for made in (outcome(spec().sample(i)) for i in range(200)) if isinstance(made, Made)]


def made(number: int, gap: float, hashes: tuple[int, int], consistent: bool = True) -> Made:
    record = MADE[number % len(MADE)].record
    a, b = (
        side.model_copy(update={"phash": f"{value:016x}"})
        for side, value in zip((record.a, record.b), hashes, strict=True)
    )
    return Made(number, record.model_copy(update={"a": a, "b": b, "consistent": consistent}), gap)


def decided(selector: Selector, pairs: list[Made]) -> list[str | None]:
    return [selector.decide(pair) for pair in pairs]


pairs = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 2**64 - 1), st.integers(0, 255)), min_size=1, max_size=60
).map(lambda rows: [made(n, gap, (first, second)) for n, (gap, first, second) in enumerate(rows)])


@given(pairs, st.floats(0, 1))
def test_at_least_the_share_is_hard_at_every_moment(given_pairs: list[Made], share: float) -> None:
    selector = Selector(SynthesisSettings(hard_share=share, near_bits=-1))
    for pair in given_pairs:
        selector.decide(pair)
        assert selector.taken.hard >= share * selector.taken.pairs - 1e-6


@given(pairs, st.integers(0, 60))
def test_going_on_later_decides_the_same(given_pairs: list[Made], cut: int) -> None:
    settings = SynthesisSettings()
    whole = Selector(settings)
    expected = decided(whole, given_pairs)
    first, second = Selector(settings), Selector(settings)
    found = decided(first, given_pairs[:cut])
    taken = [pair for pair, reason in zip(given_pairs, found, strict=False) if reason is None]
    second.resume(first.taken, [side.phash for p in taken for side in (p.record.a, p.record.b)])
    assert found + decided(second, given_pairs[cut:]) == expected
    assert second.taken == whole.taken


@given(pairs, st.integers(0, 8))
def test_no_two_pairs_share_a_picture_and_the_lowest_index_wins(given_pairs: list[Made], bits: int) -> None:
    selector = Selector(SynthesisSettings(hard_share=0, near_bits=bits))
    kept: list[Made] = []
    for pair in given_pairs:
        near = any(
            hash_distance(mine.phash, other.phash) <= bits
            for taken in kept
            for other in (taken.record.a, taken.record.b)
            for mine in (pair.record.a, pair.record.b)
        )
        alike = hash_distance(pair.record.a.phash, pair.record.b.phash) <= bits
        assert selector.decide(pair) == ("alike" if alike else "near_duplicate" if near else None)
        if not near and not alike:
            kept.append(pair)


def test_an_easy_pair_waits_for_hard_ones() -> None:
    selector = Selector(SynthesisSettings(hard_share=0.5, near_bits=-1))
    gaps = [0.9, 0.01, 0.9, 0.9, 0.02, 0.9]
    assert decided(selector, [made(n, gap, (n, ~n & 0xFF)) for n, gap in enumerate(gaps)]) == [
        "easy",
        None,
        None,
        "easy",
        None,
        None,
    ]


@pytest.mark.parametrize(("rule", "reason"), [("soften", None), ("drop", "inconsistent")])
def test_an_inconsistent_pair_is_softened_or_dropped(rule: Any, reason: str | None) -> None:
    selector = Selector(SynthesisSettings(inconsistent=rule, hard_share=0))
    assert selector.decide(made(0, 0.5, (0, 255), consistent=False)) == reason
