"""A log of events as SQL with normalized columns: ids as text, times in microseconds, ratings.

The notation of times is decided once for the entire column, so that a wrong guess cannot change
the order of two events; see ``segue.sources.events.times``. Ids follow ``segue.ids``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import duckdb

from segue.errors import SourceError
from segue.ids import id_sql, needs_rule_sql, refused_sql
from segue.sources.column_roles import ColumnRoles
from segue.sources.events import times
from segue.sources.events.times import Reading, Window
from segue.sources.tables.table import Table, identifier, line_of_row, literal, text_sql

IS_TYPED = "has_event_type"
"""SQL condition: the row of the log has one of the selected event types."""

IS_EVENT = f"{IS_TYPED} AND sequence_id IS NOT NULL AND item_id IS NOT NULL"
"""SQL condition: the row of the log becomes an event."""

IS_BAD_TIME = f"{IS_EVENT} AND time IS NULL"
IS_BAD_RATING = f"{IS_EVENT} AND (rating IS NULL OR isinf(rating))"
IS_BAD_USER = f"{IS_TYPED} AND refused_user"
IS_BAD_ITEM = f"{IS_TYPED} AND refused_item"

SAMPLE_ROWS = 10_000
"""Number of rows from which the notation of times is guessed, before all rows are counted."""


class BadRow(NamedTuple):
    """A row of a log: its file, its position in the file, and some of its values as text."""

    file: str
    position: str
    values: list[str | None]


@dataclass(frozen=True)
class LogView:
    """A table of events together with the roles of its columns.

    Attributes:
        event_types: the event types to keep; empty for all.
        reading: how times are read; None for a log without times.
        exact_ids: whether the rule for ids is applied to text. Without it only empty text is
            missing, which is faster, and the same if no row ``has_irregular_ids_sql``.
    """

    table: Table
    columns: ColumnRoles
    event_types: tuple[str, ...]
    reading: Reading | None = None
    exact_ids: bool = False

    @classmethod
    def of(
        cls,
        connection: duckdb.DuckDBPyConnection,
        table: Table,
        columns: ColumnRoles,
        event_types: tuple[str, ...],
    ) -> LogView:
        """A view whose reading of times is guessed from the first rows, or else from all rows."""
        log, window = cls(table, columns, event_types), Window.today()
        if columns.time is None:
            return log
        counts, _ = log._class_counts(connection, window, f"LIMIT {SAMPLE_ROWS}")
        reading = times.guess(counts, window)
        return log.decided(connection) if reading is None else replace(log, reading=reading)

    def decided(self, connection: duckdb.DuckDBPyConnection) -> LogView:
        """The view with the reading of times that follows from all rows."""
        window = Window.today()
        counts, largest = self._class_counts(connection, window)
        return replace(self, reading=times.decide(counts, largest, window))

    @property
    def source(self) -> str:
        """The SQL table function that reads the table, with the column names of the log."""
        return self.table.sql(as_text=self.columns.names())

    def sql(self) -> str:
        """A SELECT with one row per row of the table, in the same order.

        Its columns are ``sequence_id`` and ``item_id`` (NULL where missing), ``user_text`` and
        ``item_text`` (the ids as in the file), ``refused_user`` and ``refused_item`` (whether
        the value cannot be an id), ``has_event_type`` (whether the row is of one of
        ``event_types``), and, if the log has them, ``time`` (BIGINT microseconds since 1970 UTC),
        ``time_class`` (see ``times.class_sql``) and ``rating`` (FLOAT, NaN if empty). A bad time
        or a rating that cannot be read is NULL; ``time_text`` and ``rating_text`` contain the
        original text.
        """
        terms = [
            *self._id_terms("sequence_id", "user", self.columns.user),
            *self._id_terms("item_id", "item", self.columns.item),
        ]
        if self.columns.time:
            assert self.reading is not None
            value, sql_type = self._time_value(self.columns.time)
            time_class = times.class_sql(value, sql_type, Window.today())
            terms += [
                f"{times.time_sql(value, sql_type, self.reading)} AS time",
                f"{time_class} AS time_class",
                f"{text_sql(self.columns.time)} AS time_text",
            ]
        if self.columns.rating:
            text = text_sql(self.columns.rating)
            number = f"TRY_CAST(coalesce({text}, 'nan') AS FLOAT)"
            terms += [f"{number} AS rating", f"{text} AS rating_text"]
        terms.append(f"{self._has_event_type_sql()} AS {IS_TYPED}")
        return f"SELECT {', '.join(terms)} FROM {self.source}"

    def has_irregular_ids_sql(self) -> str:
        """SQL condition: the rule for ids changes an id of the row, or warns of it."""
        texts = [
            needs_rule_sql(f"{role}_text")
            for role, name in (("user", self.columns.user), ("item", self.columns.item))
            if self.type_of(name) == "VARCHAR"
        ]
        return " OR ".join(texts) or "false"

    def first_row(
        self, connection: duckdb.DuckDBPyConnection, condition: str, columns: tuple[str, ...]
    ) -> BadRow | None:
        """The first row for which a condition holds.

        Args:
            condition: in terms of the columns of ``sql``, such as ``IS_BAD_TIME``.
            columns: the columns to return, such as ``time_text``.
        """
        for table in self.table.per_file():
            log = replace(self, table=table)
            numbered = f"SELECT *, row_number() OVER () AS row FROM ({log.sql()})"
            rows = connection.sql(f"""
                SELECT row, {", ".join(columns)} FROM ({numbered}) WHERE {condition}
                ORDER BY row LIMIT 1
            """).fetchall()
            if rows:
                row, *values = rows[0]
                line = line_of_row(table, row)
                position = f"data row {row}" + (f" (line {line})" if line else "")
                return BadRow(str(table.files[0]), position, values)
        return None

    def bad_row_error(
        self, connection: duckdb.DuckDBPyConnection, condition: str, role: str, hint: str
    ) -> SourceError:
        """Build the error that names the first row for which a condition holds.

        Args:
            condition: such as ``IS_BAD_RATING``.
            role: ``user``, ``item``, ``time`` or ``rating``.
            hint: the values that were expected.
        """
        bad = self.first_row(connection, condition, (f"{role}_text",))
        if bad is None:
            return SourceError("the log changed while it was read", "run it again")
        return SourceError(
            f"{bad.file}: {bad.position}: invalid {role} {bad.values[0] or ''!r}", hint
        )

    def _id_terms(self, column: str, role: str, name: str) -> list[str]:
        value, sql_type = identifier(name), self.type_of(name)
        is_exact = self.exact_ids or sql_type != "VARCHAR"
        refused = refused_sql(value, sql_type)
        if self.table.file_type == "jsonl":  # the types within a column may differ
            refused = f"(left({value}, 1) IN ('{{', '[') AND json_valid({value}))"
        return [
            f"{id_sql(value, sql_type) if is_exact else text_sql(name)} AS {column}",
            f"{text_sql(name)} AS {role}_text",
            f"{refused} AS refused_{role}",
        ]

    def _class_counts(
        self, connection: duckdb.DuckDBPyConnection, window: Window, limit: str = ""
    ) -> tuple[dict[str, int], int]:
        """The number of rows by class of time, in the order of their first rows.

        Returns:
            Also the largest absolute value of the numbers, 0 without any.
        """
        assert self.columns.time is not None
        value, sql_type = self._time_value(self.columns.time)
        number = "0" if times.is_temporal(sql_type) else times.whole_sql(value)
        rows = connection.sql(f"""
            SELECT time_class, count(*), min(row), max(abs(number::HUGEINT))
            FROM (
                SELECT {times.class_sql(value, sql_type, window)} AS time_class,
                    {number} AS number, row_number() OVER () AS row
                FROM {self.source} WHERE {self._has_event_type_sql()} {limit}
            )
            GROUP BY time_class ORDER BY min(row)
        """).fetchall()
        largest = max((number or 0 for *_, number in rows), default=0)
        return {time_class: n for time_class, n, *_ in rows}, largest

    def type_of(self, name: str) -> str:
        """The DuckDB type in which a column is read; JSON is read as the text in the file."""
        return self.table.columns[name] if self.table.file_type == "parquet" else "VARCHAR"

    def _time_value(self, name: str) -> tuple[str, str]:
        """SQL for the times as they are read, and their DuckDB type."""
        sql_type = self.type_of(name)
        if sql_type in {"FLOAT", "DOUBLE"}:  # NaN is missing
            return f"nullif(CAST({identifier(name)} AS VARCHAR), 'nan')", "VARCHAR"
        return text_sql(name) if sql_type == "VARCHAR" else identifier(name), sql_type

    def _has_event_type_sql(self) -> str:
        if self.columns.event is None or not self.event_types:
            return "true"
        types = ", ".join(literal(name) for name in self.event_types)
        return f"coalesce({text_sql(self.columns.event)} IN ({types}), false)"
