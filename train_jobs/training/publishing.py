"""How a training tells of itself: its curve and how far it is, in its folder and to the loggers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.training import LoggedSettings
from train_jobs.training.loggers import Send, flat, loggers
from train_jobs.training.ranks import Ranks

CURVE, PROGRESS = "curve.json", "progress.json"
Curve = Sequence[Mapping[str, Any]]
Publish = Callable[[Curve], None]
Watch = Callable[[str, int, int], None]


@contextmanager
def telling(
    settings: LoggedSettings, folder: Path, ranks: Ranks, known: Curve = ()
) -> Iterator[tuple[Publish, Watch]]:
    """How a rank tells of the run: the first one to the folder and the loggers, the others not at all.

    Args:
        known: rows that were sent before the run was interrupted.
    """
    if ranks.rank:
        yield lambda curve: None, lambda stage, done, total: None
        return
    with loggers(settings, folder) as send:
        yield publisher(send, folder, known), watcher(folder)


def publisher(send: Send, folder: Path, known: Curve = ()) -> Publish:
    """Writes the curve into the folder, and sends the rows that the loggers have not had yet.

    Args:
        known: rows that were sent before the run was interrupted.
    """
    sent = len(known)

    def publish(curve: Curve) -> None:
        nonlocal sent
        for row in curve[sent:]:
            send(int(row["step"]), flat(row))
        sent = len(curve)
        put(folder / CURVE, curve)

    return publish


def watcher(folder: Path) -> Watch:
    """Writes into the folder how far the run is, for whoever waits in another process."""
    return lambda stage, done, total: put(folder / PROGRESS, [stage, done, total])


def put(path: Path, value: Any) -> None:
    """Write JSON; who reads it finds the old or the new one whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(value), "utf-8")
    temporary.replace(path)
