"""The reward model: what it learns, and that fitting is exact to repeat."""

import math

import pytest
import torch

from configs.loop import RewardModelSettings
from train_jobs.loop.lessons.reward_model import Judged, RewardModel

SMALL = RewardModelSettings(crosses=(0, 1), width=8, hidden=32, layers=2, batch=64)
SLOTS, VALUES = 3, 6


def _judged(seed: int, count: int) -> Judged:
    """Admitted where the first slot says as the second, which no slot tells by itself."""
    rows = torch.randint(VALUES, (count, SLOTS), generator=torch.Generator().manual_seed(seed))
    told = (rows[:, 0] == rows[:, 1]).tolist()
    scores = [{"color": 0.9 if each else 0.1, "unknown": 1.0} for each in told]
    return Judged.of((rows + torch.tensor([0, VALUES, 2 * VALUES])).tolist(), told, scores)


def _fitted(judged: Judged, *epochs: int, seed: int = 0) -> RewardModel:
    model = RewardModel(SLOTS * VALUES, SLOTS, SMALL, seed)
    for each in epochs:
        model.fit(judged, each * len(judged))
    return model


def test_it_tells_answers_that_it_never_saw_apart():
    seen, other = _judged(0, 3000), _judged(1, 500)
    logits = _fitted(seen, 20).logits(other.rows)
    right = (logits > 0) == (other.told[:, 0] > 0.5)
    assert right.float().mean() > 0.95


def test_the_same_draws_and_seed_give_the_same_model_whatever_the_threads():
    judged = _judged(0, 300)
    one, two = (
        RewardModel(SLOTS * VALUES, SLOTS, SMALL.model_copy(update={"threads": threads}), 3)
        for threads in (1, 2)
    )
    for model in (one, two):
        model.fit(judged, 600)
    assert torch.equal(one.logits(judged.rows), two.logits(judged.rows))
    assert not torch.equal(one.logits(judged.rows), _fitted(judged, 2, seed=4).logits(judged.rows))


def test_it_goes_on_from_what_it_knows():
    judged = _judged(0, 2000)
    assert _loss(_fitted(judged, 4, 4), judged) < _loss(_fitted(judged, 4), judged)


def test_a_dimension_that_was_not_judged_takes_no_part():
    rows = [[0, VALUES, 2 * VALUES]] * 4
    judged = Judged.of(rows, [True] * 4, [{}, {"color": 0.5}, {}, {}])
    assert judged.told[:, 1:].isnan().sum() == judged.told[:, 1:].numel() - 1
    assert _fitted(judged, 3).logits(judged.rows).isfinite().all()


def test_draws_are_added():
    both = _judged(0, 5) + _judged(1, 7)
    assert len(both) == 12 and both.told.shape[0] == 12
    assert len(Judged.none(SLOTS) + both) == 12


@pytest.mark.parametrize("rows", [1, 9000])
def test_any_number_of_rows_is_looked_up(rows):
    model = _fitted(_judged(0, 64), 1)
    many = _judged(0, 1).rows.expand(rows, -1)
    logits = model.logits(many)
    assert logits.shape == (rows,) and math.isclose(logits.min(), logits.max(), rel_tol=1e-4)


def _loss(model: RewardModel, judged: Judged) -> float:
    return float(
        torch.nn.functional.binary_cross_entropy_with_logits(model.logits(judged.rows), judged.told[:, 0])
    )
