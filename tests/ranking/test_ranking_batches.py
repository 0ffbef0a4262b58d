from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actors.contracts import ASPECTS
from actors.errors import BadInput
from actors.pixels import frame_size
from actors.scorer.architecture import PRESETS
from actors.scorer.patches import choose_grid
from train_jobs.ranking.batches import Batch, micro, padding_waste, plan

Lengths = NDArray[np.int64]
WASTE = 0.1


def same_frame(lengths: object) -> Lengths:
    """Both pictures of a pair have the query's aspect."""
    return np.stack([np.asarray(lengths)] * 2, axis=1)


def drawn(pairs: int, seed: int = 0) -> Lengths:
    return np.random.default_rng(seed).integers(64, 589, (pairs, 2))


@st.composite
def settings(draw: st.DrawFn) -> tuple[Lengths, int, int, int, int]:
    ranks = draw(st.integers(1, 5))
    batch = ranks * draw(st.integers(1, 6))
    pairs = draw(st.integers(ranks, 300))
    seed, epoch = draw(st.integers(0, 2**31 - 1)), draw(st.integers(0, 50))
    return drawn(pairs, seed), batch, ranks, seed, epoch


@given(settings())
def test_every_pair_is_seen_once_but_fewer_than_the_ranks(given: tuple[Lengths, int, int, int, int]) -> None:
    lengths, batch, ranks, seed, epoch = given
    found = plan(lengths, batch, ranks, seed, epoch)
    seen = [index for each in found for index in each.pairs]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(len(lengths)))
    assert len(lengths) - len(seen) == len(lengths) % ranks


@given(settings())
def test_batches_are_full_but_the_last_and_even_over_the_ranks(
    given: tuple[Lengths, int, int, int, int],
) -> None:
    lengths, batch, ranks, seed, epoch = given
    found = plan(lengths, batch, ranks, seed, epoch)
    assert all(len(each.pairs) == batch for each in found[:-1])
    assert 0 < len(found[-1].pairs) <= batch
    for each in found:
        assert len(each.ranks) == ranks
        assert len({len(own) for own in each.ranks}) == 1


@given(settings())
def test_seed_and_epoch_decide_the_order(given: tuple[Lengths, int, int, int, int]) -> None:
    lengths, batch, ranks, seed, epoch = given
    assert plan(lengths, batch, ranks, seed, epoch) == plan(lengths.copy(), batch, ranks, seed, epoch)


def test_each_epoch_and_seed_has_an_order_of_its_own() -> None:
    lengths = drawn(500)
    orders = [plan(lengths, 10, 2, seed, epoch) for seed in (0, 1) for epoch in range(4)]
    assert len({tuple(batch.pairs for batch in order) for order in orders}) == len(orders)
    together = [{frozenset(batch.pairs) for batch in order} for order in orders]
    assert not together[0] & together[1]


def test_lengths_do_not_come_in_order() -> None:
    lengths = same_frame(np.arange(1, 301))
    for epoch in range(5):
        means = [np.mean(batch.pairs) for batch in plan(lengths, 10, 1, 0, epoch)]
        assert abs(np.corrcoef(means, np.arange(30))[0, 1]) < 0.5


def test_no_pair_is_dropped_twice_before_the_others() -> None:
    lengths, everything = drawn(23), set(range(23))
    dropped = [
        everything - {index for batch in plan(lengths, 8, 4, 0, epoch) for index in batch.pairs}
        for epoch in range(23)
    ]
    assert all(len(each) == 3 for each in dropped)
    assert all(len(set().union(*dropped[start : start + 7])) == 21 for start in range(16))
    assert set(Counter(index for each in dropped for index in each).values()) == {3}


def test_the_short_batch_is_not_always_of_the_longest() -> None:
    lengths = same_frame(np.arange(1, 106))
    shortest = [min(plan(lengths, 10, 1, 0, epoch)[-1].pairs) for epoch in range(40)]
    assert min(shortest) < 20
    assert max(shortest) > 80


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_little_is_padded_of_the_five_aspects(preset: str, ranks: int) -> None:
    budget = PRESETS[preset].image.budget
    of = [len(choose_grid(*frame_size(aspect, 512), budget)) for aspect in ASPECTS]
    lengths = same_frame(np.random.default_rng(0).choice(of, 700))
    assert padding_waste(plan(lengths, 32, ranks, 0, 0), lengths) < WASTE


@pytest.mark.parametrize("ranks", [1, 2, 8])
@pytest.mark.parametrize("pairs", [512, 1000, 1535, 5003])
def test_little_is_padded_of_mixed_sizes(pairs: int, ranks: int) -> None:
    lengths = same_frame(np.random.default_rng(pairs).integers(64, 589, pairs))
    waste = [padding_waste(plan(lengths, 32, ranks, 0, epoch), lengths) for epoch in range(3)]
    assert max(waste) < WASTE


def test_pictures_of_one_pair_that_differ_pad_each_other_and_little_else() -> None:
    lengths = drawn(2000)
    alone = 1 - lengths.sum() / (2 * lengths.max(axis=1).sum())
    assert padding_waste(plan(lengths, 32, 1, 0, 0), lengths) < alone + 0.05


def test_waste_by_hand() -> None:
    lengths = np.array([[10, 10], [5, 10], [20, 20], [1, 1]])
    assert padding_waste([Batch(((0, 1), (2, 3)))], lengths) == pytest.approx(1 - (35 + 42) / (40 + 80))
    assert padding_waste([Batch(((2,), (0,))), Batch(((3,), (0,)))], lengths) == 0.0
    assert padding_waste([], lengths) == 0.0


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 9000))
def test_micro_batches_hold_what_fits_and_no_less(seed: int, n: int, room: int) -> None:
    lengths = drawn(60, seed)
    indices = tuple(int(i) for i in np.random.default_rng(seed).permutation(60)[:n])
    cut = micro(indices, lengths, room)
    assert sum(cut, ()) == indices
    assert all(cut)

    def padded(members: tuple[int, ...]) -> int:
        return 2 * len(members) * int(lengths[list(members)].max())

    assert all(padded(members) <= room or len(members) == 1 for members in cut)
    for one, following in pairwise(cut):
        assert padded((*one, following[0])) > room


def test_nothing_is_cut_into_nothing() -> None:
    assert micro([], drawn(3), 100) == []


@pytest.mark.parametrize(("batch", "ranks"), [(10, 3), (0, 1), (4, 0), (-4, 2), (2, 4)])
def test_a_batch_that_cannot_be_divided_is_refused(batch: int, ranks: int) -> None:
    with pytest.raises(BadInput, match="accepted: a multiple of the ranks"):
        plan(drawn(20), batch, ranks, 0, 0)


def test_fewer_pairs_than_ranks_are_refused() -> None:
    with pytest.raises(BadInput, match="3 pairs for 4 ranks"):
        plan(drawn(3), 8, 4, 0, 0)


@pytest.mark.parametrize(
    "lengths", [np.ones(4, int), np.ones((4, 3), int), np.ones((4, 2)), np.zeros((4, 2), int)]
)
def test_what_are_no_lengths_is_refused(lengths: np.ndarray) -> None:
    with pytest.raises(BadInput, match=r"accepted: int \[pairs, 2\]"):
        plan(lengths, 2, 1, 0, 0)
