"""Logs in tables: one event a row, in CSV, TSV, JSONL, Parquet, or bare ``user item`` pairs.

The log is read twice by DuckDB, in bounded memory: once to count what is wrong with it, so
that the first bad row is an error before any work is done, and once to sort it by sequence
and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from segue.config import SourceConfig, nearest
from segue.errors import SourceError
from segue.sources.columns import guess_columns
from segue.sources.events import connect, sequences_from_events, sorted_events
from segue.sources.layouts import is_table, join_tables, open_tables
from segue.sources.log_view import BAD_RATING, BAD_TIME, KEPT, LogView
from segue.sources.schema import NO_ITEMS, Chunk, Source
from segue.sources.tables import is_nested, reading, text_sql
from segue.wording import counted

A_YEAR_US = 366 * 24 * 3600 * 1_000_000


class _Survey(NamedTuple):
    """What the first reading counts."""

    rows: int
    wanted: int
    kept: int
    bad_times: int
    bad_ratings: int
    latest_us: int | None


def recognises(path: Path) -> bool:
    """Whether a path is a file of a known kind by its name, or a folder with one."""
    return is_table(path)


class TabularSource(Source):
    """A log of events in one table, or in the tables of a folder in the order of their names.

    Sequences come in the order of their ids as text; the events of one in the order of
    time, ties in the order of the rows. A log without a time column keeps the order of its
    rows. Ids are text exactly as written: in JSONL and Parquet an integer becomes its
    digits. Rows without a user's or an item's id (anonymous visits, mostly) are left out and
    counted in a warning; a missing rating is NaN; a missing time is an error.

    Args:
        path: a file or a folder.
        config: names columns that the guess would miss; see ``guess_columns``.

    Raises:
        SourceError: nothing to read, or the columns cannot be told.
    """

    format = "tabular"

    def __init__(self, path: Path, config: SourceConfig) -> None:
        self._path = path
        self._config = config
        options = (config.user_column, config.item_column, config.time_column)
        tables = open_tables(path, pairs=not any(options))
        self._columns = guess_columns(list(tables[0].columns), config, str(tables[0].files[0]))
        self._table = join_tables(tables, self._columns.named())
        self._refuse_nested_columns()
        self.sequences_are_users = self._columns.sequences_are_users
        self._warnings: list[str] = []

    def chunks(self) -> Iterator[Chunk]:
        config = self._config
        with reading(self._path), connect(config.memory_limit) as connection:
            log = LogView.of(connection, self._table, self._columns, config.event_type)
            self._check_event_types(connection, log)
            connection.execute(f"CREATE TEMP VIEW log AS {log.sql()}")
            self._check(connection, log)
            time = ", time" if self._columns.time else ""
            rating = ", rating" if self._columns.rating else ""
            events = f"SELECT sequence_id, item_id{time}{rating} FROM log WHERE {KEPT}"
            for sequences in sequences_from_events(sorted_events(connection, events)):
                yield Chunk(sequences, NO_ITEMS)

    def fingerprint(self) -> dict[str, Any]:
        sizes = [{"name": file.name, "bytes": file.stat().st_size} for file in self._table.files]
        return {"format": self.format, "files": sizes}

    def report(self) -> dict[str, Any]:
        return {"columns": self._columns._asdict(), "warnings": list(self._warnings)}

    def _refuse_nested_columns(self) -> None:
        for name in self._columns.named():
            sql_type = self._table.columns[name]
            if is_nested(sql_type):
                message = f"{self._path}: the column {name!r} holds lists or objects ({sql_type})"
                raise SourceError(message, "expected one event a row: unnest it first")

    def _check(self, connection: duckdb.DuckDBPyConnection, log: LogView) -> None:
        """Read the log once: refuse it at its first bad row, and note what is left out."""
        bad_times, latest = (BAD_TIME, "max(time)") if self._columns.time else ("false", "NULL")
        bad_ratings = BAD_RATING if self._columns.rating else "false"
        counts = connection.sql(f"""
            SELECT count(*), count(*) FILTER (wanted), count(*) FILTER ({KEPT}),
                count(*) FILTER ({bad_times}), count(*) FILTER ({bad_ratings}), {latest}
            FROM log
        """)
        survey = _Survey(*counts.fetchall()[0])
        if survey.rows == 0:
            raise SourceError(f"{self._path} has no rows under its header", "is it complete?")
        if survey.kept == 0:
            message = f"every row of {self._path} lacks a user's or an item's id"
            raise SourceError(message, "are those the right columns, and the right --event-type?")
        if survey.bad_times:
            hint = "expected ISO 8601 in all rows, or in all seconds to nanoseconds since 1970"
            raise log.first_bad_row(connection, BAD_TIME, "time", hint)
        if survey.bad_ratings:
            raise log.first_bad_row(connection, BAD_RATING, "rating", "expected a number")
        self._warnings = self._notes(survey)

    def _check_event_types(self, connection: duckdb.DuckDBPyConnection, log: LogView) -> None:
        if log.columns.event is None or not log.event_types:
            return
        event = text_sql(log.columns.event)
        types = connection.sql(f"SELECT DISTINCT {event} FROM {log.source}").fetchall()
        known = [name for (name,) in types if name is not None]
        for name in log.event_types:
            if name not in known:
                message = f"{self._path} has no event of type {name!r}"
                raise SourceError(message, nearest(name, known))

    def _notes(self, survey: _Survey) -> list[str]:
        notes = []
        if self._columns.time is None:
            notes.append("no time column: the events of a sequence keep the order of the file")
        elif survey.latest_us is not None and survey.latest_us < A_YEAR_US:
            column = self._columns.time
            notes.append(f"all times lie before 1971: does the column {column!r} hold times?")
        if survey.wanted < survey.rows:
            kept = f"{survey.wanted:,} of {survey.rows:,} rows"
            notes.append(f"{kept} are of type {', '.join(self._config.event_type)}")
        if survey.kept < survey.wanted:
            dropped = counted(survey.wanted - survey.kept, "row")
            notes.append(f"{dropped} without a user's or an item's id: left out")
        return notes
