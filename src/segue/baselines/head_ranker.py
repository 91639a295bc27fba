"""``HeadRanker``: scores from a dense item-item matrix over the head of the catalogue."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32, Int64
from scipy import sparse

from segue.baselines.item_item import HistoryRanker, HistoryWeights, ItemItemRanker
from segue.baselines.tie_breaking import break_ties
from segue.dataset import Dataset
from segue.ranking import Query
from segue.tokens import INDEX_DTYPE, N_SPECIALS

HEAD_ITEMS = 5_000
"""Number of most popular items that are modelled (the head of the catalogue). Factorising their
matrix takes 200 MB and a few seconds; the memory grows with the square, the time with the cube."""
ROWS_PER_BLOCK = 256
"""Rows of the matrix that are truncated at a time."""


class HeadRanker(HistoryRanker):
    """Scores an item of the head by the sum of its weights from the items of the history.

    All other items score 0. Ties are ordered by popularity.
    """

    def __init__(
        self,
        name: str,
        head: Int32[np.ndarray, " head"],
        weights: Float32[np.ndarray, "head head"],
        counts: Int64[np.ndarray, " vocabulary"],
        history_weights: HistoryWeights,
        *,
        fit_on_validation: bool = False,
    ) -> None:
        """Create the ranker from weights.

        Args:
            name: as in ``HistoryRanker``; so are the arguments without a line here.
            head: item indices of the items that are modelled.
            weights: entry (i, j) is the weight from the i-th to the j-th item of the head.
        """
        notes = head_notes(len(head), len(counts))
        super().__init__(
            name, counts, history_weights, fit_on_validation=fit_on_validation, notes=notes
        )
        self._head = head
        self._columns = columns_of(head)
        self._weights = weights

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        histories = self.history_weights.matrix(query, self.vocabulary_size)[:, self._columns]
        scores = np.zeros((len(query), self.vocabulary_size), np.float32)
        scores[:, self._columns] = histories.astype(np.float32) @ self._weights
        return break_ties(scores, self._tie_breakers)

    def truncated(self, neighbours: int, *, signed: bool = False) -> ItemItemRanker:
        """The same model with its strongest weights only, as a sparse matrix.

        Args:
            neighbours: weights kept per item of the history.
            signed: whether the strongest weights are those of largest magnitude, which loses less
                but leaves scores below 0; by default the largest positive ones.
        """
        kept = min(neighbours, len(self._head))
        size, rows, columns, values = self.vocabulary_size, [], [], []
        for start in range(0, len(self._head), ROWS_PER_BLOCK):
            block = self._weights[start : start + ROWS_PER_BLOCK]
            strength = np.abs(block) if signed else block
            best = np.argpartition(-strength, kept - 1, axis=1)[:, :kept]
            strongest = np.take_along_axis(block, best, axis=1)
            is_kept = np.take_along_axis(strength, best, axis=1) > 0
            rows.append(self._head[start + np.nonzero(is_kept)[0]])
            columns.append(self._head[best[is_kept]])
            values.append(strongest[is_kept])
        coordinates = (np.concatenate(rows), np.concatenate(columns))
        pairs = sparse.csr_matrix((np.concatenate(values), coordinates), shape=(size, size))
        ranker = ItemItemRanker(
            self.name,
            pairs,
            self.counts,
            self.history_weights,
            fit_on_validation=bool(self.fit_on_validation),
            notes=(*self.notes, f"only the {kept} strongest weights per item were kept"),
        )
        ranker.left_out, ranker.tie_order = self.left_out, self.tie_order
        ranker.data_fingerprint = self.data_fingerprint
        return ranker


def head_of(dataset: Dataset) -> Int32[np.ndarray, " head"]:
    """The item indices of the most popular items, at most ``HEAD_ITEMS``."""
    return dataset.popularity_order.items[N_SPECIALS:][:HEAD_ITEMS].astype(INDEX_DTYPE)


def head_notes(n_head: int, vocabulary_size: int) -> tuple[str, ...]:
    """A note if items of the catalogue are outside the head."""
    n_items = vocabulary_size - N_SPECIALS
    if n_head == n_items:
        return ()
    return (f"fitted on the {n_head:,} most frequent of {n_items:,} items",)


def columns_of(items: Int[np.ndarray, " items"]) -> slice | Int[np.ndarray, " items"]:
    """An index of the columns of some items; a slice, which needs no copy, where they are a range.

    They are in a freshly prepared dataset.
    """
    is_range = bool((np.diff(items) == 1).all())
    return slice(int(items[0]), int(items[-1]) + 1) if is_range else items
