"""The rule for times: one notation for an entire column, and which times are bad.

A time is plausible from 1980 until a year from today. The plausible numbers of different notations
(seconds, milliseconds, compact dates such as 20211011, ...) do not overlap, so each plausible value
has exactly one notation. ``decide`` chooses the notation of a column from the numbers of its values
in each, ``time_sql`` reads the column in it.
"""

from __future__ import annotations

import re
import time as clock
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

US_PER_SECOND = 1_000_000
FIRST_US = 315_532_800 * US_PER_SECOND
"""1980-01-01, in microseconds since 1970."""

YEAR_US = 366 * 24 * 3600 * US_PER_SECOND

_ZONE = r"\d[T ]?\d\d:\d\d.*(Z|z|[+-]\d\d(:?\d\d)*|[A-Za-z]{3,}.*)$"
"""A time of day with a zone: Z, an offset or a name."""

EXPECTED = (
    "expected ISO 8601 such as 2021-03-04T12:00:00Z in all rows, or in all rows seconds, "
    "milliseconds, microseconds or nanoseconds since 1970, or compact dates such as 20210304"
)

DROP = "--bad-times drop leaves such rows out"


class Notation(NamedTuple):
    """How the times of a column are written.

    Attributes:
        name: in messages.
        per_second: the unit of numbers since 1970; None for dates.
        digits: the length of compact dates, else None.
        format: the format of compact dates, for ``strptime``.
        zoned: for ISO 8601 text, whether it has a time zone.
    """

    name: str
    per_second: int | None = None
    digits: int | None = None
    format: str | None = None
    zoned: bool | None = None


UNITS = (
    Notation("seconds since 1970", 1),
    Notation("milliseconds since 1970", 1_000),
    Notation("microseconds since 1970", 1_000_000),
    Notation("nanoseconds since 1970", 1_000_000_000),
)
COMPACT_DATES = (
    Notation("dates of 8 digits", digits=8, format="%Y%m%d"),
    Notation("dates of 12 digits", digits=12, format="%Y%m%d%H%M"),
    Notation("dates of 14 digits", digits=14, format="%Y%m%d%H%M%S"),
    Notation("dates of 17 digits", digits=17, format="%Y%m%d%H%M%S%g"),
)
DATES = (
    Notation("dates without a time zone", zoned=False),
    Notation("dates with a zone", zoned=True),
)
TYPED = Notation("dates")
"""A column whose type is a date or a timestamp, as in Parquet."""

NOTATIONS = (*UNITS, *COMPACT_DATES, *DATES)

OUTSIDE = "outside "
"""Prefix of the classes of times that are not plausible; see ``class_sql``."""

UNREADABLE, MISSING = "unreadable", "missing"


class Window(NamedTuple):
    """Plausible times: from ``first`` to ``last``, in microseconds since 1970."""

    first: int
    last: int

    @classmethod
    def today(cls) -> Window:
        """From 1980 until a year from today."""
        return cls(FIRST_US, today_us() + YEAR_US)


class Reading(NamedTuple):
    """How a column of times is read.

    Attributes:
        notation: the notation of the column.
        window: times outside of it are bad; None for a column that lies outside as a whole.
        droppable: whether bad times may be left out. Not if most times are bad, so that the
            notation is uncertain.
    """

    notation: Notation
    window: Window | None
    droppable: bool = True


def today_us() -> int:
    """The present time in microseconds since 1970. Tests replace it."""
    return round(clock.time() * US_PER_SECOND)


def is_temporal(sql_type: str) -> bool:
    """Whether a column already has a type of dates, as in Parquet."""
    return sql_type.startswith(("TIMESTAMP", "DATE"))


def iso_date(time_us: int) -> str:
    """The day of a time, for messages."""
    return str(np.datetime64(time_us, "us").astype("datetime64[D]"))


