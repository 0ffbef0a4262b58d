"""The reward model: what it learns, and that fitting is exact to repeat."""

import math

import pytest
import torch

from configs.loop import RewardModelSettings
from train_jobs.loop.lessons.reward_model import Judged, RewardModel, _loss

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
    assert _error(_fitted(judged, 4, 4), judged) < _error(_fitted(judged, 4), judged)


def test_a_dimension_that_was_not_judged_takes_no_part():
    rows = [[0, VALUES, 2 * VALUES]] * 2
    judged = Judged.of(rows, [True, False], [{}, {"color": 0.5}])
    logits = torch.zeros_like(judged.told, requires_grad=True)
    _loss(logits, judged.told).backward()
    assert torch.equal(logits.grad != 0, judged.told.isfinite() & (judged.told != 0.5))


@pytest.mark.parametrize("steps", range(1, 12))
def test_any_number_of_steps_is_fitted(steps):
    judged = _judged(0, 100)
    model = RewardModel(SLOTS * VALUES, SLOTS, SMALL, 0)
    model.fit(judged, 64 * steps)
    assert model.logits(judged.rows).isfinite().all()


def test_weights_are_taken_up_again(tmp_path):
    judged = _judged(0, 200)
    model = _fitted(judged, 3)
    model.save(tmp_path / "model.safetensors", 7)
    other = RewardModel(SLOTS * VALUES, SLOTS, SMALL, 9)
    assert other.load(tmp_path / "model.safetensors") == 7
    assert torch.equal(other.logits(judged.rows), model.logits(judged.rows))


def test_what_progress_raises_ends_the_fitting():
    def ended(done: int, total: int) -> None:
        if done == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        RewardModel(SLOTS * VALUES, SLOTS, SMALL, 0).fit(_judged(0, 500), 50_000, ended)


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


def _error(model: RewardModel, judged: Judged) -> float:
    return float(
        torch.nn.functional.binary_cross_entropy_with_logits(model.logits(judged.rows), judged.told[:, 0])
    )
