"""Training as a job: the loop on Ray Train, or in this process.

A run's folder holds `ray/` (Ray Train's own, with the checkpoints) or `checkpoint/`. Starting the same run
again goes on from the newest checkpoint: worker deaths are survived inside Ray Train, the driver's death by
`--resume`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from actors.contracts import PairRecord
from configs.ranking import RankingSettings
from train_jobs.ranking.data import Pictures, Tell, usable
from train_jobs.ranking.loop import Parts, Training
from train_jobs.ranking.split import Split, split
from train_jobs.ranking.start import start
from train_jobs.ranking.state import TrainingState
from train_jobs.training.checkpoint import STATE
from train_jobs.training.fitting import fitted, joined, replace, report, settle
from train_jobs.training.publishing import Curve, telling
from train_jobs.training.ranks import ALONE, Ranks


def split_of(records: list[PairRecord], settings: RankingSettings) -> Split:
    """The parts of a dataset that a run has."""
    room = settings.split
    return split(
        records,
        test=room.test,
        validation=room.validation,
        seed=settings.seed,
        mix_generators=room.mix_generators,
    )


def train_here(settings: RankingSettings, uri: str, bad: frozenset[str], folder: Path) -> TrainingState:
    """Train in this process, from the folder's checkpoint if there is one."""
    kept = folder / "checkpoint"
    settle(kept)
    state = TrainingState.load(kept) if (kept / STATE).exists() else None
    with telling(settings, folder, ALONE, _curve(state)) as (publish, watch):

        def keep(fresh: TrainingState, row: dict[str, Any]) -> None:
            publish(fresh.progress.curve)
            replace(fresh, kept)

        return _training(settings, uri, bad, ALONE, keep, state, watch).run()


def train_on_ray(
    settings: RankingSettings, uri: str, bad: frozenset[str], folder: Path, *, deaths: int = 3
) -> TrainingState:
    """Train with Ray Train on the running cluster; `folder` must be shared by its nodes.

    Args:
        deaths: times that workers may die before the run is given up.

    Raises:
        StageFailed: the run failed; the message has the first worker's error.
    """
    config = {
        "settings": settings.model_dump(mode="json"),
        "uri": uri,
        "bad": sorted(bad),
        "folder": str(folder),
    }
    with fitted(
        _worker, config, folder, workers=settings.workers, gpus=settings.gpus, deaths=deaths
    ) as checkpoint:
        return TrainingState.load(checkpoint)


def _worker(config: dict[str, Any]) -> None:
    """What each of Ray Train's workers runs."""
    settings = RankingSettings.model_validate(config["settings"])
    torch.set_num_threads(max(1, (torch.get_num_threads() if settings.gpus else 1)))
    with joined() as (ranks, checkpoint):
        state = TrainingState.load(checkpoint) if checkpoint else None
    with telling(settings, Path(config["folder"]), ranks, _curve(state)) as (publish, watch):

        def keep(fresh: TrainingState, row: dict[str, Any]) -> None:
            publish(fresh.progress.curve)
            report(fresh, {"step": fresh.progress.step, "best": fresh.progress.best}, ranks)

        _training(settings, config["uri"], frozenset(config["bad"]), ranks, keep, state, watch).run()


def _curve(state: TrainingState | None) -> Curve:
    return state.progress.curve if state else ()


def _training(
    settings: RankingSettings,
    uri: str,
    bad: frozenset[str],
    ranks: Ranks,
    keep: Callable[[TrainingState, dict[str, Any]], None],
    state: TrainingState | None,
    watch: Tell,
) -> Training:
    records = usable(uri, bad)
    parts = split_of(records, settings)
    begin = start(settings)
    device = torch.device(f"cuda:{torch.cuda.current_device()}" if settings.gpus else "cpu")
    return Training(
        settings,
        begin.model.to(device),
        begin.tokenizer,
        Parts([records[i] for i in parts.train], [records[i] for i in parts.validation]),
        Pictures(uri, begin.model.architecture.image, settings.cache_mb),
        ranks,
        keep,
        state,
        watch,
    )
