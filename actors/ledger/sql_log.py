"""EventLog on SQL: one SQLite file with one owner, or a server such as PostgreSQL with many writers."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from actors.contracts import Event
from actors.errors import StageFailed
from actors.ledger.group_commit import Batch, GroupCommit, Outcome
from actors.ledger.log import EventConflict, LedgerLocked, check_same, fingerprint

TABLES = sa.MetaData()
EVENTS = sa.Table(
    "events",
    TABLES,
    sa.Column(
        "offset", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
    ),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("payload_hash", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("time", sa.Float(53), nullable=False),
    sa.Index("events_by_kind", "kind", "offset"),
)
_PRAGMAS = ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL")
_LOCK_WAIT_S = 1.0
_MAX_VARIABLES = 500


class SqlLog:
    """See `EventLog`. Offsets are given out under a lock of the writer, so they follow the commits.

    Raises:
        LedgerLocked: another process owns the SQLite file.
        StageFailed: the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = sa.make_url(url)
        self._name = self.url.render_as_string(hide_password=True)
        self._engine = self._connect()
        with self._explained("open"):
            TABLES.create_all(self._engine)
        self._commits = GroupCommit(self._commit, self._engine.dialect.name)

    async def append(self, events: Sequence[Event]) -> list[int]:
        """See `EventLog.append`."""
        return await self._commits.append(events)

    async def read(
        self, offset: int, limit: int, kinds: Collection[str] | None = None
    ) -> list[tuple[int, Event]]:
        """See `EventLog.read`."""
        found: list[tuple[int, Event]] = await self._commits.run(self._read, offset, limit, kinds)
        return found

    async def tail(self) -> int:
        """See `EventLog.tail`."""
        last: int = await self._commits.run(self._tail)
        return last

    async def close(self) -> None:
        """Close the database."""
        await self._commits.close(self._engine.dispose)

    def _connect(self) -> sa.Engine:
        if self.url.get_backend_name() != "sqlite":
            return sa.create_engine(self.url, pool_pre_ping=True)
        if self.url.database and self.url.database != ":memory:":
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            self.url, poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": _LOCK_WAIT_S}
        )
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def _commit(self, batches: list[Batch]) -> list[Outcome]:
        with self._explained("append to"), self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(sa.text("LOCK TABLE events IN EXCLUSIVE MODE"))
            known = _known(connection, [event.id for batch in batches for event in batch])
            last = _last(connection)
            rows: list[dict[str, Any]] = []
            outcomes: list[Outcome] = []
            for batch in batches:
                try:
                    added = _admit(batch, known, last + len(rows))
                except EventConflict as conflict:
                    outcomes.append(conflict)
                else:
                    rows += added
                    outcomes.append([known[event.id][0] for event in batch])
            if rows:
                connection.execute(EVENTS.insert(), rows)
            return outcomes

    def _read(self, offset: int, limit: int, kinds: Collection[str] | None) -> list[tuple[int, Event]]:
        query = (
            sa.select(EVENTS).where(EVENTS.c.offset > offset).order_by(EVENTS.c.offset).limit(max(limit, 0))
        )
        if kinds is not None:
            query = query.where(EVENTS.c.kind.in_(list(kinds)))
        with self._explained("read"), self._engine.begin() as connection:
            return [(row.offset, _event(row)) for row in connection.execute(query)]

    def _tail(self) -> int:
        with self._explained("read"), self._engine.begin() as connection:
            return _last(connection)

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            reason = str(error.orig).strip()
            if "locked" in reason:
                raise LedgerLocked(
                    f"{self._name} is open in another process; accepted: one owner, whom all others "
                    "reach through the ledger's actor"
                ) from None
            raise StageFailed(
                f"cannot {verb} the ledger {self._name}: {reason}; check the path, its disk or its server"
            ) from None


def _prepare_sqlite(connection: Any, record: object) -> None:
    # Python's driver must not begin transactions of its own: BEGIN IMMEDIATE takes the lock at once.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _known(connection: sa.Connection, ids: list[str]) -> dict[str, tuple[int, str]]:
    columns = (EVENTS.c.id, EVENTS.c.offset, EVENTS.c.kind, EVENTS.c.payload_hash)
    known: dict[str, tuple[int, str]] = {}
    for start in range(0, len(ids), _MAX_VARIABLES):
        some = sa.select(*columns).where(EVENTS.c.id.in_(ids[start : start + _MAX_VARIABLES]))
        for row in connection.execute(some):
            known[row.id] = (row.offset, f"{row.kind} {row.payload_hash}")
    return known


def _last(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.offset), 0))).scalar_one())


def _admit(batch: Batch, known: dict[str, tuple[int, str]], last: int) -> list[dict[str, Any]]:
    """Rows for the events of one append that are not there yet; `known` learns their offsets.

    Raises:
        EventConflict: an id is known with another content; `known` is as before.
    """
    mine: dict[str, tuple[int, str]] = {}
    rows: list[dict[str, Any]] = []
    for event in batch:
        if found := known.get(event.id) or mine.get(event.id):
            check_same(event, found[1])
            continue
        mine[event.id] = (last + len(rows) + 1, fingerprint(event))
        rows.append(_row(event, mine[event.id][0]))
    known.update(mine)
    return rows


def _row(event: Event, offset: int) -> dict[str, Any]:
    payload = json.dumps(event.payload, ensure_ascii=False, sort_keys=True)
    return {**event.model_dump(exclude={"payload"}), "payload": payload, "offset": offset}


def _event(row: Any) -> Event:
    return Event(
        id=row.id,
        kind=row.kind,
        payload=json.loads(row.payload),
        payload_hash=row.payload_hash,
        actor=row.actor,
        time=row.time,
    )
