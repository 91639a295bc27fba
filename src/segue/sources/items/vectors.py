"""Vectors in items files: columns of lists of numbers, all finite and of the same width."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from segue.errors import SourceError
from segue.sources.schema import VECTOR
from segue.sources.tables.table import identifier

_NUMBER_LIST_TYPE = re.compile(
    r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.+\))\[\d*\]"
)


def is_vector(sql_type: str) -> bool:
    """Whether a column of this DuckDB type contains lists of numbers."""
    return _NUMBER_LIST_TYPE.fullmatch(sql_type) is not None


def vector_sql(name: str) -> str:
    """SQL for a column of lists of numbers in 32 bits, NULL where a list is empty.

    A number outside the range of 32 bits becomes a NULL element, which ``vector_widths``
    rejects.
    """
    return f"nullif(TRY_CAST({identifier(name)} AS FLOAT[]), []) AS {identifier(name)}"


def cast_vectors(items: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Cast the named columns to ``VECTOR``."""
    for name in names:
        index = items.schema.get_field_index(name)
        items = items.set_column(index, name, items.column(name).cast(VECTOR))
    return items


def vector_widths(items: pa.RecordBatch, names: Sequence[str], path: Path) -> dict[str, int]:
    """Check that the vectors of each column have the same width and finite numbers.

    Args:
        items: one row per item, with ``item_id`` and the named columns of type ``VECTOR``;
            null for an item without a vector.
        names: the columns to check.
        path: the file of the vectors, for messages.

    Returns:
        The width of each column, without columns that contain no vector.

    Raises:
        SourceError: a vector is invalid; the message names the column and the first such item.
    """
    return {
        name: _vector_width(items, name, path)
        for name in names
        if items.column(name).null_count < items.num_rows
    }


def _vector_width(items: pa.RecordBatch, name: str, path: Path) -> int:
    column = items.column(name)
    vectors, ids = column.drop_null(), items.column("item_id").filter(column.is_valid())
    widths = vectors.value_lengths().to_numpy()
    width = int(widths[0])
    different = np.flatnonzero(widths != width)
    if len(different):
        first = int(different[0])
        message = (
            f"{path}: the column {name!r} has vectors of {width} numbers, "
            f"but one of {widths[first]} for the item {ids[first].as_py()!r}"
        )
        raise SourceError(message, "give all items vectors of the same width, or none")
    invalid = np.flatnonzero(~np.isfinite(vectors.flatten().fill_null(np.nan).to_numpy()))
    if len(invalid):
        item_id = ids[int(invalid[0]) // width].as_py()
        message = f"{path}: the column {name!r} has a number that is missing or not finite in 32"
        message += f" bits, in the vector of the item {item_id!r}"
        raise SourceError(message, "correct the vector, or leave it out")
    return width
