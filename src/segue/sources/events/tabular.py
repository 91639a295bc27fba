"""The format ``tabular``: one event per row in CSV, TSV, JSONL or Parquet, or ``user item`` pairs.

DuckDB reads the log in bounded memory: first to check its rows (``log_checks``), so that an
invalid one is reported before any sorting, then to sort it by sequence and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from segue.config import SourceConfig, nearest_hint
from segue.errors import SourceError
from segue.sources.byte_streams import is_stream
from segue.sources.column_roles import ColumnRoles
from segue.sources.events.log_checks import CheckedLog, check_log, check_types
from segue.sources.events.log_opening import OpenedLog, open_table_log
from segue.sources.events.log_view import LogView
from segue.sources.events.sorting import connect, sequences_from_events, sorted_events
from segue.sources.items.columns import attribute_columns
from segue.sources.schema import NO_ITEMS, Chunk, Source
from segue.sources.scratch import ScratchFolder
from segue.sources.tables.copies import (
    can_be_copied,
    copied,
    is_read_exactly,
    with_names_of_files,
)
from segue.sources.tables.files import is_table
from segue.sources.tables.table import Table, reading, text_sql


def recognises(path: Path) -> bool:
    """Whether a path is, by its name, a table file, or a folder that contains one."""
    return is_stream(path) or is_table(path)


class TabularSource(Source):
    """A log of events in one table, or in the tables of a folder in the order of their names.

    Sequences are ordered by their ids as text. The events of a sequence are ordered by time,
    ties by row; a log without a time column keeps the order of its rows. Ids follow
    ``segue.ids``. Rows without a user id or an item id (mostly anonymous visits) are left out,
    with a warning that counts them. A missing rating is NaN. A missing or bad time (see
    ``segue.sources.events.times``) is an error, or its row is left out (``bad_times``).

    Args:
        path: a file, a folder, a pipe, or ``-`` for standard input.
        log: the log, if it is already open.
        config: names the columns that cannot be guessed; see ``guess_roles``.

    Raises:
        SourceError: there is no readable table, or the column roles are unclear.
    """

    format = "tabular"

    def __init__(self, path: Path, config: SourceConfig, log: OpenedLog | None = None) -> None:
        self._config = config
        self._scratch = ScratchFolder()
        self._path, self._table, self._columns = log or open_table_log(path, config, self._scratch)
        self._sizes = [
            {"name": file.name, "bytes": file.stat().st_size} for file in self._table.files
        ]
        check_types(LogView(self._table, self._columns, ()), str(self._path))
        self.sequences_are_users = self._columns.sequences_are_users
        self._attributes = _unused_attributes(self._table, self._columns, config)
        self._warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        config = self._config
        with self._scratch, reading(self._path), connect(config.memory_limit) as connection:
            checked = self._checked_log(connection)
            self._warnings = checked.warnings
            for sequences in sequences_from_events(sorted_events(connection, checked.events)):
                self._warn_of_header(sequences)
                yield Chunk(sequences, NO_ITEMS)

    def fingerprint(self) -> dict[str, Any]:
        return {"format": self.format, "files": self._sizes}

    def report(self) -> dict[str, Any]:
        warnings = [*self._table.warnings, *self._attributes, *self._warnings]
        return {"columns": self._columns._asdict(), "warnings": warnings}

    def _warn_of_header(self, sequences: pa.RecordBatch) -> None:
        """Warn of an event that is a header, as in files that were appended to each other."""
        column = self._columns.user
        row = pc.index(sequences["sequence_id"], column).as_py()
        if self._table.file_type == "text" and self._table.text.has_header and row >= 0:
            self._warnings.append(
                f"a sequence has the id {column!r}, like its column: is a header within the file?"
            )

    def _checked_log(self, connection: duckdb.DuckDBPyConnection) -> CheckedLog:
        """Check all rows, of copies if DuckDB does not read the files or not all of their rows."""
        if self._table.is_plain:
            try:
                checked = self._check_log(connection)
            except duckdb.Error as error:
                if not can_be_copied(self._table, error):
                    raise
            else:
                if is_read_exactly(self._table, checked.n_rows):
                    return checked
        self._table = copied(self._table, self._columns.names(), self._scratch)
        try:
            return self._check_log(connection)
        except duckdb.Error as error:
            raise type(error)(with_names_of_files(self._table, str(error))) from None

    def _check_log(self, connection: duckdb.DuckDBPyConnection) -> CheckedLog:
        self._check_lists(connection)
        log = LogView.of(connection, self._table, self._columns, self._config.event_type)
        self._check_event_types(connection, log)
        return check_log(connection, log, str(self._path), self._config.bad_times)

    def _check_lists(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Raise an error if columns of lists have different lengths in a row."""
        for table in self._table.per_file():
            query = table.unequal_lists_sql()
            for row, *lengths in connection.execute(query).fetchall() if query else ():
                counts = " and ".join(
                    f"{length or 0} in {name!r}"
                    for name, length in zip(table.lists, lengths, strict=True)
                )
                message = f"{table.files[0]}: data row {row} has lists of different lengths: "
                raise SourceError(message + counts, "expected one value per item")

    def _check_event_types(self, connection: duckdb.DuckDBPyConnection, log: LogView) -> None:
        if log.columns.event is None or not log.event_types:
            return
        event = text_sql(log.columns.event)
        rows = connection.sql(f"SELECT DISTINCT {event} FROM {log.source}").fetchall()
        existing_types = [name for (name,) in rows if name is not None]
        for name in log.event_types:
            if name not in existing_types:
                message = f"{self._path} has no event of type {name!r}"
                raise SourceError(message, nearest_hint(name, existing_types))


def _unused_attributes(table: Table, columns: ColumnRoles, config: SourceConfig) -> list[str]:
    """A warning if the log has attributes of items, which only an items file can give."""
    left = [name for name in table.columns if name not in columns.names()]
    names = attribute_columns(left)
    if not names or config.items_file is not None:
        return []
    return [
        f"not used: {', '.join(map(repr, names))}; titles and other attributes of items are read "
        "from a file with one row per item, items_file"
    ]
