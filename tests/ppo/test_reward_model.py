"""The reward model: what it learns, and that fitting is exact to repeat."""

import asyncio
import math

import pytest
import torch
from safetensors.torch import save_file

from actors.contracts import ASPECTS, Dimension, Draw, Prompt, Query
from actors.errors import BadInput
from actors.policy import grammar
from actors.policy.expander import write
from actors.studio import Job
from configs.reward_model import RewardModelSettings
from train_jobs.ppo.reward_model.features import Features
from train_jobs.ppo.reward_model.model import TOLD, Judged, RewardModel, _loss
from train_jobs.ppo.reward_model.rater import ModelRater

SMALL = RewardModelSettings(crosses=(0, 1), width=8, hidden=32, layers=2, batch=64)
SLOTS, VALUES = 3, 6
QUERY = grammar.query(1, 3, list(ASPECTS), ["en", "zh"])


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


def test_a_saved_one_is_opened(tmp_path):
    features, path = Features(), tmp_path / "model.safetensors"
    rows = torch.tensor([features.row(QUERY, {"layout": each}) for each in ("centred", "framed")])
    model = RewardModel(features.size, features.slots, SMALL, 1, features.version)
    model.save(path, 3)
    opened = RewardModel.opened(path, features)
    assert torch.equal(opened.expected(rows), model.expected(rows))
    assert torch.equal(opened.expected(rows)[:, 0], model.logits(rows).sigmoid())


def test_what_is_no_reward_model_is_named(tmp_path):
    features, path = Features(), tmp_path / "model.safetensors"
    with pytest.raises(BadInput, match="cannot be read"):
        RewardModel.opened(path, features)
    for more, version, said in (
        (1, "of a larger vocabulary", "fitted with this vocabulary"),
        (0, "of words in another order", "fitted with this vocabulary"),
        (1, features.version, "weights of this very architecture"),
    ):
        RewardModel(features.size + more, features.slots, SMALL, 1, version).save(path, 3)
        with pytest.raises(BadInput, match=said):
            RewardModel.opened(path, features)
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(BadInput, match="no reward model"):
        RewardModel.opened(path, features)


@pytest.mark.parametrize("title", [None, "Night Market"])
def test_imagined_draws_say_what_the_model_expects(tmp_path, title):
    features, path = Features(), tmp_path / "model.safetensors"
    model = RewardModel(features.size, features.slots, SMALL, 1, features.version)
    model.save(path, 3)
    query = Query.of("a lighthouse in soft light", title=title)
    answers = [{"layout": "centred", "palette": "cool"}, {"layout": "framed", "style": "flat"}]
    jobs = [
        Job(query, Prompt.of(write(query, each), query=query, strategy_id="s", policy_version="p"), seed)
        for seed, each in enumerate(answers)
    ]
    draws = asyncio.run(ModelRater(path).rate(jobs))
    rows = torch.tensor([features.row(query, each) for each in answers])
    judged = {each for each in Dimension if each != "total" and (title or each != "legibility")}
    for draw, told in zip(draws, model.expected(rows), strict=True):
        assert isinstance(draw, Draw) and draw.reward is not None and draw.picture is None
        assert draw.reward.value == pytest.approx(float(told[0]))
        assert draw.admitted == (draw.reward.value > 0.5)
        assert draw.reward.parts["composition"] == pytest.approx(float(told[1 + TOLD.index("composition")]))
        assert set(draw.reward.parts) == judged, "what a judge would score"


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
