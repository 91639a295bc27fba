"""Ids in requests: strings or integers, in any one-dimensional iterable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np

from segue.errors import RequestError
from segue.ids import InvalidIdError, are_plain, id_of

Id = str | int
"""An item id or user id of the caller. The integer 7 is the id ``"7"`` of a log."""


def id_string(value: Any, name: str) -> str:
    """Convert one id to the string that a dataset stores, by the rule of ``segue.ids``.

    Args:
        value: a string or an integer, also of NumPy or as an Arrow scalar.
        name: what the id is, for the message: ``item id`` or ``user``.

    Raises:
        RequestError: the value cannot be an id, or stands for a missing one.
    """
    try:
        text = id_of(value)
    except InvalidIdError as error:
        message = f"{name} {error}, expected a string or an integer"
        raise RequestError(message, "write ids as in the log: '7' or 7") from None
    if text is None:
        message = f"{name} {value!r} stands for a missing id, expected a string or an integer"
        raise RequestError(message, "leave out what has no id")
    return text


def histories_of(values: Any) -> tuple[list[list[str]], bool]:
    """Convert one history or many to lists of id strings.

    Args:
        values: one history, as in ``id_strings``, or an iterable of histories. Without any element
            it is one empty history.

    Returns:
        The histories, and whether many were given.

    Raises:
        RequestError: as in ``id_strings``.
    """
    is_table = hasattr(values, "column_names") or hasattr(values, "columns")
    if getattr(values, "ndim", 1) == 2 and not is_table:  # without rows: no history at all
        return [id_strings(history) for history in values], True
    if hasattr(values, "to_pylist") and not is_table:
        values = values.to_pylist()
    elif isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping | Set):
        values = values if is_table else list(values)  # a generator can be read only once
    if isinstance(values, list) and any(
        _is_collection(value) for value in values if type(value) is not str
    ):
        return [id_strings(row, f"items[{i}]") for i, row in enumerate(values)], True
    return [id_strings(values)], False


def _is_collection(value: Any) -> bool:
    """Whether an element of ``items`` is a history and not an id."""
    return (
        not hasattr(value, "as_py") and isinstance(value, Iterable) and not isinstance(value, str)
    )


def id_strings(values: Any, name: str = "items") -> list[str]:
    """Convert a history to a list of id strings.

    Args:
        values: ids in order: a list, a tuple, a generator, a NumPy array, an Arrow array or a
            column of a data frame. A generator is consumed once.
        name: the argument, for messages.

    Raises:
        RequestError: it is a single id, a table, an array of several dimensions or a collection
            without order, or an id is neither a string nor an integer.
    """
    is_history = name.startswith("items") or "history" in name
    hint = "give a list of item ids" + (", oldest first" if is_history else "")
    if isinstance(values, str | bytes | int | np.integer):
        message = f"{name} is the single value {values!r}, expected a list of item ids"
        raise RequestError(message, hint)
    if hasattr(values, "column_names") or hasattr(values, "columns"):
        message = f"{name} is a table ({type(values).__name__}), expected one column of item ids"
        raise RequestError(message, "give the column with the item ids")
    if isinstance(values, Mapping | Set):
        problem = "which has no order of events" if is_history else "expected a list of item ids"
        message = f"{name} is a {type(values).__name__}, {problem}"
        raise RequestError(message, hint)
    if getattr(values, "ndim", 1) not in (1, None):
        message = f"{name} has {values.ndim} dimensions, expected one"
        raise RequestError(message, "give a one-dimensional array of item ids")
    if not isinstance(values, Iterable):
        message = f"{name} is of type {type(values).__name__}, expected a list of item ids"
        raise RequestError(message, hint)
    if isinstance(values, list) and set(map(type, values)) == {str} and are_plain(values):
        return list(values)
    return [id_string(value, "item id") for value in values]


def one_per_history(name: str, value: Any, n_histories: int, *, has_many: bool) -> list[Any]:
    """The value of an argument for each history.

    Raises:
        RequestError: many histories were given, but not one value for each.
    """
    if not has_many:
        return [value]
    if value is None:
        return [None] * n_histories
    if isinstance(value, list | tuple) and len(value) == n_histories:
        return list(value)
    given = f"{len(value)} values" if isinstance(value, list | tuple) else repr(value)[:80]
    raise RequestError(
        f"{name} is {given}, expected a list with one value per history ({n_histories})",
        "use None for a history without one",
    )
