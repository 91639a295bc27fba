"""The event store in an SQLite file, in WAL mode.

A transaction is synchronised to disk before it is acknowledged (``synchronous = FULL``). Deleted
rows are overwritten (``secure_delete``), and ``erase`` empties the write-ahead log.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from segue.errors import EventStoreError
from segue.event_store.connections import Connections
from segue.event_store.event import Event
from segue.event_store.sql_store import COLUMNS, IN_ORDER, SqlEventStore, events_of
from segue.event_store.store import (
    FORMAT_VERSION,
    EventStoreUnavailableError,
    Outcome,
    outcomes,
)
from segue.storage.paths import special_kind

T = TypeVar("T")
APPLICATION_ID = 0x53454755
"""``SEGU``: marks the file as an event store."""
BUSY_S = 5.0
"""Seconds to wait for another process that writes."""
MAGIC = b"SQLite format 3\0"

_INDEXES = """
CREATE INDEX IF NOT EXISTS events_of_kind ON events (user_id, kind, time_us, number);
CREATE INDEX IF NOT EXISTS events_of_item ON events (user_id, item_id, time_us, number);
"""
"""For rejections: a store that an earlier version made has none."""
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    kind TEXT NOT NULL
);
CREATE INDEX events_of_user ON events (user_id, time_us, number);
CREATE INDEX events_by_time ON events (time_us);
{_INDEXES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
COMMIT;
"""
_OWN_FILE_HINT = "give a new path, which is created, or the file of an event store"


class SqliteEventStore(SqlEventStore):
    """An ``EventStore`` in a file."""

    _table = "events"
    _item_key = "{item}"

    def __init__(self, path: Path, *, creates: bool) -> None:
        """Open the store.

        Args:
            path: the file.
            creates: whether a missing or empty file becomes a new store.

        Raises:
            EventStoreError: the file is missing, of another program, damaged, of another version,
                or cannot be written.
        """
        self._path = path
        _check_file(path, creates=creates)
        try:
            if creates:
                _create_file(path)
            self._file = _identity(path)
            with closing(self._connect()) as connection:
                _prepare_tables(connection, path, creates=creates)
        except (sqlite3.Error, OSError) as error:
            hint = "give a path in a folder that can be written"
            raise EventStoreError(f"cannot open the event store {path}: {error}", hint) from None
        self._connections = Connections(self._connect, sqlite3.Error)

    @property
    def name(self) -> str:
        return str(self._path)

    def add(self, events: Sequence[Event]) -> list[Outcome]:
        def insert(connection: sqlite3.Connection) -> list[Outcome]:
            new_ids, stored = set(), {}
            with _transaction(connection):
                for event in events:
                    done = connection.execute(
                        f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?) "
                        "ON CONFLICT (event_id) DO NOTHING",
                        event,
                    )
                    if done.rowcount:
                        new_ids.add(event.event_id)
                        stored[event.event_id] = event
                    elif event.event_id not in stored:
                        stored[event.event_id] = _find(connection, event.event_id)
                self._check_present()  # a file that was moved away must not acknowledge
            return outcomes(events, new_ids, stored)

        return self._run(insert)

    def delete_user(self, user_id: str) -> int:
        return self._delete("DELETE FROM events WHERE user_id = ?", (user_id,))

    def delete_before(self, time_us: int, limit: int) -> int:
        return self._delete(
            "DELETE FROM events WHERE number IN "
            "(SELECT number FROM events WHERE time_us < ? ORDER BY time_us LIMIT ?)",
            (time_us, limit),
        )

    def erase(self) -> bool:
        # Pages of the log with deleted rows remain until it is copied into the file and cut. While
        # others read, that cannot be done; waiting for them would hold up whoever writes.
        def cut(connection: sqlite3.Connection) -> bool:
            connection.execute("PRAGMA busy_timeout = 0")
            is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {round(1_000 * BUSY_S)}")
            return not is_busy

        return self._run(cut)

    def blocks(self, size: int) -> Iterator[list[Event]]:
        try:
            with closing(self._connect()) as connection:
                rows = connection.execute(f"SELECT {COLUMNS} FROM events ORDER BY {IN_ORDER}")
                while block := rows.fetchmany(size):
                    yield events_of(block)
        except sqlite3.Error as error:
            raise EventStoreError(f"cannot read the event store {self._path}: {error}") from None

    def close(self) -> None:
        self._connections.close()

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._run(lambda connection: connection.execute(statement, values).fetchall())

    def _rows_of_users(
        self, statement: str, user_ids: Sequence[str], *values: Any
    ) -> list[list[tuple[Any, ...]]]:
        query = statement.format(user="?1")  # a plain ? has the number after the largest one so far

        def read(connection: sqlite3.Connection) -> list[list[tuple[Any, ...]]]:
            with _transaction(connection, "DEFERRED"):  # one state of the database for all users
                return [connection.execute(query, (user, *values)).fetchall() for user in user_ids]

        return self._run(read)

    def _run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        self._check_present()
        return self._connections.run(operation)

    def _delete(self, statement: str, values: tuple[Any, ...]) -> int:
        def delete(connection: sqlite3.Connection) -> int:
            with _transaction(connection):
                return connection.execute(statement, values).rowcount

        return self._run(delete)

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _check_present(self) -> None:
        """Check that the file is still the one that was opened: SQLite would not notice."""
        try:
            is_same = _identity(self._path) == self._file
        except OSError:
            is_same = False
        if not is_same:  # the connections stay: closing one would remove a new file's log
            raise EventStoreUnavailableError("the file was moved, removed or replaced")


