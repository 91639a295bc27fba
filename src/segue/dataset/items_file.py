"""``items.parquet``: write it, and read it with a check of its columns and values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segue.dataset.items import Items
from segue.dataset.manifest import DATASET_PROBLEMS, ITEMS
from segue.storage.arrow_files import read_table, unreadable_column
from segue.storage.reading import MAX_COUNT, Problems
from segue.tokens import INDEX_DTYPE, N_SPECIALS

_TEXTS = (pa.string(), pa.large_string())
_REQUIRED = {"index": (pa.int32(),), "item_id": _TEXTS, "training_count": (pa.int64(),)}
_OPTIONAL = {
    "is_candidate": (pa.bool_(),),
    "title": _TEXTS,
    "artist": _TEXTS,
    "album": _TEXTS,
    "genres": (pa.list_(pa.string()), pa.large_list(pa.string())),
}
"""The types of the columns that are read by name; any other column may have any type."""


def write_items(folder: Path, tables: Iterable[pa.Table]) -> None:
    """Write ``items.parquet``: consecutive rows of ``Items.table``.

    Args:
        tables: at least one, all with the same schema. Each table is written and released before
            the next one is requested.
    """
    tables = iter(tables)
    table = next(tables)
    with pq.ParquetWriter(folder / ITEMS, table.schema, compression="zstd") as writer:
        while table is not None:
            writer.write_table(table)
            table = None  # release it before the next one is built
            table = next(tables, None)


def read_items(
    folder: Path, problems: Problems = DATASET_PROBLEMS, *, n_items: int | None = None
) -> Items:
    """Read ``items.parquet`` of a dataset or a run.

    Args:
        folder: the folder.
        problems: the error to raise.
        n_items: the number of items; any by default.

    Raises:
        problems.error: it cannot be read, lacks a column, or has a value out of bounds.
    """
    path = folder / ITEMS
    table = read_table(path, problems, n_rows=n_items)
    if (problem := _problem(table)) is not None:
        raise problems.damaged(path, problem)
    return Items(table)


def _problem(table: pa.Table) -> str | None:
    """The first thing that is wrong with the table; None if nothing is."""
    for name, kinds in {**_REQUIRED, **_OPTIONAL}.items():
        if name not in table.column_names:
            if name in _REQUIRED:
                return f"it has no column {name}"
            continue
        column = table.column(name)
        if column.type not in kinds:
            return f"the column {name} is of type {column.type}, expected {kinds[0]}"
        if column.null_count and name in (*_REQUIRED, "is_candidate"):
            return f"the column {name} has null values"
    indices = np.arange(N_SPECIALS, N_SPECIALS + len(table), dtype=INDEX_DTYPE)
    if not np.array_equal(table.column("index").to_numpy(), indices):
        return f"the column index does not count from {N_SPECIALS}"
    counts = pc.call_function("min_max", [table.column("training_count")])
    low, high = counts["min"].as_py() or 0, counts["max"].as_py() or 0
    if low < 0 or high > MAX_COUNT:
        return f"training_count has values from {low} to {high}, expected counts"
    return unreadable_column(table)
