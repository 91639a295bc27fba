"""The event store in a PostgreSQL database: the tables ``segue_events``, ``segue_event_store``.

A transaction is acknowledged once PostgreSQL has synchronised it (``synchronous_commit = on``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import conninfo

from segue.errors import EventStoreError
from segue.event_store.connections import Connections
from segue.event_store.event import Event
from segue.event_store.sql_store import COLUMNS, IN_ORDER, SqlEventStore, events_of
from segue.event_store.store import FORMAT_VERSION, Outcome, outcomes

CONNECT_S = 3
STATEMENT_MS = 10_000
"""A statement that takes longer is cancelled, so that a database that hangs holds no thread."""
SILENCE_MS = 10_000
"""A connection whose data the other end does not confirm for so long is closed."""

DELETE_BLOCK = 5_000
"""Events of a user that one statement deletes."""
READ_BLOCK = 64
"""Users whose events one statement reads."""

_PLANNING = "-c enable_bitmapscan=off -c jit=off"
"""Reads take a range of an index from its end. Otherwise the planner sorts all events of a user if
it expects few, and compiles the statement if it expects many."""
_LOCK = 0x5345475545
"""Of the advisory lock under which the tables are created."""
# In the collation "C" text is ordered by code point, as in SQLite, whatever the database has.
_ITEM_KEY = "hashtextextended({item}, 0)"
"""An entry of an index has room for the id of a user, and not for that of an item, too."""
_INDEXES = f"""
CREATE INDEX segue_events_of_kind ON segue_events (user_id, kind, time_us, number);
CREATE INDEX segue_events_of_item ON segue_events
    (user_id, {_ITEM_KEY.format(item="item_id")}, time_us, number);
"""
"""For rejections: a store that an earlier version made has none."""
_SCHEMA = f"""
CREATE TABLE segue_events (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text COLLATE "C" NOT NULL UNIQUE,
    user_id text COLLATE "C" NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    time_us bigint NOT NULL,
    kind text COLLATE "C" NOT NULL
);
CREATE INDEX segue_events_of_user ON segue_events (user_id, time_us, number);
CREATE INDEX segue_events_by_time ON segue_events (time_us);
{_INDEXES}
CREATE TABLE segue_event_store (format_version integer NOT NULL);
INSERT INTO segue_event_store VALUES ({FORMAT_VERSION});
"""
_INSERT = f"""
INSERT INTO segue_events ({COLUMNS})
SELECT {COLUMNS} FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])
    WITH ORDINALITY AS given ({COLUMNS}, place)
