"""How often a scorer names the winner, on pairs it has not learnt from, against baselines and ceilings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from actors.contracts import Contract, Dimension, PairRecord
from actors.datasets import Dataset
from actors.pairs.folder import Folder
from actors.pixels import decode
from actors.scorer.checkpoint import LoadedScorer
from train_jobs.ranking.baselines import judge_features, laplacian_variance, random_baseline
from train_jobs.ranking.data import Pictures, Tell
from train_jobs.ranking.quality import TIE, Accuracy, Predicted, RankingQuality, Source, accuracy, quality
from train_jobs.ranking.scoring import pair_scores, reader

RESAMPLES = 400


class SetReport(Contract):
    """One set of pairs, labelled by one kind of labeller."""

    quality: RankingQuality
    wholly_unseen: Accuracy | None = None
    """The total on the pairs all of whose combinations are unseen in training."""
    by_generator: dict[str, Accuracy] = Field(default_factory=dict)
    """The total, where the pairs name several generators."""
    baselines: dict[str, Accuracy] = Field(default_factory=dict)
    """The total, named by rules that learn nothing."""


class Evaluation(Contract):
    """A scorer on a dataset. Judge-labelled and human-labelled pairs are never pooled."""

    scorer: str
    dataset: str
    """sha256 of its manifest."""
    part: str
    """`test`: what the scorer's own split kept from it; `all`: a dataset it was not trained on."""
    sets: dict[Source, SetReport]
    ceiling: dict[Dimension, Accuracy] = Field(default_factory=dict)
    """How often the judge itself names its own winner when a picture changes unnoticeably."""


@dataclass(frozen=True)
class Pairs:
    """What is evaluated."""

    uri: str
    records: Sequence[PairRecord]
    part: str
    wholly_unseen: Sequence[bool] | None = None


def evaluate(
    scorer: LoadedScorer,
    pairs: Pairs,
    *,
    ceiling: Mapping[Dimension, Accuracy] | None = None,
    seed: int = 0,
    tell: Tell = lambda stage, done, total: None,
) -> Evaluation:
    """All numbers of a scorer on some pairs of a dataset."""
    architecture, total = scorer.model.architecture, len(pairs.records)
    scores = pair_scores(
        scorer.model,
        reader(scorer.tokenizer),
        Pictures(pairs.uri, architecture.image, 0),
        pairs.records,
        tell=lambda done: tell("scoring", min(done, total), total),
    )
    differences = scores[:, 0] - scores[:, 1]
    sets: dict[Source, SetReport] = {}
    sources: tuple[Source, ...] = ("judge", "human")
    for source in sources:
        rows = [i for i, record in enumerate(pairs.records) if record.labelled_by == source]
        if rows:
            sets[source] = _set(scorer, pairs, rows, differences[rows], source, seed, tell)
    return Evaluation(
        scorer=scorer.version,
        dataset=Dataset(pairs.uri).digest,
        part=pairs.part,
        sets=sets,
        ceiling=dict(ceiling or {}),
    )


def _set(
    scorer: LoadedScorer,
    pairs: Pairs,
    rows: Sequence[int],
    differences: NDArray[np.float64],
    source: Source,
    seed: int,
    tell: Tell,
) -> SetReport:
    dimensions = scorer.model.architecture.dimensions
    records = [pairs.records[i] for i in rows]
    known = scorer.calibration.temperature if scorer.calibration else {}
    report = quality(
        Predicted.of(records, dimensions, differences),
        [known.get(name) for name in dimensions],
        source=source,
        resamples=RESAMPLES,
        seed=seed,
    )
    if Dimension.TOTAL not in dimensions:
        return SetReport(quality=report)
    total = differences[:, dimensions.index(Dimension.TOTAL)]
    unseen = None
    if pairs.wholly_unseen is not None:
        wholly = [place for place, i in enumerate(rows) if pairs.wholly_unseen[i]]
        unseen = _total([records[i] for i in wholly], total[wholly], seed)
    return SetReport(
        quality=report,
        wholly_unseen=unseen,
        by_generator=_by_generator(records, total, seed),
        baselines=_baselines(records, pairs.uri, seed, tell),
    )


def _total(records: Sequence[PairRecord], differences: NDArray[np.float64], seed: int) -> Accuracy:
    """How often differences a - b name the winner of the total."""
    labels = np.array([record.labels.get(Dimension.TOTAL, 0.5) for record in records])
    decided = np.abs(labels - 0.5) >= TIE
    groups = [records[place].query.id for place in np.flatnonzero(decided).tolist()]
    return accuracy(differences[decided], labels[decided], groups, RESAMPLES, seed)


def _by_generator(
    records: Sequence[PairRecord], total: NDArray[np.float64], seed: int
) -> dict[str, Accuracy]:
    names = [record.versions.get("generator", "") for record in records]
    several = sorted(set(names)) if len(set(names)) > 1 else []
    return {
        name: _total(
            [record for record, its in zip(records, names, strict=True) if its == name],
            total[[its == name for its in names]],
            seed,
        )
        for name in several
    }


def _baselines(records: Sequence[PairRecord], uri: str, seed: int, tell: Tell) -> dict[str, Accuracy]:
    folder, sharpness = Folder(uri), np.zeros(len(records))
    for place, record in enumerate(records):
        a, b = (laplacian_variance(decode(folder.read(side.path))) for side in (record.a, record.b))
        sharpness[place] = a - b
        tell("baselines", place + 1, len(records))
    found = {
        "random": _total(records, random_baseline(len(records), seed), seed),
        "laplacian variance": _total(records, sharpness, seed),
    }
    features = [judge_features(record) for record in records]
    known = [place for place, feature in enumerate(features) if feature is not None]
    if known:
        values = np.array([features[place] or 0.0 for place in known])
        found["mean of the judge's dimensions"] = _total([records[i] for i in known], values, seed)
    return found
