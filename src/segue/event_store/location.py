"""Where an event store is: a path, ``sqlite:///PATH`` or ``postgresql://...``."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from segue.errors import ConfigError, EventStoreError
from segue.event_store.sqlite import SqliteEventStore
from segue.event_store.store import EventStore
from segue.storage.paths import checked_path

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


HINT = "give a path, sqlite:///PATH, or postgresql://USER@HOST:PORT/DATABASE"
_NO_PATH = re.compile(
    r"(sqlite|file|postgres|postgresql):|"
    r"\s*(host|hostaddr|port|dbname|user|password|passfile|service|sslmode)\s*="
)
"""The beginning of what other programs take for a database; as a path it would be a new file, whose
name may show a password."""


def is_store_url(text: str) -> bool:
    """Whether a text is the URL of a database and not a path."""
    return text.startswith(("sqlite:", *POSTGRES))


def open_event_store(location: str | Path, *, creates: bool = False) -> EventStore:
    """Open an event store.

    Args:
        location: the path of a file of SQLite, ``sqlite:///PATH`` (with a fourth slash for an
            absolute path), or ``postgresql://USER@HOST:PORT/DATABASE``.
        creates: whether it is created if there is none.

    Raises:
        EventStoreError: there is none, it cannot be reached, or the database is of another
            program, damaged or of another version.
        ConfigError: the URL is of another kind, or the package for PostgreSQL is missing.
    """
    text = str(location)
    if text.startswith(POSTGRES):
        if find_spec("psycopg") is None:
            hint = "install segue with the extra postgres: pip install 'segue[postgres]'"
            raise ConfigError("an event store in PostgreSQL needs the package psycopg", hint)
        from segue.event_store.postgres import PostgresEventStore

        return PostgresEventStore(text, creates=creates)
    if "://" in text and not text.startswith(SQLITE):
        scheme = text.partition(":")[0]
        raise ConfigError(f"an event store cannot be at a URL of {scheme[:20]!r}", HINT)
    if not text.startswith(SQLITE) and (start := _NO_PATH.match(text)):
        message = f"an event store is given by a path or URL, and not as {start.group().strip()}..."
        raise ConfigError(message, HINT)
    path = checked_path(text.removeprefix(SQLITE), EventStoreError)
    return SqliteEventStore(path, creates=creates)
