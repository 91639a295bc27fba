"""A log of events as SQL with normalized columns: ids as text, times in microseconds, ratings.

Times are ISO 8601 text or numbers since 1970. Whether a column contains text or numbers, and the
unit of its numbers, is decided once for the entire column, so that a wrong guess cannot change
the order of two events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import duckdb

from segue.errors import SourceError
from segue.sources.column_roles import ColumnRoles
from segue.sources.duckdb_tables import Table, identifier, line_of_row, literal, text_sql

IS_EVENT = "has_event_type AND sequence_id IS NOT NULL AND item_id IS NOT NULL"
"""SQL condition: the row of the log becomes an event."""

IS_BAD_TIME = f"{IS_EVENT} AND time IS NULL"
IS_BAD_RATING = f"{IS_EVENT} AND rating IS NULL"

SAMPLE_ROWS = 10_000
"""Number of rows that decide whether times are numbers or dates, and, by the median, the unit."""


class TimeUnit(NamedTuple):
    """A unit of numeric times.

    Attributes:
        limit: numbers from this one on are assumed to be in the next finer unit. The limit of
            seconds is the year 5138; each limit, read in the next finer unit, is March 1973.
        microseconds: the length of the unit in microseconds.
    """

    name: str
    limit: float
    microseconds: float


TIME_UNITS = (
    TimeUnit("seconds", 1e11, 1e6),
    TimeUnit("milliseconds", 1e14, 1e3),
    TimeUnit("microseconds", 1e17, 1.0),
    TimeUnit("nanoseconds", float("inf"), 1e-3),
)


@dataclass(frozen=True)
class LogView:
    """A table of events together with the roles of its columns.

    Attributes:
        event_types: the event types to keep; empty for all.
        time_unit: the unit of numeric times; None if times are dates or absent.
    """

    table: Table
    columns: ColumnRoles
    event_types: tuple[str, ...]
    time_unit: TimeUnit | None

    @classmethod
    def of(
        cls,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        columns: ColumnRoles,
        event_types: tuple[str, ...],
    ) -> LogView:
        """Detect from the first rows whether most times are dates or numbers, and their unit."""
        log = cls(table, columns, event_types, None)
        if columns.time is None or _is_temporal(log._type_of(columns.time)):
            return log
        value = log._time_value(columns.time)
        is_date = _is_date_sql(value) if log._type_of(columns.time) == "VARCHAR" else "false"
        sample = f"""
            SELECT {_magnitude_sql(value)} AS magnitude, {is_date} AS is_date
            FROM {log.source} LIMIT {SAMPLE_ROWS}
        """
        query = (
            f"SELECT count(magnitude), count(*) FILTER (is_date), median(magnitude) FROM ({sample})"
        )
        n_numbers, n_dates, median = connection.sql(query).fetchall()[0]
        return replace(log, time_unit=None if n_dates > n_numbers else _unit_of(median or 0.0))

    @property
    def source(self) -> str:
        """The SQL table function that reads the table, with the column names of the log."""
        return self.table.sql(as_text=self.columns.names())

    def sql(self) -> str:
        """A SELECT with one row per row of the table, in the same order.

        Its columns are ``sequence_id`` and ``item_id`` (NULL if empty), ``has_event_type``
        (whether the row is of one of ``event_types``), and, if the log has them, ``time``
        (BIGINT microseconds since 1970 UTC) and ``rating`` (FLOAT, NaN if empty). A time or
        rating that cannot be read is NULL; ``time_text`` and ``rating_text`` contain the
        original text.
        """
        user, item, time, rating, _ = self.columns
        terms = [f"{text_sql(user)} AS sequence_id", f"{text_sql(item)} AS item_id"]
        if time:
            value, sql_type = self._time_value(time), self._type_of(time)
            microseconds = _microseconds_sql(value, sql_type, self.time_unit)
            terms += [f"{microseconds} AS time", f"{text_sql(time)} AS time_text"]
        if rating:
            number = f"TRY_CAST(coalesce({text_sql(rating)}, 'nan') AS FLOAT)"
            terms += [f"{number} AS rating", f"{text_sql(rating)} AS rating_text"]
        terms.append(f"{self._has_event_type_sql()} AS has_event_type")
        return f"SELECT {', '.join(terms)} FROM {self.source}"

    def bad_row_error(
        self, connection: duckdb.DuckDBPyConnection, condition: str, role: str, hint: str
    ) -> SourceError:
        """Build the error that names the first row for which a condition holds.

        Args:
            condition: ``IS_BAD_TIME`` or ``IS_BAD_RATING``.
            role: ``time`` or ``rating``.
            hint: the values that were expected.
        """
        for table in self.table.per_file():
            log = replace(self, table=table)
            numbered = f"SELECT *, row_number() OVER () AS row FROM ({log.sql()})"
            query = (
                f"SELECT row, {role}_text FROM ({numbered}) WHERE {condition} ORDER BY row LIMIT 1"
            )
            rows = connection.sql(query).fetchall()
            if rows:
                row, text = rows[0]
                line = line_of_row(table, row)
                location = f"data row {row}" + (f" (line {line})" if line else "")
                message = f"{table.files[0]}: {location}: invalid {role} {text or ''!r}"
                return SourceError(message, hint)
        return SourceError("the log changed while it was read", "run it again")

    def _type_of(self, name: str) -> str:
        return self.table.columns[name] if self.table.file_type == "parquet" else "VARCHAR"

    def _time_value(self, name: str) -> str:
        return text_sql(name) if self._type_of(name) == "VARCHAR" else identifier(name)

    def _has_event_type_sql(self) -> str:
        if self.columns.event is None or not self.event_types:
            return "true"
        types = ", ".join(literal(name) for name in self.event_types)
        return f"coalesce({text_sql(self.columns.event)} IN ({types}), false)"


def _unit_of(magnitude: float) -> TimeUnit:
    """The unit in which a number of this size is a plausible time."""
    return next(unit for unit in TIME_UNITS if magnitude < unit.limit)


def _is_temporal(sql_type: str) -> bool:
    """Whether a column already has a type of times, as in Parquet."""
    return sql_type.startswith(("TIMESTAMP", "DATE"))


def _magnitude_sql(column: str) -> str:
    """SQL for the absolute value of a numeric time as a DOUBLE; NULL if not a finite number."""
    number = f"TRY_CAST({column} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN abs({number}) END"


def _is_date_sql(column: str) -> str:
    """SQL for whether a text is an ISO 8601 time; a plain number is not."""
    return f"TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"


def _microseconds_sql(column: str, sql_type: str, unit: TimeUnit | None) -> str:
    """SQL for a time in microseconds since 1970 UTC as a BIGINT; NULL if it is not a time.

    Text without a time zone is read in the zone of the connection, which must be UTC.

    Args:
        unit: the unit of numeric times; None for a column of dates.
    """
    if unit is None or _is_temporal(sql_type):
        return f"epoch_us(TRY_CAST({column} AS TIMESTAMPTZ))"
    # Current times in nanoseconds have more digits than a DOUBLE; fractions do not occur.
    if unit.name == "nanoseconds":
        return f"TRY_CAST({column} AS BIGINT) // 1000"
    scaled = f"TRY_CAST({column} AS DOUBLE) * {unit.microseconds}"
    return f"TRY_CAST(round({scaled}) AS BIGINT)"
