"""Items that share sequences: nearest neighbours by the cosine."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from segue.axes import offsets_of
from segue.baselines.events import count_items
from segue.baselines.popularity import below_one
from segue.baselines.sets import heaviest, history_sets, item_sets, over_backoff
from segue.dataset import Dataset
from segue.dataset.sequences import row_blocks
from segue.ranking import Queries, ScoringRanker

NEIGHBOURS = 300
"""Neighbours kept of each item, fewer where ``MAX_PAIRS`` does not allow so many."""
MAX_PAIRS = 50_000_000
"""Neighbours kept of all items together, 400 MB."""
SHRINKAGE = 20.0
"""Added to the product of the norms, so that items that share little are trusted less."""
BACKOFF = 1e-6
"""Weight of popularity, so that it only orders what else would tie."""
PAIRS_PER_BLOCK = 1 << 23
"""Pairs of items that are weighed at a time, about 200 MB."""


class ItemKNN(ScoringRanker):
    """Scores an item by its summed similarity to those of its neighbours that the history holds.

    An item is the set of sequences that hold it, a history the set of its items. The
    similarity of two items is the number of sequences that they share over the product of the
    roots of their own numbers, shrunk; an item's neighbours are the ``NEIGHBOURS`` others most
    similar to it.

    Source: Sarwar, Karypis, Konstan and Riedl, Item-based collaborative filtering
    recommendation algorithms, WWW 2001; the shrinkage as in Ferrari Dacrema, Cremonesi and
    Jannach, Are we really making much progress?, RecSys 2019.
    """

    name = "item-knn"

    def __init__(
        self,
        neighbours: sparse.csr_matrix,
        backoff: Float32[np.ndarray, " table"],
        *,
        refit: bool = False,
    ) -> None:
        """Wrap similarities.

        Args:
            neighbours: (table, table) float32; column j holds how similar item j's
                neighbours are to it.
            backoff: what every item scores at least.
        """
        self.refit = refit
        self.table_size = len(backoff)
        self._neighbours = neighbours
        self._backoff = backoff

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> ItemKNN:
        """Find every item's neighbours.

        Memory: 16 bytes an event, 8 a neighbour, and a block of pairs.
        """
        n = max(1, min(NEIGHBOURS, MAX_PAIRS // dataset.table_size))
        sets = sparse.csr_matrix(sparse.vstack(list(item_sets(dataset, refit)), format="csr"))
        backoff = BACKOFF * below_one(count_items(dataset, refit))
        nearest = nearest_neighbours(sets, n, SHRINKAGE)
        return cls(nearest.T.tocsr(), backoff, refit=refit)

    def scores(self, queries: Queries) -> Float32[np.ndarray, "batch table"]:
        histories = history_sets(queries, self.table_size)
        return over_backoff(histories @ self._neighbours, self._backoff)


def nearest_neighbours(
    sets: sparse.csr_matrix, n: int, shrinkage: float, pairs_per_block: int = PAIRS_PER_BLOCK
) -> sparse.csr_matrix:
    """The shrunk cosines of every item with its ``n`` nearest others, ties by lower index.

    Args:
        sets: (sequences, table) ones.

    Returns:
        (table, table) float32; row i holds item i's neighbours, at most ``n``.
    """
    holders = sets.T.tocsr()
    norms = np.sqrt(np.diff(holders.indptr)).astype(np.float32)
    # An item meets at most as many others as the sequences that hold it have events.
    meets = np.minimum(holders @ np.diff(sets.indptr), len(norms)).astype(np.int64)
    nearest = []
    for first, end in row_blocks(offsets_of(meets), pairs_per_block):
        shared = (holders[first:end] @ sets).tocsr()
        shared.sort_indices()
        rows = np.repeat(np.arange(first, end), np.diff(shared.indptr))
        shared.data /= norms[rows] * norms[shared.indices] + np.float32(shrinkage)
        shared.data[rows == shared.indices] = 0  # an item is no neighbour of its own
        nearest.append(_keep_heaviest(shared, n))
    return sparse.csr_matrix(sparse.vstack(nearest, format="csr"))


def _keep_heaviest(pairs: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """The ``n`` greatest entries above 0 of each row; in place."""
    for begin, end in zip(pairs.indptr[:-1], pairs.indptr[1:], strict=True):
        if end - begin > n:
            row = pairs.data[begin:end]
            row[~heaviest(row, n)] = 0
    pairs.eliminate_zeros()
    return pairs