def unreadable_hint(text: str) -> str:
    """What is expected instead of a text that is not a time."""
    if re.fullmatch(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*", text.strip()):
        return "day and month are ambiguous: write ISO 8601 such as 2021-03-04 in all rows"
    return EXPECTED


def time_sql(value: str, sql_type: str, reading: Reading) -> str:
    """SQL for a time in microseconds since 1970 UTC as a BIGINT; NULL for a bad one.

    Args:
        value: an SQL expression of the column; text is NULL where it is empty.
        sql_type: the DuckDB type of the column.
    """
    time = _microseconds_sql(value, sql_type, reading.notation)
    if reading.window is None:
        return time
    first, last = reading.window
    return f"CASE WHEN {time} BETWEEN {first} AND {last} THEN {time} END"


def whole_sql(value: str) -> str:
    """SQL for a number as a BIGINT; NULL if it is not one, NaN, or too large for any unit."""
    return f"TRY_CAST(TRY_CAST({value} AS DOUBLE) AS BIGINT)"


def class_sql(value: str, sql_type: str, window: Window) -> str:
    """SQL for the class of a value, one of those that ``decide`` counts.

    It is the name of the notation in which the time is plausible; ``OUTSIDE`` and a notation for
    other times; ``UNREADABLE``; or ``MISSING``.
    """
    if is_temporal(sql_type):
        time = _microseconds_sql(value, sql_type, TYPED)
        cases = [f"WHEN {_within_sql(time, window)} THEN '{TYPED.name}'"]
        cases += [f"WHEN {time} IS NOT NULL THEN '{OUTSIDE}{TYPED.name}'"]
    else:
        is_number = f"{whole_sql(value)} IS NOT NULL"
        cases = [
            f"WHEN {_within_sql(_microseconds_sql(value, sql_type, notation), window)} "
            f"THEN '{notation.name}'"
            for notation in (*UNITS, *COMPACT_DATES)
        ]
        for notation in COMPACT_DATES:
            time = _microseconds_sql(value, sql_type, notation)
            cases.append(f"WHEN {time} IS NOT NULL THEN '{OUTSIDE}{notation.name}'")
        cases.append(f"WHEN {is_number} THEN '{OUTSIDE}numbers'")
        if sql_type == "VARCHAR":
            for notation in DATES:
                time = _microseconds_sql(value, sql_type, notation)
                cases.append(f"WHEN {_within_sql(time, window)} THEN '{notation.name}'")
                cases.append(f"WHEN {time} IS NOT NULL THEN '{OUTSIDE}{notation.name}'")
    return f"CASE WHEN {value} IS NULL THEN '{MISSING}' {' '.join(cases)} ELSE '{UNREADABLE}' END"


def guess(counts: Mapping[str, int], window: Window) -> Reading | None:
    """The reading of a column of which only the first rows are known; None if none is plausible."""
    by_name = {notation.name: notation for notation in (*NOTATIONS, TYPED)}
    plausible = {name: n for name, n in counts.items() if name in by_name}
    if not plausible:
        return None
    return Reading(by_name[max(plausible, key=lambda name: plausible[name])], window)


def decide(counts: Mapping[str, int], largest: int, window: Window) -> Reading:
    """Choose how a column is read, from the classes of all its values.

    Args:
        counts: by class, the number of values, in the order of the first row of each.
        largest: the largest absolute value of the numbers.
    """
    n_values = sum(n for name, n in counts.items() if name != MISSING)
    reading = guess(counts, window)
    if reading is None:
        return Reading(_notation_outside(counts, largest), None)
    n_plausible = counts[reading.notation.name]
    names = {notation.name for notation in NOTATIONS}
    is_tied = [n for name, n in counts.items() if name in names].count(n_plausible) > 1
    is_clear = 2 * n_plausible >= n_values and not is_tied
    return reading._replace(droppable=is_clear)


def _notation_outside(counts: Mapping[str, int], largest: int) -> Notation:
    """The notation of a column without a plausible time: of most of its readable values."""
    kinds: dict[str, int] = {}
    for name, n in counts.items():
        if name.startswith(OUTSIDE):
            kind = name.removeprefix(OUTSIDE)
            is_date = kind in {notation.name for notation in (*DATES, TYPED)}
            kinds[kind if is_date else "numbers"] = kinds.get(kind if is_date else "numbers", 0) + n
    if not kinds:
        return DATES[0]
    kind = max(kinds, key=lambda kind: kinds[kind])
    for notation in (*DATES, TYPED):
        if kind == notation.name:
            return notation
    for notation in COMPACT_DATES:
        if counts.get(OUTSIDE + notation.name) == kinds["numbers"]:
            return notation
    # Each limit is the year 5138 in its unit, and 1973 in the next finer one.
    return next(
        unit for unit in UNITS if largest < 1e11 * (unit.per_second or 1) or unit is UNITS[-1]
    )


def _within_sql(time: str, window: Window) -> str:
    return f"{time} BETWEEN {window.first} AND {window.last}"


def _microseconds_sql(value: str, sql_type: str, notation: Notation) -> str:
    """SQL for a time in microseconds since 1970 UTC as a BIGINT; NULL if it cannot be read.

    Text without a time zone is read in the zone of the connection, which must be UTC.
    """
    if is_temporal(sql_type):
        return f"epoch_us(TRY_CAST({value} AS TIMESTAMPTZ))"
    if notation.digits:
        digits = f"CAST(TRY_CAST({value} AS BIGINT) AS VARCHAR)"
        date = f"try_strptime({digits}, '{notation.format}')"
        return f"CASE WHEN strlen({digits}) = {notation.digits} THEN epoch_us({date}) END"
    if notation.per_second is None and sql_type != "VARCHAR":
        return "CAST(NULL AS BIGINT)"
    if notation.per_second is None:
        is_same = "" if notation.zoned is None else _is_zoned_sql(value, notation.zoned)
        return f"CASE WHEN {is_same} THEN epoch_us(TRY_CAST({value} AS TIMESTAMPTZ)) END"
    # Current times in nanoseconds have more digits than a DOUBLE; fractions do not occur.
    if notation.per_second > US_PER_SECOND:
        return f"TRY_CAST({value} AS BIGINT) // {notation.per_second // US_PER_SECOND}"
    scaled = f"TRY_CAST({value} AS DOUBLE) * {US_PER_SECOND / notation.per_second}"
    return f"TRY_CAST(round({scaled}) AS BIGINT)"


def _is_zoned_sql(value: str, zoned: bool) -> str:
    matches = f"regexp_matches({value}, '{_ZONE}')"
    return matches if zoned else f"NOT {matches}"