def is_sqlite(path: Path) -> bool:
    """Whether a path is a file in the format of SQLite, of whatever program."""
    try:
        if special_kind(path.stat().st_mode) is not None:
            return False
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@contextmanager
def _transaction(connection: sqlite3.Connection, mode: str = "IMMEDIATE") -> Iterator[None]:
    connection.execute(f"BEGIN {mode}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _find(connection: sqlite3.Connection, event_id: str) -> Event:
    query = f"SELECT {COLUMNS} FROM events WHERE event_id = ?"
    return Event._make(connection.execute(query, (event_id,)).fetchone())


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _check_file(path: Path, *, creates: bool) -> None:
    """Check that there is a file of SQLite, or may be one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if creates and path.absolute().parent.is_dir():
            return
        problem = "does not exist" if not creates else "is in a folder that does not exist"
        raise EventStoreError(f"the event store {path} {problem}", "give another path") from None
    except OSError as error:
        message = f"cannot open the event store {path}: {error.strerror}"
        raise EventStoreError(message, "give another path") from None
    kind = "a folder" if path.is_dir() else special_kind(mode)
    if kind is not None:
        raise EventStoreError(f"the event store {path} is {kind}, expected a file", _OWN_FILE_HINT)
    is_empty = path.stat().st_size == 0
    if not (is_sqlite(path) or (is_empty and creates)):
        raise EventStoreError(f"{path} is not a database of SQLite", _OWN_FILE_HINT)


def _create_file(path: Path) -> None:
    """Create the file if it is missing, for its owner only: it will have personal data."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _prepare_tables(connection: sqlite3.Connection, path: Path, *, creates: bool) -> None:
    """Check whose database it is, and create the tables in an empty one."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    }
    if application != APPLICATION_ID:
        if tables or application or not creates:
            raise EventStoreError(f"{path} is the database of another program", _OWN_FILE_HINT)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise EventStoreError(
                f"the file system of {path} has no shared memory, which SQLite needs",
                "give a path on a local disk",
            )
        connection.executescript(_SCHEMA)
        return
    if version != FORMAT_VERSION:
        raise EventStoreError(
            f"the event store {path} has format {version}, expected {FORMAT_VERSION}",
            "use the version of Segue that wrote it, or give a new path",
        )
    if "events" not in tables:
        message = f"the event store {path} is damaged: it has no table of events"
        raise EventStoreError(message, "restore it from a backup, or give a new path")
    if creates:
        connection.executescript(_INDEXES)
