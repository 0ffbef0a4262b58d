"""Settings -> event log."""

from __future__ import annotations

from pathlib import Path

from actors.ledger.actor_log import ActorLog
from actors.ledger.file_log import FileLog
from actors.ledger.log import EventLog
from actors.ledger.sql_log import SqlLog
from configs.ledger import LedgerSettings

FILE_NAME = "events.jsonl"


def open_log(settings: LedgerSettings, run_dir: Path | None = None) -> EventLog:
    """A run's own log when its folder is given, else the ledger that all processes share.

    A shared SQLite file needs a running Ray; its actor opens the file at the first call.

    Raises:
        LedgerLocked: another process writes the run's log.
        LedgerCorrupt: the run's log holds what is no event.
        StageFailed: the database server cannot be reached.
    """
    if run_dir is not None:
        return FileLog(run_dir / FILE_NAME)
    if settings.url.startswith("sqlite"):
        return ActorLog(settings.url, settings.timeout_s)
    return SqlLog(settings.url)
