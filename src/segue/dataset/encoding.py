"""Items as a log is read: provisional codes and attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32, Int64

from segue.axes import INDEX_DTYPE

RESERVED_COLUMNS = ("index", "item_id", "training_count")
"""Columns of ``items.parquet`` that no attribute may take the name of."""

Columns = dict[str, pa.ChunkedArray]


class ItemEncoder:
    """Gives every item id a provisional code: 0, 1, 2, ... as ids turn up.

    Only the distinct ids of a chunk pass through Python; its events are translated as
    arrays. Of the descriptions of an item the first is kept.
    """

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._latest = pa.array([], pa.string()), np.zeros(1, INDEX_DTYPE)
        self._described = np.zeros(0, dtype=bool)
        self._attributes: list[pa.Table] = []
        self._attribute_codes: list[np.ndarray] = []
        self._upper: pa.Table | None = None

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, items: pa.DictionaryArray) -> Int32[np.ndarray, " events"]:
        """The codes of a chunk's events."""
        indices = items.indices.to_numpy()
        used = np.flatnonzero(np.bincount(indices, minlength=len(items.dictionary)))
        translation = np.zeros(len(items.dictionary), dtype=INDEX_DTYPE)
        ids = items.dictionary.take(pa.array(used))
        codes = self._codes_of(ids)
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
        if len(new):
            self._described[codes[new]] = True
            self._attributes.append(pa.Table.from_batches([items.take(pa.array(new))]))
            self._attribute_codes.append(codes[new])

    def override(self, items: pa.RecordBatch) -> int:
        """Take in descriptions that precede all others, item by item and column by column.

        Returns:
            How many of the items known before are among them.
        """
        n_known = len(self)
        self.describe(items.select(["item_id"]))  # no second copy of columns that may be wide
        self._upper = pa.Table.from_batches([items])
        codes = np.unique(self._codes_of(items.column("item_id")))
        return int(np.count_nonzero(codes < n_known))

    def first_id(self) -> str | None:
        """The id that turned up first, None before any did."""
        return next(iter(self._codes), None)

    def by_id(self) -> Int64[np.ndarray, " codes"]:
        """All codes in the order of their ids, which knows nothing of the log's events."""
        return pc.call_function("sort_indices", [self._ids()]).to_numpy().astype(np.int64)

    def described(self) -> Bool[np.ndarray, " codes"]:
        """Whether each code was described."""
        return _grown(self._described, len(self))

    def table(self, order: Int64[np.ndarray, " items"]) -> pa.Table:
        """``item_id`` and the attributes of the given codes, in the given order.

        Attributes that none of them has are left out.
        """
        columns = {"item_id": pa.chunked_array([self._ids().take(pa.array(order))])}
        if self._attributes:
            columns |= _attributes(self._attribute_rows(order))
        if self._upper is not None:
            columns = overlay(columns, self._upper)
        return pa.table({k: v for k, v in columns.items() if v.null_count < len(v)})

    def _ids(self) -> pa.StringArray:
        return pa.array(list(self._codes), pa.string())

    def _attribute_rows(self, order: Int64[np.ndarray, " items"]) -> pa.Table:
        """The descriptions of the given codes; nulls for those that were not described."""
        described = pa.concat_tables(self._attributes, promote_options="permissive")
        rows = np.full(len(self), -1, dtype=np.int64)
        rows[np.concatenate(self._attribute_codes)] = np.arange(described.num_rows)
        rows = rows[order]
        return described.combine_chunks().take(pa.array(rows, mask=rows < 0))

    def _codes_of(self, ids: pa.Array) -> Int32[np.ndarray, " ids"]:
        codes = self._codes
        found = [codes.setdefault(item_id, len(codes)) for item_id in ids.to_pylist()]
        return np.array(found, dtype=INDEX_DTYPE)

    def _described_codes(self, ids: pa.Array) -> Int32[np.ndarray, " ids"]:
        """Like ``_codes_of``, faster for the items of the latest events.

        A chunk describes mostly those, and looking them up as an array spares half of the
        passes through Python.
        """
        latest_ids, latest_codes = self._latest
        places = _index_in(ids, latest_ids)
        codes = latest_codes[places.fill_null(0).to_numpy()]
        others = places.is_null()
        codes[others.to_numpy(zero_copy_only=False)] = self._codes_of(ids.filter(others))
        return codes


def overlay(columns: Columns, upper: pa.Table) -> Columns:
    """Let the attributes of ``upper`` take precedence, item by item and column by column.

    Args:
        columns: has ``item_id``, each once; gives the rows of the result.
        upper: has ``item_id``; of several rows for one id the first counts.
    """
    rows = _index_in(columns["item_id"], upper.column("item_id"))
    result = dict(columns)
    for name, column in _attributes(upper).items():
        above, below = column.take(rows), columns.get(name)
        mergeable = below is not None and below.type == above.type
        result[name] = pc.call_function("coalesce", [above, below]) if mergeable else above
    return result


def _index_in(ids: pa.Array | pa.ChunkedArray, known: pa.Array | pa.ChunkedArray) -> Any:
    """The first place of each id among the known ones, null where there is none."""
    return pc.call_function("index_in", [ids], pc.SetLookupOptions(value_set=known))


def _attributes(items: pa.Table) -> Columns:
    return {name: items.column(name) for name in items.column_names if name not in RESERVED_COLUMNS}


def _grown(mask: Bool[np.ndarray, " fewer"], size: int) -> Bool[np.ndarray, " codes"]:
    return np.pad(mask, (0, size - len(mask)))
