"""The training loop: it learns, it goes on where it stopped, and more processes change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import spawn

from actors.scorer.model import AestheticModel
from configs.ranking import FreezingSettings, RankingSettings, RateSettings
from tests.ranking.ranking_kit import TINY, dataset
from tests.scorer.scorer_kit import tokenizer
from train_jobs.ranking import loop
from train_jobs.ranking.data import Pictures, Tell, usable
from train_jobs.ranking.loop import Keep, Parts, Training
from train_jobs.ranking.scoring import reader
from train_jobs.ranking.state import TrainingState
from train_jobs.training.ranks import ALONE, Ranks

SETTINGS = RankingSettings(
    dimensions={"total": 1.0, "color": 1.0, "technical": 1.0},
    epochs=3,
    batch=8,
    micro_tokens=200,
    rates=RateSettings(heads=3e-3, towers=1e-3),
    freezing=FreezingSettings(head_epochs=0.5, image_blocks=2, text_blocks=1),
    checkpoint_steps=3,
    patience=3,
)


class Stopped(Exception):
    """The process dies here."""


def training(
    folder: Path,
    uri: str,
    settings: RankingSettings = SETTINGS,
    ranks: Ranks = ALONE,
    keep: Keep = lambda state, row: None,
    state: TrainingState | None = None,
    watch: Tell = lambda stage, done, total: None,
) -> Training:
    records = usable(uri, frozenset())
    torch.manual_seed(5)
    parts = Parts(records[12:], records[:12])
    pictures = Pictures(uri, TINY.image, 64)
    model, words = AestheticModel(TINY), tokenizer(folder)
    return Training(settings, model, words, parts, pictures, ranks, keep, state, watch)


def test_it_learns_each_dimension_by_itself(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 140)
    found = training(tmp_path, uri, SETTINGS.model_copy(update={"epochs": 14, "patience": 14})).run()
    last = [row["validation"] for row in found.progress.curve if "validation" in row][-1]
    assert last["total"] >= 0.9 and last["color"] >= 0.7
    assert "technical" not in last


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("dies_at", [3, 12, 15])
def test_a_resumed_run_has_the_same_curve(tmp_path: Path, dies_at: int, ema: float | None) -> None:
    uri, settings = dataset(tmp_path, 60), SETTINGS.model_copy(update={"ema": ema})
    whole = training(tmp_path, uri, settings).run()
    kept = tmp_path / "kept"

    def keep(state: TrainingState, row: dict[str, Any]) -> None:
        if state.progress.step >= dies_at:
            raise Stopped
        state.save(kept)

    with pytest.raises(Stopped):
        training(tmp_path, uri, settings, keep=keep).run()
    state = TrainingState.load(kept) if kept.exists() else None
    resumed = training(tmp_path, uri, settings, state=state).run()
    assert flat(resumed) == pytest.approx(flat(whole), abs=1e-6)
    for name, value in whole.best.items():
        assert torch.allclose(value, resumed.best[name], atol=1e-6), name


def test_frozen_towers_do_not_move_until_their_time(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 60)
    seen: list[TrainingState] = []
    run = training(tmp_path, uri, keep=lambda state, row: seen.append(state))
    before = {name: value.clone() for name, value in run._model.state_dict().items()}
    run.run()
    first, last = seen[0].model, seen[-1].model
    block, projection = "image.transformer.resblocks.0.mlp.c_fc.weight", "image_projection.weight"
    assert torch.equal(first[block], before[block]) and not torch.equal(first[projection], before[projection])
    assert not torch.equal(last[block], before[block])
    frozen = "text.transformer.encoder.layer.0.output.dense.weight"
    assert torch.equal(last[frozen], before[frozen])


def test_a_frozen_image_tower_looks_at_a_picture_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = dataset(tmp_path, 60)
    frozen = FreezingSettings(head_epochs=0.5, image_blocks=0, text_blocks=0)
    settings = SETTINGS.model_copy(update={"freezing": frozen})
    told: list[tuple[str, int, int]] = []
    run = training(tmp_path, uri, settings, watch=lambda *row: told.append(row))
    looks = [row for row in told if row[0] == "looking at pictures"]
    assert looks[-1][1:] == (120, 120)
    for tower in (run._model.image, run._model.text):
        monkeypatch.setattr(tower, "forward", None)
    once = flat(run.run())
    assert [row for row in told if row[0] == "training, steps"][-1][2] == run.steps
    monkeypatch.setattr(loop, "Seen", lambda model, pictures, *rest: pictures)
    monkeypatch.setattr(loop, "Read", lambda model, words, *rest: reader(words))
    every_time = flat(training(tmp_path, uri, settings).run())
    assert once == pytest.approx(every_time, abs=1e-4)


def test_it_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    slow = SETTINGS.model_copy(
        update={"epochs": 40, "patience": 2, "rates": RateSettings(heads=1e-9, towers=1e-9)}
    )
    found = training(tmp_path, dataset(tmp_path, 60), slow).run().progress
    assert found.finished and found.best_epoch == 0 and found.curve[-1]["epoch"] == 3


def test_micro_batches_add_up_to_the_batch(tmp_path: Path) -> None:
    uri = dataset(tmp_path, 60)
    curves = []
    for tokens in (64, 100_000):
        run = training(tmp_path, uri, SETTINGS.model_copy(update={"micro_tokens": tokens}))
        still(run)
        curves.append(flat(run.run()))
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)


def test_two_processes_are_one(tmp_path: Path) -> None:
    """Global normalisation: dimensions are labelled in some pairs only, unevenly over the processes."""
    uri = dataset(tmp_path, 60)
    alone = training(tmp_path, uri, without_dropout())
    still(alone)
    expected = flat(alone.run())
    spawn(_rank, (str(tmp_path), uri, f"{tmp_path}/meeting"), nprocs=2)
    assert json.loads((tmp_path / "curve.json").read_text()) == pytest.approx(expected, abs=1e-5)


def without_dropout() -> RankingSettings:
    """One short batch would be cut differently for two processes; 48 pairs have none."""
    return SETTINGS.model_copy(update={"epochs": 2, "batch": 12})


def still(run: Training) -> None:
    assert run._model.summary is not None
    for head in (*run._model.heads.values(), run._model.summary):
        head[2] = torch.nn.Dropout(0.0)


def _rank(rank: int, folder: str, uri: str, meeting: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    run = training(Path(folder), uri, without_dropout(), Ranks(rank, 2))
    still(run)
    curve = flat(run.run())
    if rank == 0:
        (Path(folder) / "curve.json").write_text(json.dumps(curve))
    distributed.destroy_process_group()


def flat(state: TrainingState) -> list[float]:
    """All numbers of a curve, in order."""
    found: list[float] = []
    for row in state.progress.curve:
        for value in row.values():
            found += value.values() if isinstance(value, dict) else [value]
    return found
