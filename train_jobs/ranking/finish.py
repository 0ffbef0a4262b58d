"""From a finished training run to a scorer: best weights, calibration, evaluation, model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.contracts import Dimension, PairRecord
from actors.datasets import Dataset
from actors.scorer.calibration import Calibration
from actors.scorer.checkpoint import LoadedScorer, load, save
from configs.ranking import RankingSettings
from train_jobs.ranking.data import BadRow, Pictures, Tell
from train_jobs.ranking.evaluate import Evaluation, Pairs, evaluate
from train_jobs.ranking.job import split_of
from train_jobs.ranking.quality import Accuracy, fit_temperatures
from train_jobs.ranking.scoring import pair_scores, reader
from train_jobs.ranking.split import Split
from train_jobs.ranking.start import start
from train_jobs.ranking.state import TrainingState

LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Trained:
    """What training gave, and what it was given."""

    state: TrainingState
    uri: str
    records: list[PairRecord]
    bad: list[BadRow]
    seconds: float


@dataclass(frozen=True)
class Finished:
    """A scorer on disk and its report."""

    version: str
    folder: Path
    evaluation: Evaluation
    card: dict[str, Any]


def finish(
    settings: RankingSettings,
    trained: Trained,
    folder: Path,
    *,
    ceiling: Mapping[Dimension, Accuracy] | None = None,
    tell: Tell = lambda stage, done, total: None,
) -> Finished:
    """Calibrate the best weights on the validation pairs, test them, and save the scorer in `folder`."""
    parts, begin = split_of(trained.records, settings), start(settings)
    begin.model.load_state_dict(trained.state.best or trained.state.model)
    watched = [trained.records[i] for i in parts.validation]
    calibration = calibrate(
        pair_scores(
            begin.model,
            reader(begin.tokenizer),
            Pictures(trained.uri, begin.model.architecture.image, 0),
            watched,
            tell=lambda done: tell("calibrating", min(done, len(watched)), len(watched)),
        ),
        watched,
        begin.model.architecture.dimensions,
    )
    card = _card(settings, trained, parts, begin.origin)
    save(folder, begin.model, begin.tokenizer.source, calibration, card)
    # Read back, so that what is tested is what was stored, halved numbers and all.
    scorer = load(folder)
    evaluation = evaluate(scorer, test_pairs(trained.uri, trained.records, parts), ceiling=ceiling, tell=tell)
    card["test"] = evaluation.model_dump(mode="json", exclude_none=True)
    version = save(folder, scorer.model, begin.tokenizer.source, calibration, card)
    return Finished(version, folder, evaluation, card)


def calibrate(
    scores: NDArray[np.float64], records: Sequence[PairRecord], dimensions: Sequence[Dimension]
) -> Calibration:
    """Mean, deviation and temperature of every dimension, from scores [pairs, 2, dimensions]."""
    flat = scores.reshape(-1, len(dimensions))
    labels = np.array([[record.labels.get(name, np.nan) for name in dimensions] for record in records])
    temperatures = fit_temperatures(
        scores[:, 0] - scores[:, 1], labels, ~np.isnan(labels), [record.query.id for record in records]
    )
    return Calibration(
        mean=dict(zip(dimensions, flat.mean(0).tolist(), strict=True)),
        deviation=dict(zip(dimensions, np.maximum(flat.std(0), 1e-6).tolist(), strict=True)),
        temperature=dict(zip(dimensions, temperatures, strict=True)),
    )


def test_pairs(uri: str, records: Sequence[PairRecord], parts: Split) -> Pairs:
    """What a run's split kept from training."""
    return Pairs(uri, [records[i] for i in parts.test], "test", parts.wholly_unseen)


def pairs_for(scorer: LoadedScorer, uri: str, records: Sequence[PairRecord]) -> Pairs:
    """The pairs of a dataset that a scorer may be judged on: of its own dataset, the test part alone."""
    data = scorer.card.get("data", {})
    if data.get("manifest_sha256") != Dataset(uri).digest:
        return Pairs(uri, records, "all")
    settings = RankingSettings.model_validate(scorer.card["settings"])
    return test_pairs(uri, records, split_of(list(records), settings))


def _card(settings: RankingSettings, trained: Trained, parts: Split, origin: str) -> dict[str, Any]:
    progress = trained.state.progress
    return {
        "licence": LICENCE,
        "settings": settings.model_dump(mode="json"),
        "towers": origin,
        "data": {
            "manifest_sha256": Dataset(trained.uri).digest,
            "pairs": parts.pairs,
            "set_aside": len(trained.bad),
            "held_out_generator": parts.held_out,
            "labelled_by": sorted({record.labelled_by for record in trained.records}),
            "judges": sorted({record.versions.get("judge", "") for record in trained.records}),
        },
        "training": {
            "steps": progress.step,
            "best_epoch": progress.best_epoch + 1,
            "best_validation_accuracy": round(progress.best, 4),
            "seconds": round(trained.seconds, 1),
        },
    }
