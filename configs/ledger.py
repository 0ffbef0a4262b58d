"""Where the events that all processes share are kept."""

from __future__ import annotations

from pydantic import Field, field_validator

from configs.base import RoomSettings


class LedgerSettings(RoomSettings):
    """The shared ledger. A run's own log is a file in its folder and needs no settings."""

    url: str = "sqlite:///runs/ledger.db"
    """SQLAlchemy URL. A SQLite file is owned by one Ray actor, and its relative path starts at the working
    directory; a server such as PostgreSQL (`postgresql+psycopg://...`) is written to directly."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Longest wait for one answer of the ledger's actor, its restarts included."""

    @field_validator("url")
    @classmethod
    def _a_database(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or not rest:
            raise ValueError("no database url; accepted: sqlite:///<path> or postgresql+psycopg://...")
        if scheme.startswith("sqlite") and (not rest.startswith("/") or rest in ("/", "/:memory:")):
            raise ValueError("a SQLite url without a file; accepted: sqlite:///<path>")
        return value
