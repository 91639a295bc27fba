"""Times as logs write them, in SQL: ISO 8601 text, or numbers since 1970 in some unit.

Which of the two a column holds, and the unit of its numbers, is told for the whole column at
once, so that a guess can never change the order of two events.
"""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of numeric times.

    Attributes:
        limit: numbers from here on are taken for the next finer unit. In seconds that is
            the year 5138; in each finer unit the limit before it stands for March 1973.
        microseconds: how many there are in it.
    """

    name: str
    limit: float
    microseconds: float


UNITS = (
    Unit("seconds", 1e11, 1e6),
    Unit("milliseconds", 1e14, 1e3),
    Unit("microseconds", 1e17, 1.0),
    Unit("nanoseconds", float("inf"), 1e-3),
)


def unit_of(magnitude: float) -> Unit:
    """The unit in which a number of this size is a likely time."""
    return next(unit for unit in UNITS if magnitude < unit.limit)


def is_temporal(sql_type: str) -> bool:
    """Whether a column's own type already says when (as Parquet's may)."""
    return sql_type.startswith(("TIMESTAMP", "DATE"))


def magnitude_sql(column: str) -> str:
    """The size of a numeric time as a DOUBLE; NULL where the time is no finite number."""
    number = f"TRY_CAST({column} AS DOUBLE)"
    return f"CASE WHEN isfinite({number}) THEN abs({number}) END"


def is_date_sql(column: str) -> str:
    """Whether a text is a time in ISO 8601; no number is one."""
    return f"TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"


def microseconds_sql(column: str, sql_type: str, unit: Unit | None) -> str:
    """The time in microseconds since 1970 UTC as a BIGINT; NULL where it is none.

    Text without a zone is taken for UTC, which the connection must be set to.

    Args:
        unit: of the column's numbers; None for a column of dates.
    """
    if unit is None or is_temporal(sql_type):
        return f"epoch_us(TRY_CAST({column} AS TIMESTAMPTZ))"
    # Nanoseconds of today need more digits than a DOUBLE has; finer parts do not occur.
    if unit.name == "nanoseconds":
        return f"TRY_CAST({column} AS BIGINT) // 1000"
    scaled = f"TRY_CAST({column} AS DOUBLE) * {unit.microseconds}"
    return f"TRY_CAST(round({scaled}) AS BIGINT)"
