"""Connections to a database: kept for the next use, and opened again after a failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from segue.event_store.store import EventCallError, EventStoreUnavailableError

C = TypeVar("C")
T = TypeVar("T")
CALL_STATES = frozenset({"57014", "40P01"})
"""States of SQL that say nothing about the database: a statement took too long, or a deadlock."""


class Connections(Generic[C]):
    """Connections that threads borrow one at a time. There are as many as threads use at once."""

    def __init__(self, open_one: Callable[[], C], errors: type[Exception]) -> None:
        """Open none yet.

        Args:
            open_one: opens a connection, or raises one of ``errors`` or a ``SegueError``.
            errors: what the database's module raises.
        """
        self._open = open_one
        self._errors = errors
        self._idle: deque[C] = deque()

    def run(self, operation: Callable[[C], T]) -> T:
        """Run an operation, which must be one that can be repeated.

        If an idle connection fails, all of them are closed and the operation is repeated with a
        new one: the database may have been restarted since.

        Raises:
            EventCallError: only this operation failed.
            EventStoreUnavailableError: the database failed.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._run(self._connect(), operation)
        try:
            return self._run(connection, operation)
        except EventCallError:
            raise
        except EventStoreUnavailableError:
            self.close()
            return self._run(self._connect(), operation)

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            with suppress(IndexError):  # another thread took the last one
                _close(self._idle.pop())

    def _connect(self) -> C:
        try:
            return self._open()
        except self._errors as error:
            raise EventStoreUnavailableError(_described(error)) from None

    def _run(self, connection: C, operation: Callable[[C], T]) -> T:
        try:
            result = operation(connection)
        except self._errors as error:
            _close(connection)
            is_of_call = getattr(error, "sqlstate", None) in CALL_STATES
            kind = EventCallError if is_of_call else EventStoreUnavailableError
            raise kind(_described(error)) from None
        except BaseException:
            _close(connection)
            raise
        self._idle.append(connection)
        return result


def _close(connection: Any) -> None:
    with suppress(Exception):
        connection.close()


def _described(error: Exception) -> str:
    """What failed, without values: messages of PostgreSQL may quote rows."""
    code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return f"the database failed: {type(error).__name__}" + (f" ({code})" if code else "")
