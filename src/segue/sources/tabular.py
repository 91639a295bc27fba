"""The format ``tabular``: one event per row in CSV, TSV, JSONL or Parquet, or ``user item`` pairs.

DuckDB reads the log in bounded memory: first to check its rows (``segue.sources.log_checks``), so
that an invalid one is reported before any sorting, then to sort it by sequence and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from segue.config import SourceConfig, nearest_hint
from segue.errors import SourceError
from segue.sources.column_roles import guess_roles
from segue.sources.duckdb_tables import is_nested, reading, text_sql
from segue.sources.event_sorting import connect, sequences_from_events, sorted_events
from segue.sources.file_detection import is_table, join_tables, open_tables
from segue.sources.log_checks import check_log, check_types
from segue.sources.log_view import LogView
from segue.sources.schema import NO_ITEMS, Chunk, Source


def recognises(path: Path) -> bool:
    """Whether a path is, by its name, a table file, or a folder that contains one."""
    return is_table(path)


class TabularSource(Source):
    """A log of events in one table, or in the tables of a folder in the order of their names.

    Sequences are ordered by their ids as text. The events of a sequence are ordered by time,
    ties by row; a log without a time column keeps the order of its rows. Ids follow
    ``segue.ids``. Rows without a user id or an item id (mostly anonymous visits) are left out,
    with a warning that counts them. A missing rating is NaN. A missing or bad time (see
    ``segue.sources.times``) is an error, or its row is left out (``bad_times``).

    Args:
        path: a file or a folder.
        config: names the columns that cannot be guessed; see ``guess_roles``.

    Raises:
        SourceError: there is no readable table, or the column roles are unclear.
    """

    format = "tabular"

    def __init__(self, path: Path, config: SourceConfig) -> None:
        self._path = path
        self._config = config
        options = (config.user_column, config.item_column, config.time_column)
        tables = open_tables(path, pairs=not any(options))
        self._columns = guess_roles(list(tables[0].columns), config, str(tables[0].files[0]))
        self._table = join_tables(tables, self._columns.names())
        self._refuse_nested_columns()
        check_types(LogView(self._table, self._columns, ()), str(path))
        self.sequences_are_users = self._columns.sequences_are_users
        self._warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        config = self._config
        with reading(self._path), connect(config.memory_limit) as connection:
            log = LogView.of(connection, self._table, self._columns, config.event_type)
            self._check_event_types(connection, log)
            checked = check_log(connection, log, str(self._path), config.bad_times)
            self._warnings = checked.warnings
            for sequences in sequences_from_events(sorted_events(connection, checked.events)):
                yield Chunk(sequences, NO_ITEMS)

    def fingerprint(self) -> dict[str, Any]:
        sizes = [{"name": file.name, "bytes": file.stat().st_size} for file in self._table.files]
        return {"format": self.format, "files": sizes}

    def report(self) -> dict[str, Any]:
        return {"columns": self._columns._asdict(), "warnings": list(self._warnings)}

    def _refuse_nested_columns(self) -> None:
        for name in self._columns.names():
            sql_type = self._table.columns[name]
            if is_nested(sql_type):
                message = f"{self._path}: the column {name!r} contains lists or objects"
                hint = "expected one event per row: unnest the column first"
                raise SourceError(f"{message} ({sql_type})", hint)

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
