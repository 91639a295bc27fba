"""Scores of all items by an item-item matrix, in float32: the fastest of three products."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64
from scipy import sparse

from segue.baselines.item_item import HistoryEntries, ItemItemRanker
from segue.ranking import Query

NS_PER_TERM = 4.0
"""Nanoseconds per entry that a sparse product of histories and matrix adds up."""
NS_PER_TERM_OF_TABLE = 2.5
"""The same with the rows of the matrix in a table."""
NS_PER_ENTRY, NS_PER_ENTRY_AND_ROW = 1.5, 0.15
"""Nanoseconds of a product with dense histories, per entry of the matrix and per request."""
MAX_PADDING = 1.25
"""Largest size of a table, as a multiple of the number of entries of the matrix."""


MAX_TABLE_ENTRIES = 1 << 22
"""Largest size of a table: 32 MiB."""


class RowTable(NamedTuple):
    """The entries of a matrix whose rows have about equally many, as one array of equal rows.

    Missing entries have the column 0 and the value 0.

    Attributes:
        columns: of each entry.
        values: of each entry.
    """

    columns: Int32[np.ndarray, "rows width"]
    values: Float32[np.ndarray, "rows width"]

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> RowTable | None:
        """The table of a matrix; None where it would be large or have much padding."""
        lengths = np.diff(matrix.indptr)
        width = int(lengths.max(initial=0))
        if len(lengths) * width > min(MAX_PADDING * matrix.nnz, MAX_TABLE_ENTRIES):
            return None
        is_entry = np.arange(width) < lengths[:, None]
        columns, values = np.zeros(is_entry.shape, np.int32), np.zeros(is_entry.shape, np.float32)
        columns[is_entry], values[is_entry] = matrix.indices, matrix.data
        return cls(columns, values)


class ItemItemScores:
    """The scores of an ``ItemItemRanker`` for every item, in float32 and without tie-breakers.

    The history of a request has few items of the catalogue, so their rows of the matrix are added
    up: from a table, if most rows have the same number of entries, as those of pruned matrices
    have. If a history has many items, though, a product of the whole matrix with the dense weights
    of all requests takes less time, because it reads and writes consecutive numbers.
    """

    def __init__(self, ranker: ItemItemRanker) -> None:
        """Prepare the scores of a ranker."""
        self._ranker = ranker

    def scores(self, query: Query, n_rows: int) -> Float32[np.ndarray, "rows vocabulary"]:
        """The scores by request and item, in ``n_rows`` rows; those beyond are zeros."""
        ranker = self._ranker
        entries = ranker.history_weights.entries(query, ranker.vocabulary_size)
        if ranker.divisors is not None:
            entries = entries._replace(weights=entries.weights / ranker.divisors[entries.items])
        n_terms = int(self._row_lengths[entries.items].sum())
        ns_per_term = NS_PER_TERM if self._table is None else NS_PER_TERM_OF_TABLE
        ns_per_entry = NS_PER_ENTRY + n_rows * NS_PER_ENTRY_AND_ROW
        if n_terms * ns_per_term < ranker.pairs.nnz * ns_per_entry:
            if self._table is not None:
                return _sums_of_rows(self._table, entries, n_rows)
            weights = self._weights(entries, n_rows)
            return sparse.csr_matrix(weights @ ranker.pairs).toarray()
        weights = self._weights(entries, n_rows).toarray()
        return np.ascontiguousarray((self._by_scored_item @ np.ascontiguousarray(weights.T)).T)

    def _weights(self, entries: HistoryEntries, n_rows: int) -> sparse.csr_matrix:
        values = entries.weights.astype(np.float32)
        shape = (n_rows, self._ranker.vocabulary_size)
        return sparse.csr_matrix((values, (entries.rows, entries.items)), shape=shape)

    @cached_property
    def _row_lengths(self) -> Int64[np.ndarray, " vocabulary"]:
        return np.diff(self._ranker.pairs.indptr).astype(np.int64)

    @cached_property
    def _table(self) -> RowTable | None:
        return RowTable.of(self._ranker.pairs)

    @cached_property
    def _by_scored_item(self) -> sparse.csr_matrix:
        """The transposed matrix: row j has the weights to item j."""
        return sparse.csr_matrix(self._ranker.pairs.T, dtype=np.float32)


def _sums_of_rows(
    table: RowTable, entries: HistoryEntries, n_rows: int
) -> Float32[np.ndarray, "rows vocabulary"]:
    """The weighted sums of the rows of a table: one sum per request.

    It is one product: of a matrix with a column per event, whose entries are those of the event's
    item in the row of the table, below each other for all requests, and of the events' weights. It
    adds the terms event by event, so the sums of a request stay in the cache of the processor.
    """
    n_items, width = table.columns.shape
    firsts = (entries.rows * n_items).astype(np.int32)
    columns = table.columns[entries.items] + firsts[:, None]
    ends = np.arange(0, columns.size + 1, width, dtype=np.int32)
    terms = (table.values[entries.items].ravel(), columns.ravel(), ends)
    matrix = sparse.csc_matrix(terms, shape=(n_rows * n_items, len(entries.items)))
    return (matrix @ entries.weights.astype(np.float32)).reshape(n_rows, n_items)
