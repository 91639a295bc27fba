"""What followed what: counts of items met soon after one another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from scipy import sparse

from segue.axes import N_SPECIALS
from segue.baselines.events import FittingEvents, count_items, fitting_events
from segue.baselines.popularity import below_one
from segue.baselines.sets import over_backoff
from segue.dataset import Dataset
from segue.ranking import Queries, ScoringRanker

WINDOW = 5
"""Events after an item that ``co-occurrence`` takes to follow it."""
HISTORY = 10
"""Last items of a history that ``co-occurrence`` asks."""
SHRINKAGE = 10.0
"""Events added to an item's count, so that what followed a rare item is trusted less."""
BACKOFF = 1e-6
"""Weight of popularity: less than any pair's, so that it only orders what else would tie."""
MAX_PAIRS = 50_000_000
"""Pairs kept, about 400 MB; beyond that the lightest are dropped as counting goes on."""


class CoOccurrence(ScoringRanker):
    """Scores an item by how it followed the last items of the history, the latest most.

    A pair weighs 1/d for each time that one item came d events after the other, d up to
    the window; divided by the first item's count it estimates the chance that the second
    follows. The score sums the pairs from the last items of the history, 1, 1/2, 1/3, ...
    the further back they are. With a window and a history of one event this is the
    first-order Markov chain, ``last-item``.

    Source: the sequential rules and the Markov chain of Ludewig and Jannach, Evaluation of
    session-based recommendation algorithms, User Modeling and User-Adapted Interaction 28,
    2018; here with the whole recent history in the query and counts shrunk.
    """

    def __init__(
        self,
        name: str,
        followers: sparse.csr_matrix,
        backoff: Float32[np.ndarray, " table"],
        *,
        history: int,
        refit: bool = False,
    ) -> None:
        """Wrap counted pairs.

        Args:
            followers: (table, table) float32; row i holds what followed item i.
            backoff: what every item scores at least.
            history: how many of a history's last catalogue items are asked.
        """
        self.name = name
        self.refit = refit
        self.table_size = len(backoff)
        self._followers = followers
        self._backoff = backoff
        self._history = history

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> CoOccurrence:
        """Count pairs up to ``WINDOW`` events apart, and ask the last ``HISTORY`` items."""
        counts = count_items(dataset, refit)
        followers = _chances(count_pairs(dataset, WINDOW, refit), counts + SHRINKAGE)
        backoff = BACKOFF * below_one(counts)
        return cls("co-occurrence", followers, backoff, history=HISTORY, refit=refit)

    @classmethod
    def fit_last_item(cls, dataset: Dataset, refit: bool = False) -> CoOccurrence:
        """Count direct successors, and ask the last item alone."""
        counts = count_items(dataset, refit)
        followers = _chances(count_pairs(dataset, 1, refit), np.maximum(counts, 1.0))
        backoff = BACKOFF * below_one(counts)
        return cls("last-item", followers, backoff, history=1, refit=refit)

    def scores(self, queries: Queries) -> Float32[np.ndarray, "batch table"]:
        return over_backoff(self._asked(queries) @ self._followers, self._backoff)

    def _asked(self, queries: Queries) -> sparse.csr_matrix:
        """(batch, table): the weight of each history's last items, 1 over their age from 1."""
        offsets, items = queries.histories
        known = (items >= N_SPECIALS) & (items < self.table_size)
        rows = np.repeat(np.arange(len(queries)), np.diff(offsets))[known]
        items = items[known]
        ends = np.cumsum(np.bincount(rows, minlength=len(queries)))
        ages = ends[rows] - np.arange(len(rows))
        late = ages <= self._history
        weights = (1 / ages[late]).astype(np.float32)
        shape = (len(queries), self.table_size)
        return sparse.csr_matrix((weights, (rows[late], items[late])), shape=shape)


def count_pairs(
    dataset: Dataset, window: int, refit: bool = False, max_pairs: int = MAX_PAIRS
) -> sparse.csr_matrix:
    """Sum 1/d over the times that column j came d <= ``window`` events after row i.

    Returns:
        (table, table) float32 with at most ``max_pairs`` entries: where there are more, the
        lightest are dropped after each block of events.
    """
    size = dataset.table_size
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    for events in fitting_events(dataset, refit):
        block = _pairs(events, 1, size)
        for distance in range(2, window + 1):
            block = block + _pairs(events, distance, size)
        total = total + block
        _drop_lightest(total, max_pairs)
    return total


def _pairs(events: FittingEvents, distance: int, size: int) -> sparse.csr_matrix:
    before, after = slice(None, -distance), slice(distance, None)
    pair = (events.rows[before] == events.rows[after]) & events.learnable[after]
    weights = np.full(np.count_nonzero(pair), 1 / distance, np.float32)
    where = (events.items[before][pair], events.items[after][pair])
    return sparse.csr_matrix((weights, where), shape=(size, size), dtype=np.float32)


def _drop_lightest(pairs: sparse.csr_matrix, max_pairs: int) -> None:
    """Keep the heaviest entries, at most ``max_pairs``; in place."""
    excess = pairs.nnz - max_pairs
    if excess > 0:
        lightest = np.partition(pairs.data, excess - 1)[excess - 1]
        pairs.data[pairs.data <= lightest] = 0
        pairs.eliminate_zeros()


def _chances(pairs: sparse.csr_matrix, counts: Float64[np.ndarray, " table"]) -> sparse.csr_matrix:
    """Divide each row by its item's count, in place."""
    pairs.data /= np.repeat(counts.astype(np.float32), np.diff(pairs.indptr))
    return pairs
