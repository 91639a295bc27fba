"""A log of events in our own terms, as SQL over whatever table it stands in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from segue.errors import SourceError
from segue.sources.columns import Columns
from segue.sources.tables import Table, identifier, line_of_row, literal, text_sql
from segue.sources.times import (
    Unit,
    is_date_sql,
    is_temporal,
    magnitude_sql,
    microseconds_sql,
    unit_of,
)

KEPT = "wanted AND sequence_id IS NOT NULL AND item_id IS NOT NULL"
"""Rows of the log that become events."""

BAD_TIME = f"{KEPT} AND time IS NULL"
BAD_RATING = f"{KEPT} AND rating IS NULL"

HEAD_ROWS = 10_000
"""Rows that tell whether times are numbers or dates, and by their middle the numbers' unit."""


@dataclass(frozen=True)
class LogView:
    """A table of events, and which of its columns holds what.

    Attributes:
        event_types: the types of events that are wanted; empty for all.
        unit: of numeric times; None where times are dates, or there are none.
    """

    table: Table
    columns: Columns
    event_types: tuple[str, ...]
    unit: Unit | None

    @classmethod
    def of(
        cls,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        columns: Columns,
        event_types: tuple[str, ...],
    ) -> LogView:
        """Look at the first rows to learn what most times are: dates, or numbers of a unit."""
        log = cls(table, columns, event_types, None)
        if columns.time is None or is_temporal(log._type_of(columns.time)):
            return log
        value = log._time_value(columns.time)
        is_date = is_date_sql(value) if log._type_of(columns.time) == "VARCHAR" else "false"
        head = f"""
            SELECT {magnitude_sql(value)} AS size, {is_date} AS is_date
            FROM {log.source} LIMIT {HEAD_ROWS}
        """
        query = f"SELECT count(size), count(*) FILTER (is_date), median(size) FROM ({head})"
        numbers, dates, middle = connection.sql(query).fetchall()[0]
        return replace(log, unit=None if dates > numbers else unit_of(middle or 0.0))

    @property
    def source(self) -> str:
        """The table function that reads the table; its columns have their own names."""
        return self.table.sql(as_text=self.columns.named())

    def sql(self) -> str:
        """A SELECT with one row for each row of the table, in their order.

        Its columns: ``sequence_id`` and ``item_id`` (NULL where empty), ``wanted``, and where
        the log has them ``time`` (BIGINT microseconds since 1970 UTC) and ``rating`` (FLOAT,
        NaN where empty), both NULL where they cannot be read, each beside the text that it
        was read from (``time_text``, ``rating_text``).
        """
        user, item, time, rating, _ = self.columns
        terms = [f"{text_sql(user)} AS sequence_id", f"{text_sql(item)} AS item_id"]
        if time:
            moment = microseconds_sql(self._time_value(time), self._type_of(time), self.unit)
            terms += [f"{moment} AS time", f"{text_sql(time)} AS time_text"]
        if rating:
            number = f"TRY_CAST(coalesce({text_sql(rating)}, 'nan') AS FLOAT)"
            terms += [f"{number} AS rating", f"{text_sql(rating)} AS rating_text"]
        terms.append(f"{self._wanted()} AS wanted")
        return f"SELECT {', '.join(terms)} FROM {self.source}"

    def first_bad_row(
        self, connection: duckdb.DuckDBPyConnection, bad: str, what: str, hint: str
    ) -> SourceError:
        """The error that names the first row of which a condition holds.

        Args:
            bad: ``BAD_TIME`` or ``BAD_RATING``.
            what: ``time`` or ``rating``.
            hint: what was expected.
        """
        for table in self.table.of_one_file():
            log = replace(self, table=table)
            numbered = f"SELECT *, row_number() OVER () AS row FROM ({log.sql()})"
            query = f"SELECT row, {what}_text FROM ({numbered}) WHERE {bad} ORDER BY row LIMIT 1"
            found = connection.sql(query).fetchall()
            if found:
                row, text = found[0]
                line = line_of_row(table, row)
                where = f"data row {row}" + (f" (line {line})" if line else "")
                return SourceError(f"{table.files[0]}: {where}: {what} is {text or ''!r}", hint)
        return SourceError("the log changed while it was read", "run it again")

    def _type_of(self, name: str) -> str:
        return self.table.columns[name] if self.table.kind == "parquet" else "VARCHAR"

    def _time_value(self, name: str) -> str:
        return text_sql(name) if self._type_of(name) == "VARCHAR" else identifier(name)

    def _wanted(self) -> str:
        if self.columns.event is None or not self.event_types:
            return "true"
        types = ", ".join(literal(name) for name in self.event_types)
        return f"coalesce({text_sql(self.columns.event)} IN ({types}), false)"
