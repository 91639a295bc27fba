"""The format ``tabular``: one event per row in CSV, TSV, JSONL or Parquet, or ``user item`` pairs.

DuckDB reads the log twice, in bounded memory: once to count invalid rows, so that the first one
is reported before any sorting, and once to sort the log by sequence and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from segue.config import SourceConfig, nearest_hint
from segue.errors import SourceError, quantity
from segue.sources.byte_streams import is_stream
from segue.sources.duckdb_tables import reading, text_sql
from segue.sources.event_sorting import connect, sequences_from_events, sorted_events
from segue.sources.log_opening import OpenedLog, open_log
from segue.sources.log_view import IS_BAD_RATING, IS_BAD_TIME, IS_EVENT, LogView
from segue.sources.schema import NO_ITEMS, Chunk, Source
from segue.sources.scratch import ScratchFolder
from segue.sources.table_copies import can_be_copied, copied, is_read_exactly
from segue.sources.table_files import is_table

YEAR_US = 366 * 24 * 3600 * 1_000_000
"""A year in microseconds."""


class _RowCounts(NamedTuple):
    """The results of the first pass over the log.

    Attributes:
        n_typed: rows of the selected event types.
        n_events: those of them with both ids.
        latest_us: the latest time, in microseconds since 1970.
    """

    n_rows: int
    n_typed: int
    n_events: int
    n_bad_times: int
    n_bad_ratings: int
    latest_us: int | None


def recognises(path: Path) -> bool:
    """Whether a path is, by its name, a table file, or a folder that contains one."""
    return is_stream(path) or is_table(path)


class TabularSource(Source):
    """A log of events in one table, or in the tables of a folder in the order of their names.

    Sequences are ordered by their ids as text. The events of a sequence are ordered by time,
    ties by row; a log without a time column keeps the order of its rows. Ids are text exactly
    as written; in JSONL and Parquet an integer becomes its digits. Rows without a user id or
    an item id (mostly anonymous visits) are left out, with a warning that counts them. A
    missing rating is NaN; a missing time is an error.

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
        self._path, self._table, self._columns = log or open_log(path, config, self._scratch)
        self._sizes = [
            {"name": file.name, "bytes": file.stat().st_size} for file in self._table.files
        ]
        self.sequences_are_users = self._columns.sequences_are_users
        self._n_rows = 0
        self._warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        config = self._config
        with self._scratch, reading(self._path), connect(config.memory_limit) as connection:
            self._checked_log(connection)
            time = ", time" if self._columns.time else ""
            rating = ", rating" if self._columns.rating else ""
            events = f"SELECT sequence_id, item_id{time}{rating} FROM log WHERE {IS_EVENT}"
            for sequences in sequences_from_events(sorted_events(connection, events)):
                self._warn_of_header(sequences)
                yield Chunk(sequences, NO_ITEMS)

    def fingerprint(self) -> dict[str, Any]:
        return {"format": self.format, "files": self._sizes}

    def report(self) -> dict[str, Any]:
        warnings = [*self._table.warnings, *self._warnings]
        return {"columns": self._columns._asdict(), "warnings": warnings}

    def _warn_of_header(self, sequences: pa.RecordBatch) -> None:
        """Warn of an event that is a header, as in files that were appended to each other."""
        column = self._columns.user
        row = pc.index(sequences["sequence_id"], column).as_py()
        if self._table.file_type == "text" and self._table.text.has_header and row >= 0:
            self._warnings.append(
                f"a sequence has the id {column!r}, like its column: is a header within the file?"
            )

    def _checked_log(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Check all rows, of copies if DuckDB does not read the files or not all of their rows."""
        if self._table.is_plain:
            try:
                self._check_log(connection)
            except duckdb.Error as error:
                if not can_be_copied(self._table, error):
                    raise
            else:
                if is_read_exactly(self._table, self._n_rows):
                    return
        self._table = copied(self._table, self._columns.names(), self._scratch)
        self._check_log(connection)

    def _check_log(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._check_lists(connection)
        log = LogView.of(connection, self._table, self._columns, self._config.event_type)
        self._check_event_types(connection, log)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW log AS {log.sql()}")
        self._check_rows(connection, log)

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

    def _check_rows(self, connection: duckdb.DuckDBPyConnection, log: LogView) -> None:
        """Read the log once: raise an error for the first invalid row, and collect warnings."""
        is_bad_time, latest = (
            (IS_BAD_TIME, "max(time)") if self._columns.time else ("false", "NULL")
        )
        is_bad_rating = IS_BAD_RATING if self._columns.rating else "false"
        query = connection.sql(f"""
            SELECT count(*), count(*) FILTER (has_event_type), count(*) FILTER ({IS_EVENT}),
                count(*) FILTER ({is_bad_time}), count(*) FILTER ({is_bad_rating}), {latest}
            FROM log
        """)
        counts = _RowCounts(*query.fetchall()[0])
        self._n_rows = counts.n_rows
        if counts.n_rows == 0:
            message = f"{self._path} has no rows, expected one event per row"
            raise SourceError(message, "check that it is complete")
        if counts.n_events == 0:
            message = f"every row of {self._path} lacks a user id or an item id"
            raise SourceError(message, "check the chosen columns and --event-type")
        if counts.n_bad_times:
            hint = "expected ISO 8601 in all rows, or in all seconds to nanoseconds since 1970"
            raise log.bad_row_error(connection, IS_BAD_TIME, "time", hint)
        if counts.n_bad_ratings:
            raise log.bad_row_error(connection, IS_BAD_RATING, "rating", "expected a number")
        self._warnings = self._warnings_of(counts)

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

    def _warnings_of(self, counts: _RowCounts) -> list[str]:
        warnings = []
        if self._columns.time is None:
            warnings.append("no time column: the events of a sequence keep the order of the file")
        elif counts.latest_us is not None and counts.latest_us < YEAR_US:
            column = self._columns.time
            warnings.append(f"all times are before 1971: does the column {column!r} contain times?")
        if counts.n_typed < counts.n_rows:
            typed = f"{counts.n_typed:,} of {counts.n_rows:,} rows"
            warnings.append(f"{typed} are of type {', '.join(self._config.event_type)}")
        if counts.n_events < counts.n_typed:
            dropped = quantity(counts.n_typed - counts.n_events, "row")
            warnings.append(f"left out {dropped} without a user id or an item id")
        return warnings
