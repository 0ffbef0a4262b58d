from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace

from gepa.core.data_loader import ListDataLoader
from gepa.strategies.batch_sampler import EpochShuffledBatchSampler
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gepa.oracle import seeds
from train_jobs.gepa.minibatches import Minibatches


@given(seeds, st.integers(1, 7), st.integers(1, 20), st.lists(st.integers(1, 4), min_size=1, max_size=40))
@settings(deadline=None)
def test_batches_are_those_of_gepa(seed: int, size: int, examples: int, steps: list[int]) -> None:
    """Iterations may be passed over, as a merge does, and others draw from the same source in between."""
    rng, theirs = random.Random(seed), random.Random(seed)
    batches, sampler = Minibatches(size, examples, rng), EpochShuffledBatchSampler(size, theirs)
    loader, iteration = ListDataLoader(list(range(examples))), -1
    for step in steps:
        iteration += step
        state = SimpleNamespace(i=iteration)
        assert batches.batch(iteration) == sampler.next_minibatch_ids(loader, state)
        assert rng.random() == theirs.random()


@given(seeds, st.integers(1, 7), st.integers(1, 20))
@settings(deadline=None)
def test_an_epoch_has_every_example_and_full_batches(seed: int, size: int, examples: int) -> None:
    batches = Minibatches(size, examples, random.Random(seed))
    an_epoch = -(-examples // size)
    for epoch in range(3):
        found = [batches.batch(epoch * an_epoch + each) for each in range(an_epoch)]
        assert all(len(batch) == size for batch in found)
        seen = Counter(index for batch in found for index in batch)
        assert set(seen) == set(range(examples))
        # What fills the last batch up are the least used: nobody is taken twice more than another.
        assert max(seen.values()) - min(seen.values()) <= 1


def test_each_epoch_has_an_order_of_its_own() -> None:
    batches = Minibatches(5, 10, random.Random(0))
    orders = [tuple(batches.batch(2 * epoch) + batches.batch(2 * epoch + 1)) for epoch in range(6)]
    assert len(set(orders)) == 6
