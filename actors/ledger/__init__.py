"""The ledger: an append-only log of events on a file, or on a database that one actor owns."""

from actors.ledger.actor_log import ActorLog
from actors.ledger.file_log import FileLog
from actors.ledger.log import EventConflict, EventLog, LedgerCorrupt, LedgerLocked, new_id
from actors.ledger.opening import open_log
from actors.ledger.sql_log import SqlLog

__all__ = [
    "ActorLog",
    "EventConflict",
    "EventLog",
    "FileLog",
    "LedgerCorrupt",
    "LedgerLocked",
    "SqlLog",
    "new_id",
    "open_log",
]
