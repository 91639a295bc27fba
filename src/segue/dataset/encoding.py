"""Items as a log is read: provisional codes and attributes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32, Int64

from segue.axes import INDEX_DTYPE
from segue.dataset.descriptions import NOWHERE, Descriptions
from segue.numbering import Numbering
from segue.sources.schema import RESERVED_COLUMNS

ITEMS_AT_ONCE = 1 << 20
"""Items whose attributes are in memory together: the rows of a group in ``items.parquet``."""


class ItemEncoder:
    """Gives every item id a provisional code: 0, 1, 2, ... as ids turn up.

    Only the distinct ids of a chunk pass through Python; its events are translated as
    arrays. Of the descriptions of an item the first is kept, in a file: memory grows by the
    ids alone, some 60 bytes an item.
    """

    def __init__(self, folder: Path) -> None:
        """Begin without items; descriptions will lie in ``folder``, which is made for them."""
        self._codes = Numbering()
        self._latest = pa.array([], pa.string()), np.zeros(1, INDEX_DTYPE)
        self._described = np.zeros(0, dtype=bool)
        self._descriptions = Descriptions(folder)
        self._description_codes = [np.zeros(0, INDEX_DTYPE)]
        self._upper = pa.table({})
        self._upper_codes = np.zeros(0, INDEX_DTYPE)

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, items: pa.DictionaryArray) -> Int32[np.ndarray, " events"]:
        """The codes of a chunk's events."""
        indices = items.indices.to_numpy()
        used = np.flatnonzero(np.bincount(indices, minlength=len(items.dictionary)))
        translation = np.zeros(len(items.dictionary), dtype=INDEX_DTYPE)
        ids = items.dictionary.take(pa.array(used))
        codes = self._codes.numbers(ids)
        translation[used] = codes
        if len(used):
            self._latest = ids, codes
        return translation[indices]

    def describe(self, items: pa.RecordBatch) -> None:
        """Take in descriptions; ids that no event has had so far get codes too."""
        codes = self._described_codes(items.column("item_id"))
        self._described = _grown(self._described, len(self))
        distinct, first = np.unique(codes, return_index=True)
        new = np.sort(first[~self._described[distinct]])
        self._described[codes[new]] = True
        attributes = items.select(_attributes(items.schema))
        if len(new) and attributes.num_columns:
            self._descriptions.append(attributes.take(pa.array(new)))
            self._description_codes.append(codes[new])

    def override(self, items: pa.RecordBatch) -> int:
        """Take in descriptions that precede all others, item by item and column by column.

        Returns:
            How many of the items known before are among them.
        """
        n_known = len(self)
        self.describe(items.select(["item_id"]))  # no second copy of columns that may be wide
        self._upper = pa.Table.from_batches([items.select(_attributes(items.schema))])
        self._upper_codes = self._codes.numbers(items.column("item_id"))
        return int(np.count_nonzero(np.unique(self._upper_codes) < n_known))

    def first_id(self) -> str | None:
        """The id that turned up first, None before any did."""
        return self._codes.take(np.zeros(1, np.int64))[0].as_py() if len(self) else None

    def by_id(self) -> Int64[np.ndarray, " codes"]:
        """All codes in the order of their ids, which knows nothing of the log's events."""
        return self._codes.sorted()

    def described(self) -> Bool[np.ndarray, " codes"]:
        """Whether each code was described."""
        return _grown(self._described, len(self))

    def names(self) -> list[str]:
        """The names of all attributes, whether or not any item has them."""
        return list(dict.fromkeys(name for layer in self._layers for name in layer.names))

    def attributes(self, codes: Int64[np.ndarray, " items"]) -> list[str]:
        """The names of the attributes that any of the given codes has."""
        blocks = np.split(codes, range(ITEMS_AT_ONCE, len(codes), ITEMS_AT_ONCE))
        return [
            name
            for name in self.names()
            if any(_holds(self._column(name, block)) for block in blocks)
        ]

    def table(self, codes: Int64[np.ndarray, " items"], attributes: list[str]) -> pa.Table:
        """``item_id`` and some attributes of the given codes, in their order."""
        columns = {name: self._column(name, codes) for name in attributes}
        return pa.table({"item_id": self._codes.take(codes)} | columns)

    @cached_property
    def _layers(self) -> tuple[_Layer, _Layer]:
        """What the log says of the items, and what precedes it; nothing may be added after."""
        log, upper = self._descriptions, self._upper
        rows = _rows_of(np.concatenate(self._description_codes), len(self))
        upper_rows = _rows_of(self._upper_codes, len(self))
        return (
            _Layer(log.schema.names, log.take, rows),
            _Layer(upper.column_names, partial(_take, upper), upper_rows),
        )

    def _column(self, name: str, codes: Int64[np.ndarray, " items"]) -> Any:
        """An attribute of the given codes: what is above, and else below, if it is of one type."""
        below, above = (
            layer.take(name, layer.rows[codes]) if name in layer.names else None
            for layer in self._layers
        )
        # Or what Arrow took for one column would stay in the process beside the next.
        pa.default_memory_pool().release_unused()
        if below is None or above is None:
            return below if above is None else above
        return pc.call_function("coalesce", [above, below]) if below.type == above.type else above

    def _described_codes(self, ids: pa.Array) -> Int32[np.ndarray, " ids"]:
        """The codes of some ids, faster for the items of the latest events.

        A chunk describes mostly those, and looking them up among themselves spares half of
        the passes through Python.
        """
        latest_ids, latest_codes = self._latest
        options = pc.SetLookupOptions(value_set=latest_ids)
        places = pc.call_function("index_in", [ids], options)
        codes = latest_codes[places.fill_null(0).to_numpy()]
        others = places.is_null()
        codes[others.to_numpy(zero_copy_only=False)] = self._codes.numbers(ids.filter(others))
        return codes


class _Layer(NamedTuple):
    """Descriptions of items: columns by name and rows, and the row of each code."""

    names: list[str]
    take: Callable[[str, np.ndarray], pa.Array | pa.ChunkedArray]
    rows: Int32[np.ndarray, " codes"]


def _take(table: pa.Table, name: str, rows: Int32[np.ndarray, " n"]) -> pa.ChunkedArray:
    return table.column(name).take(pa.array(rows, mask=rows == NOWHERE))


def _holds(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether a column has any value but empty texts and lists."""
    if pa.types.is_list(column.type):
        lengths = pc.call_function("list_value_length", [column])
    elif pa.types.is_string(column.type):
        lengths = pc.call_function("binary_length", [column])
    else:
        return column.null_count < len(column)
    return (pc.call_function("max", [lengths]).as_py() or 0) > 0


def _rows_of(codes: Int32[np.ndarray, " rows"], n_codes: int) -> Int32[np.ndarray, " codes"]:
    """The first row of each code, from the code of each row; ``NOWHERE`` where it has none."""
    rows = np.full(n_codes, NOWHERE, INDEX_DTYPE)
    distinct, first = np.unique(codes, return_index=True)
    rows[distinct] = first
    return rows


def _attributes(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if name not in RESERVED_COLUMNS]


def _grown(mask: Bool[np.ndarray, " fewer"], size: int) -> Bool[np.ndarray, " codes"]:
    return np.pad(mask, (0, size - len(mask)))
