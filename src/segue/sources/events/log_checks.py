"""Checks of a log before it is sorted: rows without ids, bad ids, bad times, bad ratings.

One pass over the log counts them under the cheapest view that can be right. Only if it finds
anything irregular is the view made exact, and the log counted again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import duckdb

from segue.config.preparation import BadTimes
from segue.errors import SourceError, quantity
from segue.ids import EXPECTED, refused_type
from segue.sources.events import times
from segue.sources.events.id_warnings import id_warnings
from segue.sources.events.log_view import (
    IS_BAD_ITEM,
    IS_BAD_RATING,
    IS_BAD_TIME,
    IS_BAD_USER,
    IS_EVENT,
    IS_TYPED,
    LogView,
)
from segue.sources.tables.table import is_nested


class RowCounts(NamedTuple):
    """The results of one pass over the log.

    Attributes:
        n_typed: rows of the selected event types.
        n_events: those of them with both ids.
        n_irregular: rows to whose ids the rule for ids matters.
        first_us, last_us: the range of the times, in microseconds since 1970.
    """

    n_rows: int
    n_typed: int
    n_events: int
    n_irregular: int
    n_bad_users: int
    n_bad_items: int
    n_bad_times: int
    n_bad_ratings: int
    first_us: int | None
    last_us: int | None


class CheckedLog(NamedTuple):
    """A log whose rows can all be read.

    Attributes:
        events: a SELECT of the events in file order: ``sequence_id``, ``item_id`` and, if the log
            has them, ``time`` and ``rating``.
        n_rows: rows of the log, events or not.
        warnings: what was left out, rewritten or doubtful.
    """

    events: str
    n_rows: int
    warnings: list[str]


def check_types(log: LogView, name: str) -> None:
    """Refuse columns whose type can be neither ids nor times, apart from lists and objects.

    Args:
        name: the log, in messages.

    Raises:
        SourceError: the message names the column.
    """
    roles = {"user": log.columns.user, "item": log.columns.item, "time": log.columns.time}
    for role, column in roles.items():
        # The detected type, also of JSON, which is read as text.
        sql_type = "" if column is None else log.table.columns[column]
        is_time = role == "time" and times.is_temporal(sql_type)
        kind = None if is_nested(sql_type) or is_time else refused_type(sql_type)
        if kind is not None:
            expected = "times" if role == "time" else f"{role} ids"
            message = f"{name}: the column {column!r} contains {kind}, expected {expected}"
            hint = f"choose another column with --{role}-column, or convert it"
            raise SourceError(message, hint)


def check_log(
    connection: duckdb.DuckDBPyConnection, log: LogView, name: str, bad_times: BadTimes
) -> CheckedLog:
    """Read a log once or, if anything is irregular, a few times, before it is sorted.

    Args:
        name: the log, in messages.
        bad_times: ``refuse`` or ``drop``.

    Raises:
        SourceError: the log has no events, or a bad value; the message names the first such row.
    """
    counts = _count(connection, log)
    exact = log if not counts.n_irregular else replace(log, exact_ids=True)
    if counts.n_bad_times:
        exact = exact.decided(connection)
    if exact != log:
        counts = _count(connection, exact)
    _refuse(connection, exact, counts, name, bad_times)
    warnings = _warnings(connection, exact, counts)
    return CheckedLog(_events_sql(exact, counts), counts.n_rows, warnings)


def _events_sql(log: LogView, counts: RowCounts) -> str:
    """The SELECT of the events, without conditions that hold for every row: sorting is faster."""
    conditions = []
    if counts.n_events < counts.n_rows:
        conditions.append(IS_EVENT)
    if counts.n_bad_times:
        conditions.append("time IS NOT NULL")
    elif log.reading is not None:
        log = replace(log, reading=log.reading._replace(window=None))
    optional = [column for column in ("time", "rating") if getattr(log.columns, column)]
    columns = ", ".join(["sequence_id", "item_id", *optional])
    return f"SELECT {columns} FROM ({log.sql()}) WHERE {' AND '.join(conditions) or 'true'}"


def _count(connection: duckdb.DuckDBPyConnection, log: LogView) -> RowCounts:
    has_time, has_rating = log.columns.time is not None, log.columns.rating is not None
    irregular = log.has_irregular_ids_sql()
    query = f"""
        SELECT count(*), count(*) FILTER ({IS_TYPED}), count(*) FILTER ({IS_EVENT}),
            count(*) FILTER ({IS_TYPED} AND ({irregular})),
            count(*) FILTER ({IS_BAD_USER}), count(*) FILTER ({IS_BAD_ITEM}),
            {f"count(*) FILTER ({IS_BAD_TIME})" if has_time else "0"},
            {f"count(*) FILTER ({IS_BAD_RATING})" if has_rating else "0"},
            {"min(time), max(time)" if has_time else "NULL, NULL"}
        FROM ({log.sql()})
    """
    return RowCounts(*connection.sql(query).fetchall()[0])


def _refuse(
    connection: duckdb.DuckDBPyConnection,
    log: LogView,
    counts: RowCounts,
    name: str,
    bad_times: BadTimes,
) -> None:
    """Raise the error for the first bad value, if there is any."""
    if counts.n_rows == 0:
        message = f"{name} has no rows, expected one event per row"
        raise SourceError(message, "check that it is complete")
    for n_bad, condition, role in (
        (counts.n_bad_users, IS_BAD_USER, "user"),
        (counts.n_bad_items, IS_BAD_ITEM, "item"),
    ):
        if n_bad:
            hint = f"expected whole numbers that a float holds exactly; else {EXPECTED}"
            if log.table.file_type == "jsonl":
                hint = EXPECTED
            raise log.bad_row_error(connection, condition, role, hint)
    if counts.n_events == 0:
        message = f"every row of {name} lacks a user id or an item id"
        raise SourceError(message, "check the chosen columns and --event-type")
    if counts.n_bad_times:
        assert log.reading is not None
        if bad_times == "refuse" or not log.reading.droppable:
            raise _bad_time_error(connection, log, bad_times)
        if counts.n_bad_times == counts.n_events:
            raise SourceError(f"no row of {name} has a time that can be read", times.EXPECTED)
    if counts.n_bad_ratings:
        hint = "expected a finite number such as 3.5"
        raise log.bad_row_error(connection, IS_BAD_RATING, "rating", hint)


def _bad_time_error(
    connection: duckdb.DuckDBPyConnection, log: LogView, bad_times: BadTimes
) -> SourceError:
    """The error for the first bad time, with a good one for comparison."""
    bad = log.first_row(connection, IS_BAD_TIME, ("time_text", "time_class"))
    good = log.first_row(connection, f"{IS_EVENT} AND time IS NOT NULL", ("time_text",))
    if bad is None or log.reading is None:
        return SourceError("the log changed while it was read", "run it again")
    text, time_class = bad.values[0] or "", bad.values[1] or ""
    message = f"{bad.file}: {bad.position}: invalid time {text!r}"
    drop = f"; {times.DROP}" if log.reading.droppable and good is not None else ""
    if time_class == times.MISSING:
        return SourceError(message, times.EXPECTED + drop)
    if time_class == times.UNREADABLE or good is None:
        return SourceError(message, times.unreadable_hint(text) + drop)
    example = f"{good.values[0]!r} in {good.position}"
    example += f" of {good.file}" if good.file != bad.file else ""
    notation = log.reading.notation.name
    if log.reading.window is not None and time_class.startswith(times.OUTSIDE):
        message += f", which is not between 1980 and a year from today, while {example} is"
        hint = "correct such times"
        if not drop:
            hint += ", or leave them empty"
            hint += f"; then {times.DROP}" if bad_times == "refuse" else ""
    else:
        given = time_class.removeprefix(times.OUTSIDE)
        message += f", of the kind {given}, while {example} is of the kind {notation}"
        hint = "write times in one unit or notation in all rows"
    return SourceError(message, hint + drop)


def _warnings(connection: duckdb.DuckDBPyConnection, log: LogView, counts: RowCounts) -> list[str]:
    warnings = []
    if log.columns.time is None:
        warnings.append("no time column: the events of a sequence keep the order of the file")
    elif log.reading is not None and log.reading.window is None and counts.first_us is not None:
        first, last = times.iso_date(counts.first_us), times.iso_date(counts.last_us or 0)
        warnings.append(
            f"all times lie before 1980 or more than a year ahead, from {first} to {last}, read as "
            f"{log.reading.notation.name}: does the column {log.columns.time!r} contain times?"
        )
    if counts.n_bad_times:
        dropped = quantity(counts.n_bad_times, "row")
        warnings.append(f"left out {dropped} with a bad or missing time (bad_times = drop)")
    if counts.n_typed < counts.n_rows:
        typed = f"{counts.n_typed:,} of {counts.n_rows:,} rows"
        warnings.append(f"{typed} are of type {', '.join(log.event_types)}")
    return warnings + id_warnings(connection, log, counts.n_typed - counts.n_events)
