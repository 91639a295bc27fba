"""Co-occurrence and last-item baselines: counts of item pairs at short distances."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int32
from pydantic import Field
from scipy import sparse

from segue.baselines.interaction_matrix import largest_k_mask, tie_positions
from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.baselines.parameters import HistoryParameters, NotNegative
from segue.dataset import Dataset
from segue.dataset.training_events import EventBlock, count_training_events, readable_event_blocks

MAX_WINDOW = 100
"""Largest window; the time of the fit grows with it."""
UNIT = 2520
"""The weight of two adjacent events where 1/d, 1/d^2, ... are rounded to integers."""
MAX_PAIRS = 50_000_000
"""Largest number of stored pairs, about 400 MB; beyond it the pairs of least weight are dropped."""


class CoOccurrenceParameters(HistoryParameters):
    """The parameters of ``CoOccurrence``."""

    window: Annotated[int, Field(gt=0, le=MAX_WINDOW, strict=True)] = 5
    """Largest distance, in events, of the pairs that are counted."""
    distance_power: NotNegative = 1.0
    """A pair d events apart counts d to the power of minus this."""
    shrinkage: NotNegative = 10.0
    """Added to the count of the first item, so that pairs with a rare one score lower."""
    source_power: NotNegative = 1.0
    """The shrunk count of the first item, to this power, divides the weights of its pairs."""
    history: HistoryWeights = HistoryWeights(10, power=1.0)


class LastItemParameters(CoOccurrenceParameters):
    """The parameters of ``last-item``: direct successors of the last item only."""

    window: Annotated[int, Field(gt=0, le=MAX_WINDOW, strict=True)] = 1
    shrinkage: NotNegative = 0.0
    history: HistoryWeights = HistoryWeights(length=1)


class CoOccurrence(ItemItemRanker):
    """Scores an item by how often it followed the last items of the history.

    Each time that an item occurs d events after another one, the weight of the pair grows by
    1/d, for d up to the window. Divided by the count of the first item, the weight estimates the
    probability that the second one follows. The score of an item is the sum over the last items
    of the history, weighted 1, 1/2, 1/3, ... from the latest one back. Ties are ordered by
    popularity. With a window and a history of one event this is the first-order Markov chain,
    ``last-item``. See ``CoOccurrenceParameters`` for variations.

    Source: the sequential rules and the Markov chain of Ludewig and Jannach, Evaluation of
    session-based recommendation algorithms, User Modeling and User-Adapted Interaction 28,
    2018; here with several history items per query and shrunk counts.
    """

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: CoOccurrenceParameters | None = None,
        *,
        name: str = "co-occurrence",
    ) -> CoOccurrence:
        """Count the pairs of the training events within the window."""
        parameters = parameters or CoOccurrenceParameters()
        counts = count_training_events(dataset, fit_on_validation)
        pairs = count_pairs(
            dataset, parameters.window, fit_on_validation, MAX_PAIRS, parameters.distance_power
        )
        divisors = np.maximum(counts + parameters.shrinkage, 1.0) ** parameters.source_power
        return cls(
            name,
            pairs.weights,
            counts,
            parameters.history,
            divisors=pairs.unit * divisors,
            fit_on_validation=fit_on_validation,
            notes=pairs.notes,
        )

    @classmethod
    def fit_last_item(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: LastItemParameters | None = None,
    ) -> CoOccurrence:
        """Count direct successors; use the last item only."""
        return cls.fit(
            dataset, fit_on_validation, parameters or LastItemParameters(), name="last-item"
        )


class PairCounts(NamedTuple):
    """Distance-weighted counts of ordered item pairs.

    Attributes:
        weights: (vocabulary, vocabulary) float32; row i has the weights of the items that
            followed item i, as multiples of 1/``unit``, which are integers: equal sums are equal.
        unit: the weight of two adjacent events, an integer.
        notes: a caveat if pairs were dropped, else empty.
    """

    weights: sparse.csr_matrix
    unit: int
    notes: tuple[str, ...]


def count_pairs(
    dataset: Dataset,
    window: int,
    fit_on_validation: bool = False,
    max_pairs: int = MAX_PAIRS,
    power: float = 1.0,
) -> PairCounts:
    """Count ordered item pairs: d^-power for each time that item j came d events after item i.

    The weights are exact up to 16.7 million; larger ones are rounded to float32.

    Args:
        dataset: the prepared dataset.
        window: largest distance d, in events.
        fit_on_validation: whether to count validation events too.
        max_pairs: number of pairs kept after each block of events: those with the most weight;
            of equal ones those with the more frequent first item, then second item.
        power: how fast the weight falls with the distance.
    """
    size, by_distance = dataset.vocabulary_size, distance_weights(window, power)
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    notes = ()
    for events in readable_event_blocks(dataset, fit_on_validation):
        block = by_distance[0] * _count_at_distance(events, 1, size)
        for distance in range(2, window + 1):
            block = block + by_distance[distance - 1] * _count_at_distance(events, distance, size)
        total = total + block
        if total.nnz > max_pairs:
            _keep_largest(total, max_pairs, tie_positions(dataset))
            notes = (f"only the {max_pairs:,} item pairs with the most weight were kept",)
    return PairCounts(total, by_distance[0], notes)


def distance_weights(window: int, power: float) -> list[int]:
    """The weights of the distances 1 to ``window``, as multiples of 1 / the first one.

    They are exact where the distances to ``power`` have a small common multiple, else rounded to
    1/``UNIT``.
    """
    if power == 0:
        return [1] * window
    unit = math.lcm(*range(1, window + 1))
    if power == 1 and unit <= UNIT:
        return [unit // distance for distance in range(1, window + 1)]
    return [round(UNIT / distance**power) for distance in range(1, window + 1)]


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
