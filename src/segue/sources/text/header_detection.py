"""Detect whether the first row of a text table is a header, and what unnamed columns contain."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER_OR_DATE = re.compile(r"[-+]?\d[-+\d.:TZ eE]*")
"""A first row with such a field is probably an event."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")

_EARLIEST_S = 3.1e8
"""1979, in seconds since 1970: smaller numbers are not taken for times."""

_MAX_RATING = 100.0


def is_probably_data(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row, none of whose fields is a usual name of a column, is an event.

    It is if a field is a number or a date, if a value recurs in its column, or if all its
    fields are of the same form as those of the other rows (``u1`` and ``u27``).
    """
    first = rows[0]
    if any(_NUMBER_OR_DATE.fullmatch(field.strip()) for field in first):
        return True
    different = [row for row in rows[1:] if len(row) == len(first) and row != first]
    if not different:
        return False
    columns = list(zip(*different, strict=True))
    if any(field in column for field, column in zip(first, columns, strict=True) if field):
        return True
    forms = [{_form(value) for value in column} for column in columns]
    has_digits = any("9" in _form(field) for field in first)
    return has_digits and all(
        {_form(field)} == column for field, column in zip(first, forms, strict=True)
    )


def are_numbered(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all fields after the first of each row are ids of one form with a number."""
    forms = {_form(field) for row in rows for field in row[1:]}
    return len(forms) == 1 and "9" in forms.pop()


def list_of_roles(rows: Sequence[Sequence[str]]) -> list[str]:
    """The probable role of each column of rows without a header; ``-`` if it has none.

    A column of dates or of numbers that are plausible times since 1970 is the time; small
    numbers after the first two columns are ratings; the first two others are user and item.
    """
    complete = [row for row in rows if len(row) == len(rows[0])]
    columns = [[field.strip() for field in column] for column in zip(*complete, strict=True)]
    roles: list[str] = []
    for i, column in enumerate(columns):
        left = [role for role in ("user", "item") if role not in roles]
        if "time" not in roles and _are_times(column):
            roles.append("time")
        elif i >= 2 and "rating" not in roles and "item" in roles and _are_ratings(column):
            roles.append("rating")
        elif left and not _are_fractions(column):
            roles.append(left[0])
        else:
            roles.append("-")
    return roles


def column_names(names: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """Distinct names of columns: a repeated one gets its number, as in ``title (2)``.

    Returns:
        The names, and those that are repeated, in lower case.
    """
    counts: dict[str, int] = {}
    taken = {name.casefold() for name in names}
    distinct = []
    for name in names:
        key = name.casefold()
        counts[key] = counts.get(key, 0) + 1
        new = name
        while counts[key] > 1 and new.casefold() in taken:
            new = f"{name} ({counts[key]})"
            counts[key] += new.casefold() in taken
        taken.add(new.casefold())
        distinct.append(new)
    return distinct, frozenset(key for key, count in counts.items() if count > 1)


def _form(field: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", field))


def _are_times(column: Sequence[str]) -> bool:
    if all(_DATE.fullmatch(value) for value in column):
        return True
    numbers = _numbers(column)
    return numbers is not None and min(numbers) >= _EARLIEST_S


def _are_ratings(column: Sequence[str]) -> bool:
    numbers = _numbers(column)
    return numbers is not None and min(numbers) >= -_MAX_RATING and max(numbers) <= _MAX_RATING


def _are_fractions(column: Sequence[str]) -> bool:
    """Whether a column contains measures such as 52.3702157, which are no ids."""
    numbers = _numbers(column)
    return numbers is not None and any(number % 1 for number in numbers)


def _numbers(column: Sequence[str]) -> list[float] | None:
    try:
        return [float(value) for value in column]
    except ValueError:
        return None
