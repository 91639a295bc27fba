"""Scores of all items by an item-item matrix, in float32: the faster of two sparse products."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from segue.baselines.item_item import ItemItemRanker
from segue.ranking import Query

NS_PER_TERM = 4.0
"""Nanoseconds per entry that a sparse product of histories and matrix adds up."""
NS_PER_ENTRY, NS_PER_ENTRY_AND_ROW = 1.5, 0.15
"""Nanoseconds of a product with dense histories, per entry of the matrix and per request."""


class ItemItemScores:
    """The scores of an ``ItemItemRanker`` for every item, in float32 and without tie-breakers.

    The history of a request has few items of the catalogue. If it has many, though, a product of
    the whole matrix with the dense weights of all requests takes less time, because it reads and
    writes consecutive numbers.
    """

    def __init__(self, ranker: ItemItemRanker) -> None:
        """Prepare the scores of a ranker."""
        self._ranker = ranker

    def scores(self, query: Query, n_rows: int) -> Float32[np.ndarray, "vocabulary rows"]:
        """The scores by item and request, with ``n_rows`` columns; those beyond are zeros."""
        ranker = self._ranker
        weights = ranker.history_weights.matrix(query, ranker.vocabulary_size)
        if ranker.divisors is not None:
            weights.data /= ranker.divisors[weights.indices]
        weights = sparse.csr_matrix(
            (weights.data.astype(np.float32), weights.indices, _padded(weights.indptr, n_rows)),
            shape=(n_rows, ranker.vocabulary_size),
        )
        n_terms = int(np.diff(ranker.pairs.indptr)[weights.indices].sum())
        ns_per_entry = NS_PER_ENTRY + n_rows * NS_PER_ENTRY_AND_ROW
        if n_terms * NS_PER_TERM < ranker.pairs.nnz * ns_per_entry:
            scores = sparse.csr_matrix(weights @ ranker.pairs)
            return np.ascontiguousarray(scores.toarray().T)
        return self._by_scored_item @ np.ascontiguousarray(weights.toarray().T)

    @cached_property
    def _by_scored_item(self) -> sparse.csr_matrix:
        """The transposed matrix: row j has the weights to item j."""
        return sparse.csr_matrix(self._ranker.pairs.T, dtype=np.float32)


def _padded(indptr: np.ndarray, n_rows: int) -> np.ndarray:
    """Row boundaries with empty rows appended."""
    return np.pad(indptr, (0, n_rows + 1 - len(indptr)), mode="edge")
