"""Co-occurrence and last-item baselines: counts of item pairs at short distances."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy import sparse

from segue.baselines.interaction_matrix import largest_k_mask, product, tie_positions
from segue.baselines.tie_breaking import break_ties_of_sparse, tie_breakers
from segue.dataset import Dataset
from segue.dataset.training_events import EventBlock, count_training_events, readable_event_blocks
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS

WINDOW = 5
"""Largest distance, in events, of the pairs that ``co-occurrence`` counts."""
HISTORY_LENGTH = 10
"""Number of last history items that ``co-occurrence`` uses."""
SHRINKAGE = 10.0
"""Added to the count of an item, so that pairs with a rare first item score lower."""
MAX_PAIRS = 50_000_000
"""Largest number of stored pairs, about 400 MB; beyond it the pairs of least weight are dropped."""


class CoOccurrence(ScoringRanker):
    """Scores an item by how often it followed the last items of the history.

    Each time that an item occurs d events after another one, the weight of the pair grows by
    1/d, for d up to the window. Divided by the count of the first item, the weight estimates the
    probability that the second one follows. The score of an item is the sum over the last items
    of the history, weighted 1, 1/2, 1/3, ... from the latest one back. Ties are ordered by
    popularity. With a window and a history of one event this is the first-order Markov chain,
    ``last-item``.

    Source: the sequential rules and the Markov chain of Ludewig and Jannach, Evaluation of
    session-based recommendation algorithms, User Modeling and User-Adapted Interaction 28,
    2018; here with several history items per query and shrunk counts.
    """

    def __init__(
        self,
        name: str,
        pairs: sparse.csr_matrix,
        divisors: Float64[np.ndarray, " vocabulary"],
        counts: Int64[np.ndarray, " vocabulary"],
        *,
        history_length: int,
        fit_on_validation: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Create the ranker from pair weights.

        Args:
            name: name in results.
            pairs: (vocabulary, vocabulary) float32; row i has the weights of the items that
                followed item i.
            divisors: by item, what the weights of its row are divided by.
            counts: by item its training count, which orders ties.
            history_length: number of last catalogue items of the history that are used.
            fit_on_validation: whether validation events were counted.
            notes: caveats to report with the results.
        """
        self.name = name
        self.fit_on_validation = fit_on_validation
        self.notes = notes
        self.vocabulary_size = len(counts)
        self._pairs = pairs
        self._divisors = divisors
        self._tie_breakers = tie_breakers(counts)
        self._history_length = history_length

    @classmethod
    def fit(cls, dataset: Dataset, fit_on_validation: bool = False) -> CoOccurrence:
        """Count pairs up to ``WINDOW`` events apart; use the last ``HISTORY_LENGTH`` items."""
        counts = count_training_events(dataset, fit_on_validation)
        pairs = count_pairs(dataset, WINDOW, fit_on_validation, MAX_PAIRS)
        return cls(
            "co-occurrence",
            pairs.weights,
            pairs.unit * (counts + SHRINKAGE),
            counts,
            history_length=HISTORY_LENGTH,
            fit_on_validation=fit_on_validation,
            notes=pairs.notes,
        )

    @classmethod
    def fit_last_item(cls, dataset: Dataset, fit_on_validation: bool = False) -> CoOccurrence:
        """Count direct successors; use the last item only."""
        counts = count_training_events(dataset, fit_on_validation)
        pairs = count_pairs(dataset, 1, fit_on_validation, MAX_PAIRS)
        return cls(
            "last-item",
            pairs.weights,
            pairs.unit * np.maximum(counts, 1.0),
            counts,
            history_length=1,
            fit_on_validation=fit_on_validation,
            notes=pairs.notes,
        )

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        return break_ties_of_sparse(self.sparse_scores(query), self._tie_breakers)

    def sparse_scores(self, query: Query) -> sparse.csr_matrix:
        """The scores without popularity: (batch, vocabulary); other items score 0."""
        return product(self._recent_items(query), self._pairs)

    def _recent_items(self, query: Query) -> sparse.csr_matrix:
        """Weights of the last items of each history: (batch, vocabulary).

        They are 1/age, from age 1, divided by the divisor of the item.
        """
        offsets, items = query.histories
        in_catalogue = (items >= N_SPECIALS) & (items < self.vocabulary_size)
        rows = np.repeat(np.arange(len(query)), np.diff(offsets))[in_catalogue]
        items = items[in_catalogue]
        ends = np.cumsum(np.bincount(rows, minlength=len(query)))
        ages = ends[rows] - np.arange(len(rows))
        is_recent = ages <= self._history_length
        weights = 1 / (ages[is_recent] * self._divisors[items[is_recent]])
        shape = (len(query), self.vocabulary_size)
        return sparse.csr_matrix((weights, (rows[is_recent], items[is_recent])), shape=shape)


class PairCounts(NamedTuple):
    """Distance-weighted counts of ordered item pairs.

    Attributes:
        weights: (vocabulary, vocabulary) float32; row i has the weights of the items that
            followed item i, as multiples of 1/``unit``, which are integers: equal sums are equal.
        unit: the weight of two adjacent events.
        notes: a caveat if pairs were dropped, else empty.
    """

    weights: sparse.csr_matrix
    unit: int
    notes: tuple[str, ...]


def count_pairs(
    dataset: Dataset, window: int, fit_on_validation: bool = False, max_pairs: int = MAX_PAIRS
) -> PairCounts:
    """Count ordered item pairs: 1/d for each time that item j came d events after item i.

    The weights are exact up to 16.7 million; larger ones are rounded to float32.

    Args:
        dataset: the prepared dataset.
        window: largest distance d, in events.
        fit_on_validation: whether to count validation events too.
        max_pairs: number of pairs kept after each block of events: those with the most weight;
            of equal ones those with the more frequent first item, then second item.
    """
    size, unit = dataset.vocabulary_size, math.lcm(*range(1, window + 1))
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    notes = ()
    for events in readable_event_blocks(dataset, fit_on_validation):
        block = unit * _count_at_distance(events, 1, size)
        for distance in range(2, window + 1):
            block = block + unit // distance * _count_at_distance(events, distance, size)
        total = total + block
        if total.nnz > max_pairs:
            _keep_largest(total, max_pairs, tie_positions(dataset))
            notes = (f"only the {max_pairs:,} item pairs with the most weight were kept",)
    return PairCounts(total, unit, notes)


def _count_at_distance(events: EventBlock, distance: int, size: int) -> sparse.csr_matrix:
    """Counts of the pairs at one distance: (vocabulary, vocabulary)."""
    before, after = slice(None, -distance), slice(distance, None)
    is_pair = (events.rows[before] == events.rows[after]) & events.is_training[after]
    weights = np.ones(np.count_nonzero(is_pair), np.float32)
    coordinates = (events.items[before][is_pair], events.items[after][is_pair])
    return sparse.csr_matrix((weights, coordinates), shape=(size, size), dtype=np.float32)


def _keep_largest(
    pairs: sparse.csr_matrix, max_pairs: int, positions: Int32[np.ndarray, " vocabulary"] | None
) -> None:
    """Keep the ``max_pairs`` largest entries, in place; there must be more entries than that.

    Args:
        positions: ties go to the lower position of the row, then of the column; by default to the
            lower index.
    """
    pairs.sort_indices()
    tie_keys = None
    if positions is not None:
        rows = np.repeat(positions.astype(np.int64), np.diff(pairs.indptr))
        tie_keys = rows * len(positions) + positions[pairs.indices]
    pairs.data[~largest_k_mask(pairs.data, max_pairs, tie_keys)] = 0
    pairs.eliminate_zeros()
