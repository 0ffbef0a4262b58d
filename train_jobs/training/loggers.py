"""Where the curve of a run is sent: TensorBoard files, Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from actors.errors import BadInput
from configs.training import LoggedSettings

Send = Callable[[int, Mapping[str, float]], None]
"""Step, and values by name."""


@contextmanager
def loggers(settings: LoggedSettings, folder: Path) -> Iterator[Send]:
    """Send values to all loggers of the settings; a resumed run goes on in the same files.

    Raises:
        BadInput: wandb is asked for and not installed.
    """
    opened = {"tensorboard": _tensorboard, "wandb": _wandb}
    with ExitStack() as stack:
        sends = [stack.enter_context(opened[name](settings, folder)) for name in settings.loggers]

        def send(step: int, values: Mapping[str, float]) -> None:
            for each in sends:
                each(step, values)

        yield send


def flat(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of the curve as names of one level: `loss`, `losses/color`, `validation/total`."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": float(number) for inner, number in value.items()}
        elif name != "step":
            found[name] = float(value)
    return found


@contextmanager
def _tensorboard(settings: LoggedSettings, folder: Path) -> Iterator[Send]:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def send(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    try:
        yield send
    finally:
        writer.close()


@contextmanager
def _wandb(settings: LoggedSettings, folder: Path) -> Iterator[Send]:
    try:
        import wandb
    except ImportError:
        raise BadInput(
            "loggers names wandb, which is not installed; pip install 'atelier-ray[wandb]', or leave it out"
        ) from None
    run = wandb.init(
        project=settings.wandb_project,
        dir=str(folder),
        id=folder.name,
        resume="allow",
        config=settings.model_dump(mode="json"),
        settings=wandb.Settings(silent=True, console="off"),
    )
    try:
        yield lambda step, values: run.log(dict(values), step=step)
    finally:
        run.finish()
        wandb.teardown()
