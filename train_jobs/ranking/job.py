"""Training as a job: the loop on Ray Train, or in this process.

A run's folder holds `ray/` (Ray Train's own, with the checkpoints) or `checkpoint/`. Starting the same run
again goes on from the newest checkpoint: worker deaths are survived inside Ray Train, the driver's death by
`--resume`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from actors.contracts import PairRecord
from actors.errors import StageFailed
from configs.ranking import RankingSettings
from train_jobs.ranking.data import Pictures, Tell, usable
from train_jobs.ranking.loop import Parts, Training
from train_jobs.ranking.split import Split, split
from train_jobs.ranking.start import start
from train_jobs.ranking.state import TrainingState
from train_jobs.training.loggers import Send, flat, loggers
from train_jobs.training.ranks import ALONE, Ranks

CHECKPOINTS_KEPT = 2
CURVE, PROGRESS = "curve.json", "progress.json"


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
    state = TrainingState.load(kept) if (kept / "state.json").exists() else None
    with ExitStack() as stack:
        publish = _publisher(stack.enter_context(loggers(settings, folder)), folder, state)

        def keep(fresh: TrainingState, row: dict[str, Any]) -> None:
            publish(fresh)
            _replace(fresh, kept)

        return _training(settings, uri, bad, ALONE, keep, state, _watcher(folder)).run()


def train_on_ray(
    settings: RankingSettings, uri: str, bad: frozenset[str], folder: Path, *, deaths: int = 3
) -> TrainingState:
    """Train with Ray Train on the running cluster; `folder` must be shared by its nodes.

    Args:
        deaths: times that workers may die before the run is given up.

    Raises:
        StageFailed: the run failed; the message has the first worker's error.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    _refuse_too_many(settings)
    config = {
        "settings": settings.model_dump(mode="json"),
        "uri": uri,
        "bad": sorted(bad),
        "folder": str(folder),
    }
    trainer = TorchTrainer(
        _worker,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=settings.workers, use_gpu=settings.gpus),
        run_config=RunConfig(
            name="train",
            storage_path=str((folder / "ray").absolute()),
            failure_config=FailureConfig(max_failures=deaths, controller_failure_limit=3),
            checkpoint_config=CheckpointConfig(num_to_keep=CHECKPOINTS_KEPT),
        ),
    )
    try:
        result = trainer.fit()
    except TrainingFailedError as error:
        raise StageFailed(f"training failed: {_first_line(error)}") from error
    if result.checkpoint is None:
        raise StageFailed(f"training ended without a checkpoint; see {folder / 'ray'}")
    with result.checkpoint.as_directory() as path:
        return TrainingState.load(Path(path))


def _worker(config: dict[str, Any]) -> None:
    """What each of Ray Train's workers runs."""
    import ray.train

    settings = RankingSettings.model_validate(config["settings"])
    context, found = ray.train.get_context(), ray.train.get_checkpoint()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    torch.set_num_threads(max(1, (torch.get_num_threads() if settings.gpus else 1)))
    state = None
    if found is not None:
        with found.as_directory() as path:
            state = TrainingState.load(Path(path))
    with ExitStack() as stack:
        publish: Callable[[TrainingState], None] = lambda fresh: None  # noqa: E731
        watch: Tell = lambda stage, done, total: None  # noqa: E731
        if ranks.rank == 0:
            folder = Path(config["folder"])
            publish = _publisher(stack.enter_context(loggers(settings, folder)), folder, state)
            watch = _watcher(folder)

        def keep(fresh: TrainingState, row: dict[str, Any]) -> None:
            publish(fresh)
            _report(fresh, ranks)

        _training(settings, config["uri"], frozenset(config["bad"]), ranks, keep, state, watch).run()


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


def _report(state: TrainingState, ranks: Ranks) -> None:
    import ray.train

    metrics = {"step": state.progress.step, "best": state.progress.best}
    if ranks.rank:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        state.save(Path(folder))
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _publisher(send: Send, folder: Path, state: TrainingState | None) -> Callable[[TrainingState], None]:
    """Writes the curve into the folder, and sends the rows that the loggers have not had yet."""
    sent = len(state.progress.curve) if state else 0

    def publish(fresh: TrainingState) -> None:
        nonlocal sent
        for row in fresh.progress.curve[sent:]:
            send(int(row["step"]), flat(row))
        sent = len(fresh.progress.curve)
        _put(folder / CURVE, fresh.progress.curve)

    return publish


def _watcher(folder: Path) -> Tell:
    """Writes into the folder how far the run is, for whoever waits in another process."""
    return lambda stage, done, total: _put(folder / PROGRESS, [stage, done, total])


def _put(path: Path, value: Any) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(value), "utf-8")
    temporary.replace(path)


def _replace(state: TrainingState, kept: Path) -> None:
    """A new checkpoint in the old one's place; one of the two is whole at any moment."""
    fresh, old = kept.with_name("checkpoint.new"), kept.with_name("checkpoint.old")
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    state.save(fresh)
    if kept.exists():
        kept.rename(old)
    fresh.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_too_many(settings: RankingSettings) -> None:
    import ray

    have = ray.cluster_resources()
    what, most = ("GPU", have.get("GPU", 0)) if settings.gpus else ("CPU", have.get("CPU", 0))
    if settings.workers > most:
        raise StageFailed(
            f"ranking.workers is {settings.workers} and the cluster has {most:g} {what}s; "
            "lower ranking.workers or add nodes"
        )


def _first_line(error: BaseException) -> str:
    causes = list(getattr(error, "worker_failures", {}).values()) or [error]
    return str(causes[0]).strip().splitlines()[-1]
