"""``ItemEncoder``: provisional item codes and item attributes while a log is read."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32, Int64

from segue.preparation.attribute_spill import NO_ROW, AttributeSpill
from segue.sources.schema import RESERVED_COLUMNS
from segue.storage.string_index import StringIndex
from segue.tokens import INDEX_DTYPE

ITEMS_PER_BLOCK = 1 << 20
"""Items whose attributes are in memory at a time: the row group size of ``items.parquet``."""


class ItemEncoder:
    """Assigns each item id a provisional code, 0, 1, 2, ..., in the order of first appearance.

    Ids and events are encoded as arrays, not one by one. Of several descriptions of an item the
    first is used. Descriptions are on disk; memory grows with the ids only, by about 60 bytes per
    item.
    """

    def __init__(self, folder: Path) -> None:
        """Create ``folder`` for the descriptions, without items."""
        self._codes = StringIndex()
        self._latest = pa.array([], pa.string()), np.zeros(1, INDEX_DTYPE)
        self._described = np.zeros(0, dtype=bool)
        self._descriptions = AttributeSpill(folder)
        self._description_codes = [np.zeros(0, INDEX_DTYPE)]
        self._override = pa.table({})
        self._override_codes = np.zeros(0, INDEX_DTYPE)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def nbytes(self) -> int:
        """Bytes that the ids take, without the descriptions of an items file."""
        return self._codes.nbytes

    def encode(self, items: pa.DictionaryArray) -> Int32[np.ndarray, " events"]:
        """The codes of a chunk's events."""
        indices = items.indices.to_numpy()
        used_indices = np.flatnonzero(np.bincount(indices, minlength=len(items.dictionary)))
        code_of_index = np.zeros(len(items.dictionary), dtype=INDEX_DTYPE)
        ids = items.dictionary.take(pa.array(used_indices))
        codes = self._codes.encode(ids)
        code_of_index[used_indices] = codes
        if len(used_indices):
            self._latest = ids, codes
        return code_of_index[indices]

    def describe(self, items: pa.RecordBatch) -> None:
        """Add descriptions of items. Ids without an event so far get codes too."""
        if not len(items):  # a log without item attributes
            return
        codes = self._described_codes(items.column("item_id"))
        self._described = _padded(self._described, len(self))
        distinct, first = np.unique(codes, return_index=True)
        new_rows = np.sort(first[~self._described[distinct]])
        self._described[codes[new_rows]] = True
        attributes = items.select(_attributes(items.schema))
        if len(new_rows) and attributes.num_columns:
            self._descriptions.append(attributes.take(pa.array(new_rows)))
            self._description_codes.append(codes[new_rows])

    def override(self, items: pa.RecordBatch) -> int:
        """Add descriptions that take precedence over all others, per item and column.

        Returns:
            The number of described items that had a code before.
        """
        n_before = len(self)
        self.describe(items.select(["item_id"]))  # the columns may be wide: avoid a second copy
        self._override = pa.Table.from_batches([items.select(_attributes(items.schema))])
        self._override_codes = self._codes.encode(items.column("item_id"))
        return int(np.count_nonzero(np.unique(self._override_codes) < n_before))

    def first_id(self) -> str | None:
        """The id with code 0; None without items."""
        return self._codes.decode(np.zeros(1, np.int64))[0].as_py() if len(self) else None

    def codes_by_id(self) -> Int64[np.ndarray, " codes"]:
        """All codes sorted by id, an order that is independent of the log's events."""
        return self._codes.sorted_indices()

    def described(self) -> Bool[np.ndarray, " codes"]:
        """Whether each code has a description."""
        return _padded(self._described, len(self))

    def names(self) -> list[str]:
        """The names of all attributes, including those without any value."""
        return list(dict.fromkeys(name for table in self._tables for name in table.names))

    def attributes(self, codes: Int64[np.ndarray, " items"]) -> list[str]:
        """The names of the attributes that at least one of the given codes has."""
        blocks = np.split(codes, range(ITEMS_PER_BLOCK, len(codes), ITEMS_PER_BLOCK))
        return [
            name
            for name in self.names()
            if any(_has_values(self._column(name, block)) for block in blocks)
        ]

    def table(self, codes: Int64[np.ndarray, " items"], attributes: list[str]) -> pa.Table:
        """``item_id`` and the given attributes of the given codes, in their order."""
        columns = {name: self._column(name, codes) for name in attributes}
        return pa.table({"item_id": self._codes.decode(codes)} | columns)

    @cached_property
    def _tables(self) -> tuple[_AttributeTable, _AttributeTable]:
        """The attributes from the log and those that override them, once all have been added."""
        log, override = self._descriptions, self._override
        rows = _rows_of(np.concatenate(self._description_codes), len(self))
        override_rows = _rows_of(self._override_codes, len(self))
        return (
            _AttributeTable(log.schema.names, log.take, rows),
            _AttributeTable(override.column_names, partial(_take, override), override_rows),
        )

    def _column(self, name: str, codes: Int64[np.ndarray, " items"]) -> Any:
        """An attribute of the given codes: the override, else the log if it has the same type."""
        from_log, override = (
            table.take(name, table.rows[codes]) if name in table.names else None
            for table in self._tables
        )
        # Otherwise Arrow would keep the memory of one column while the next one is read.
        pa.default_memory_pool().release_unused()
        if from_log is None or override is None:
            return from_log if override is None else override
        if from_log.type != override.type:
            return override
        return pc.call_function("coalesce", [override, from_log])

    def _described_codes(self, ids: pa.Array) -> Int32[np.ndarray, " ids"]:
        """The codes of some ids, faster for the items of the latest events.

        A chunk describes mostly the items of its own events. Arrow looks those up.
        """
        latest_ids, latest_codes = self._latest
        options = pc.SetLookupOptions(value_set=latest_ids)
        positions = pc.call_function("index_in", [ids], options)
        codes = latest_codes[positions.fill_null(0).to_numpy()]
        is_missing = positions.is_null()
        missing_codes = self._codes.encode(ids.filter(is_missing))
        codes[is_missing.to_numpy(zero_copy_only=False)] = missing_codes
        return codes


class _AttributeTable(NamedTuple):
    """Item attributes: column names, a function to read rows of a column, and the row per code."""

    names: list[str]
    take: Callable[[str, np.ndarray], pa.Array | pa.ChunkedArray]
    rows: Int32[np.ndarray, " codes"]


def _take(table: pa.Table, name: str, rows: Int32[np.ndarray, " n"]) -> pa.ChunkedArray:
    return table.column(name).take(pa.array(rows, mask=rows == NO_ROW))


def _has_values(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether a column has any value other than empty strings and lists."""
    if pa.types.is_list(column.type):
        lengths = pc.call_function("list_value_length", [column])
    elif pa.types.is_string(column.type):
        lengths = pc.call_function("binary_length", [column])
    else:
        return column.null_count < len(column)
    return (pc.call_function("max", [lengths]).as_py() or 0) > 0


def _rows_of(codes: Int32[np.ndarray, " rows"], n_codes: int) -> Int32[np.ndarray, " codes"]:
    """The first row of each code, from the code of each row; ``NO_ROW`` for codes without one."""
    rows = np.full(n_codes, NO_ROW, INDEX_DTYPE)
    distinct, first = np.unique(codes, return_index=True)
    rows[distinct] = first
    return rows


def _attributes(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name not in RESERVED_COLUMNS]


def _padded(mask: Bool[np.ndarray, " fewer"], size: int) -> Bool[np.ndarray, " codes"]:
    return np.pad(mask, (0, size - len(mask)))
