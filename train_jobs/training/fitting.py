"""Ray Train around a training loop, and its checkpoints on disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from actors.errors import StageFailed
from train_jobs.training.ranks import Ranks

CHECKPOINTS_KEPT = 2


class State(Protocol):
    """What a resumed run needs."""

    def save(self, folder: Path) -> None:
        """Write all of it into an empty folder."""
        ...


@contextmanager
def fitted(
    worker: Callable[[dict[str, Any]], None],
    config: Mapping[str, Any],
    folder: Path,
    *,
    workers: int,
    gpus: bool,
    deaths: int = 3,
) -> Iterator[Path]:
    """Run a loop to its end with Ray Train on the running cluster; the value is its last checkpoint.

    What `folder` holds of the same run is gone on with; it must be shared by the cluster's nodes.

    Args:
        worker: what each worker runs, with `config`.
        workers: processes, with a GPU each if `gpus`.
        deaths: times that workers may die before the run is given up.

    Raises:
        StageFailed: the cluster has too few CPUs or GPUs, or the run failed; the message has the first
            worker's error.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    _refuse_too_many(workers, gpus)
    trainer = TorchTrainer(
        worker,
        train_loop_config=dict(config),
        # Sizes and metrics are summed on the CPU also where weights are on GPUs.
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpus),
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
        yield Path(path)


@contextmanager
def joined() -> Iterator[tuple[Ranks, Path | None]]:
    """In a worker of Ray Train: which rank this is, and the checkpoint to go on from, if there is one."""
    import ray.train

    context, found = ray.train.get_context(), ray.train.get_checkpoint()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    if found is None:
        yield ranks, None
        return
    with found.as_directory() as path:
        yield ranks, Path(path)


def report(state: State, metrics: Mapping[str, Any], ranks: Ranks) -> None:
    """Hand a checkpoint to Ray Train: all ranks call it, the first one's state is kept."""
    import ray.train

    if ranks.rank:
        ray.train.report(dict(metrics))
        return
    with tempfile.TemporaryDirectory() as folder:
        state.save(Path(folder))
        ray.train.report(dict(metrics), checkpoint=ray.train.Checkpoint.from_directory(folder))


def settle(kept: Path) -> None:
    """Finish a `replace` that was killed after its new checkpoint was whole."""
    fresh, old = _beside(kept)
    if old.exists() and not kept.exists():
        fresh.rename(kept)


def replace(state: State, kept: Path) -> None:
    """A new checkpoint in the old one's place; one of the two is whole at any moment."""
    fresh, old = _beside(kept)
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    state.save(fresh)
    if kept.exists():
        kept.rename(old)
    fresh.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def _beside(kept: Path) -> tuple[Path, Path]:
    """Where the new checkpoint is written, and where the old one waits meanwhile."""
    return kept.with_name(f"{kept.name}.new"), kept.with_name(f"{kept.name}.old")


def _refuse_too_many(workers: int, gpus: bool) -> None:
    import ray

    have = ray.cluster_resources()
    what, most = ("GPU", have.get("GPU", 0)) if gpus else ("CPU", have.get("CPU", 0))
    if workers > most:
        raise StageFailed(
            f"the training wants {workers} workers and the cluster has {most:g} {what}s; "
            "lower its `workers` or add nodes"
        )


def _first_line(error: BaseException) -> str:
    causes = list(getattr(error, "worker_failures", {}).values()) or [error]
    return str(causes[0]).strip().splitlines()[-1]
