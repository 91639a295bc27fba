"""The columns of the items that are searched, and their texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

ITEM_ID, TITLE = "item_id", "title"
"""Columns whose values are also compared as a whole."""

_UNSEARCHED = ("index", ITEM_ID, "training_count", "is_candidate")
_TECHNICAL = ("_uri", "_url", "_id")
"""Ends of the names of columns that nobody reads, such as ``artist_uri``."""


def searched_columns(table: pa.Table) -> list[str]:
    """The names of the columns whose words are found: texts, lists of texts, and the year.

    Title and artist come first.
    """
    names = [
        field.name
        for field in table.schema
        if field.name not in _UNSEARCHED
        and not field.name.endswith(_TECHNICAL)
        and (_is_text(field.type) or (field.name == "year" and pa.types.is_integer(field.type)))
    ]
    first = [name for name in (TITLE, "artist") if name in names]
    return first + [name for name in names if name not in first]


def texts_of(column: pa.ChunkedArray) -> Sequence[str]:
    """One text per item; empty where there is no value."""
    return [_text(value) for value in column.to_pylist()]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(part for part in value if part)
    return "" if value is None else str(value)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