ORDER BY place
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
"""
_OWN_DATABASE_HINT = "give a database of its own: createdb events"


class PostgresEventStore(SqlEventStore):
    """An ``EventStore`` in a database server."""

    _table = "segue_events"
    _item_key = _ITEM_KEY

    def __init__(self, url: str, *, creates: bool) -> None:
        """Connect to the store.

        Args:
            url: as libpq takes it; what it leaves out comes from libpq's environment variables.
            creates: whether the tables are created if they are missing.

        Raises:
            EventStoreError: the server cannot be reached, refuses, or its database is of another
                program, of another version or not in UTF-8.
        """
        self._url = url
        self._name = _name_of(url)
        try:
            with self._connect() as connection:
                _check_encoding(connection, self._name)
                _prepare_tables(connection, self._name, creates=creates)
        except psycopg.Error as error:
            # The first line of libpq names the server and the reason, and never a password.
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            message = f"cannot open the event store {self._name}: {reason}"
            raise EventStoreError(message, "check the address, the user and the password") from None
        self._connections = Connections(self._connect, psycopg.Error)

    @property
    def name(self) -> str:
        return self._name

    def add(self, events: Sequence[Event]) -> list[Outcome]:
        columns = [list(column) for column in zip(*events, strict=True)]
        ids = [event.event_id for event in events]

        def insert(connection: psycopg.Connection) -> list[Outcome]:
            with connection.transaction():
                new_ids = {event_id for (event_id,) in connection.execute(_INSERT, columns)}
                query = f"SELECT {COLUMNS} FROM segue_events WHERE event_id = ANY(%s)"
                rows = connection.execute(query, (ids,))
                return outcomes(events, new_ids, {row[0]: Event._make(row) for row in rows})

        return self._connections.run(insert) if events else []

    def delete_user(self, user_id: str) -> int:
        # In blocks, each of which ends long before STATEMENT_MS, however many events there are.
        n_deleted, is_left = 0, True
        while is_left:
            n_last, is_left = self._connections.run(lambda c: _delete_block(c, user_id))
            n_deleted += n_last
        return n_deleted

    def delete_before(self, time_us: int, limit: int) -> int:
        statement = (
            "DELETE FROM segue_events WHERE number IN (SELECT number FROM segue_events "
            "WHERE time_us < %s ORDER BY time_us, number LIMIT %s)"
        )
        return self._connections.run(lambda c: c.execute(statement, (time_us, limit)).rowcount)

    def erase(self) -> bool:
        # On a connection of its own: it may take longer than other statements.
        def vacuum(_: psycopg.Connection) -> bool:
            with self._connect() as connection:
                connection.execute("SET statement_timeout = 0")
                connection.execute("VACUUM segue_events")
            return True

        return self._connections.run(vacuum)

    def blocks(self, size: int) -> Iterator[list[Event]]:
        query = f"SELECT {COLUMNS} FROM segue_events ORDER BY {IN_ORDER}"
        try:
            with self._connect() as connection, connection.transaction():
                connection.execute("SET LOCAL statement_timeout = 0")
                with connection.cursor("segue_blocks") as cursor:
                    cursor.execute(query)
                    while block := cursor.fetchmany(size):
                        yield events_of(block)
        except psycopg.Error as error:
            message = f"cannot read the event store {self._name}: {type(error).__name__}"
            raise EventStoreError(message, "start the database, then run it again") from None

    def close(self) -> None:
        self._connections.close()

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        query = statement.replace("?", "%s").encode()
        return self._connections.run(lambda c: c.execute(query, values).fetchall())

    def _rows_of_users(
        self, statement: str, user_ids: Sequence[str], *values: Any
    ) -> list[list[tuple[Any, ...]]]:
        of_user = statement.format(user="given.user_id")
        query = f"SELECT of_user.*, place FROM {{}} CROSS JOIN LATERAL ({of_user}) AS of_user"
        many = query.format("unnest(?::text[]) WITH ORDINALITY AS given (user_id, place)")
        # PostgreSQL keeps the plan of this one; for an array it plans every time.
        one = query.format("(VALUES (?::text, 1)) AS given (user_id, place)")
        rows_of_users: list[list[tuple[Any, ...]]] = [[] for _ in user_ids]
        for start in range(0, len(user_ids), READ_BLOCK):
            block = list(user_ids[start : start + READ_BLOCK])
            is_one = len(block) == 1
            rows = self._rows(one, *block, *values) if is_one else self._rows(many, block, *values)
            for *row, place in rows:
                rows_of_users[start + place - 1].append(tuple(row))
        return rows_of_users

    def _connect(self) -> psycopg.Connection:
        given = conninfo.conninfo_to_dict(self._url)
        settings = {
            "connect_timeout": CONNECT_S,
            "application_name": "segue",
            "tcp_user_timeout": SILENCE_MS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        }
        own = f"-c statement_timeout={STATEMENT_MS} -c synchronous_commit=on {_PLANNING}"
        options = f"{given.pop('options', '') or ''} {own}".strip()
        own_settings = {"options": options, "client_encoding": "UTF8"}
        return psycopg.connect(**{**settings, **given, **own_settings}, autocommit=True)


def _name_of(url: str) -> str:
    """The address without its password.

    Raises:
        EventStoreError: it cannot be read.
    """
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.Error:  # its message may quote the password
        hint = "write postgresql://USER@HOST:PORT/DATABASE, with special characters as %NN"
        raise EventStoreError("the URL of the event store cannot be read", hint) from None
    user = f"{given['user']}@" if given.get("user") else ""
    port = f":{given['port']}" if given.get("port") else ""
    return f"postgresql://{user}{given.get('host') or ''}{port}/{given.get('dbname') or ''}"


def _delete_block(connection: psycopg.Connection, user_id: str) -> tuple[int, bool]:
    """Delete some events of a user: how many, and whether any are left."""
    of_user = "FROM segue_events WHERE user_id = %s"
    deleted = connection.execute(
        f"DELETE FROM segue_events WHERE number IN "
        f"(SELECT number {of_user} ORDER BY time_us, number LIMIT %s)",
        (user_id, DELETE_BLOCK),
    )
    # Not by the number of deleted rows: another call may delete the same events.
    left = connection.execute(f"SELECT number {of_user} LIMIT 1", (user_id,)).fetchone()
    return deleted.rowcount, left is not None


def _check_encoding(connection: psycopg.Connection, name: str) -> None:
    """Check that the database can store every text: one that it cannot would fail whole calls."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        message = f"the database {name} has the encoding {encoding}, expected UTF8"
        hint = "give another one: createdb --encoding=UTF8 --template=template0 events"
        raise EventStoreError(message, hint)


def _prepare_tables(connection: psycopg.Connection, name: str, *, creates: bool) -> None:
    """Check whose database it is, and create the tables in an empty one."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        query = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        tables = {table for (table,) in connection.execute(query)}
        if "segue_event_store" not in tables:
            if tables or not creates:
                problem = "is the database of another program" if tables else "has no event store"
                raise EventStoreError(f"{name} {problem}", _OWN_DATABASE_HINT)
            connection.execute(_SCHEMA.encode())
            return
        row = connection.execute("SELECT format_version FROM segue_event_store").fetchone()
    if row is None or row[0] != FORMAT_VERSION:
        version = "no format" if row is None else f"format {row[0]}"
        raise EventStoreError(
            f"the event store {name} has {version}, expected format {FORMAT_VERSION}",
            "use the version of Segue that wrote it, or give another database",
        )
    if "segue_events" not in tables:
        message = f"the event store {name} is damaged: it has no table of events"
        raise EventStoreError(message, "restore it from a backup, or give another database")
    if creates:
        _add_indexes(connection)


def _add_indexes(connection: psycopg.Connection) -> None:
    """Create the indexes that a store of an earlier version lacks, however long that takes."""
    query = (
        "SELECT 1 FROM pg_indexes "
        "WHERE schemaname = current_schema() AND indexname = 'segue_events_of_item'"
    )
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if connection.execute(query).fetchone() is None:
            connection.execute("SET LOCAL statement_timeout = 0")
            connection.execute(_INDEXES.encode())
