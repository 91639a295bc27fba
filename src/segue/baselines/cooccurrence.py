"""What followed what: counts of items met soon after one another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from scipy import sparse

from segue.axes import N_SPECIALS
from segue.baselines.events import FittingEvents, count_items, fitting_events
from segue.baselines.popularity import below_one
from segue.baselines.sets import heaviest, over_backoff
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
        notes: tuple[str, ...] = (),
    ) -> None:
        """Wrap counted pairs.

        Args:
            followers: (table, table) float32; row i holds what followed item i.
            backoff: what every item scores at least.
            history: how many of a history's last catalogue items are asked.
            notes: what a reader of its results has to know.
        """
        self.name = name
        self.refit = refit
        self.notes = notes
        self.table_size = len(backoff)
        self._followers = followers
        self._backoff = backoff
        self._history = history

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> CoOccurrence:
        """Count pairs up to ``WINDOW`` events apart, and ask the last ``HISTORY`` items."""
        counts = count_items(dataset, refit)
        pairs = count_pairs(dataset, WINDOW, refit, MAX_PAIRS)
        return cls(
            "co-occurrence",
            _chances(pairs.weights, counts + SHRINKAGE),
            BACKOFF * below_one(counts),
            history=HISTORY,
            refit=refit,
            notes=pairs.notes,
        )

    @classmethod
    def fit_last_item(cls, dataset: Dataset, refit: bool = False) -> CoOccurrence:
        """Count direct successors, and ask the last item alone."""
        counts = count_items(dataset, refit)
        pairs = count_pairs(dataset, 1, refit, MAX_PAIRS)
        return cls(
            "last-item",
            _chances(pairs.weights, np.maximum(counts, 1.0)),
            BACKOFF * below_one(counts),
            history=1,
            refit=refit,
            notes=pairs.notes,
        )

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


class Pairs(NamedTuple):
    """What followed what.

    Attributes:
        weights: (table, table) float32; row i holds what followed item i.
        notes: that the lightest pairs were dropped, where they were.
    """

    weights: sparse.csr_matrix
    notes: tuple[str, ...]


def count_pairs(
    dataset: Dataset, window: int, refit: bool = False, max_pairs: int = MAX_PAIRS
) -> Pairs:
    """Sum 1/d over the times that column j came d <= ``window`` events after row i.

    Args:
        max_pairs: how many are kept after each block of events: the heaviest, ties by row and
            column.
    """
    size = dataset.table_size
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    notes = ()
    for events in fitting_events(dataset, refit):
        block = _pairs(events, 1, size)
        for distance in range(2, window + 1):
            block = block + _pairs(events, distance, size)
        total = total + block
        if total.nnz > max_pairs:
            _drop_lightest(total, max_pairs)
            notes = (f"of the pairs met, only the {max_pairs:,} heaviest were kept",)
    return Pairs(total, notes)


def _pairs(events: FittingEvents, distance: int, size: int) -> sparse.csr_matrix:
    before, after = slice(None, -distance), slice(distance, None)
    pair = (events.rows[before] == events.rows[after]) & events.learnable[after]
    weights = np.full(np.count_nonzero(pair), 1 / distance, np.float32)
    where = (events.items[before][pair], events.items[after][pair])
    return sparse.csr_matrix((weights, where), shape=(size, size), dtype=np.float32)


def _drop_lightest(pairs: sparse.csr_matrix, max_pairs: int) -> None:
    """Keep the ``max_pairs`` heaviest entries, fewer than there are; in place."""
    pairs.sort_indices()
    pairs.data[~heaviest(pairs.data, max_pairs)] = 0
    pairs.eliminate_zeros()


def _chances(pairs: sparse.csr_matrix, counts: Float64[np.ndarray, " table"]) -> sparse.csr_matrix:
    """Divide each row by its item's count, in place."""
    pairs.data /= np.repeat(counts.astype(np.float32), np.diff(pairs.indptr))
    return pairs
