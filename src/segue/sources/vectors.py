"""Vectors that were computed elsewhere: columns of lists of numbers in a table of items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from segue.errors import SourceError
from segue.sources.schema import VECTOR
from segue.sources.tables import identifier

_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.+\))\[\d*\]")


def is_vector(sql_type: str) -> bool:
    """Whether a column of this DuckDB type holds lists of numbers."""
    return _NUMBERS.fullmatch(sql_type) is not None


def vector_sql(name: str) -> str:
    """A column of lists of numbers in SQL, in 32 bits: NULL where a list is empty.

    What 32 bits cannot hold becomes a NULL in its list, which ``vector_widths`` refuses.
    """
    return f"nullif(TRY_CAST({identifier(name)} AS FLOAT[]), []) AS {identifier(name)}"


def as_vectors(items: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The items with the named columns as ``VECTOR``."""
    for name in names:
        place = items.schema.get_field_index(name)
        items = items.set_column(place, name, items.column(name).cast(VECTOR))
    return items


def vector_widths(items: pa.RecordBatch, names: Sequence[str], path: Path) -> dict[str, int]:
    """Check that the vectors of each column have one width and finite numbers.

    Args:
        items: one row an item, with ``item_id`` and the named columns, of type ``VECTOR``;
            null for an item without a vector.
        path: the file that they come from, for messages.

    Returns:
        How many numbers the vectors of each column have; columns without any are left out.

    Raises:
        SourceError: naming the column and the first item whose vector is not as it should be.
    """
    return {
        name: _width(items, name, path)
        for name in names
        if items.column(name).null_count < items.num_rows
    }


def _width(items: pa.RecordBatch, name: str, path: Path) -> int:
    column = items.column(name)
    vectors, ids = column.drop_null(), items.column("item_id").filter(column.is_valid())
    widths = vectors.value_lengths().to_numpy()
    width = int(widths[0])
    others = np.flatnonzero(widths != width)
    if len(others):
        first = int(others[0])
        message = (
            f"{path}: the column {name!r} has vectors of {width} numbers, "
            f"but one of {widths[first]} for the item {ids[first].as_py()!r}"
        )
        raise SourceError(message, "give all items vectors of one width, or none")
    bad = np.flatnonzero(~np.isfinite(vectors.flatten().fill_null(np.nan).to_numpy()))
    if len(bad):
        item_id = ids[int(bad[0]) // width].as_py()
        message = f"{path}: the column {name!r} has a number that is missing, or no finite one"
        message += f" of 32 bits, in the vector of the item {item_id!r}"
        raise SourceError(message, "mend the vector, or leave it out")
    return width
