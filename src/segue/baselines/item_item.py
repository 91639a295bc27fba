"""``ItemItemRanker``: scores from a sparse item-item matrix and weights of the history's events."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64
from pydantic import ConfigDict, Field
from scipy import sparse

from segue.baselines.interaction_matrix import product
from segue.baselines.tie_breaking import break_ties_of_sparse, tie_breakers
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS

US_PER_SECOND = 1_000_000


class HistoryEntries(NamedTuple):
    """The events of some histories that count in a score, ordered by request.

    Attributes:
        rows: the request of each event.
        items: its item index; an item may occur several times in a request.
        weights: how much it counts.
    """

    rows: Int64[np.ndarray, " events"]
    items: Int[np.ndarray, " events"]
    weights: Float64[np.ndarray, " events"]


@dataclass(frozen=True)
class HistoryWeights:
    """How much each event of a history counts in a score.

    The weight of an event is age^-``power`` times 2^-(age - 1)/``half_life`` times
    2^-seconds/``half_life_s``. Its age is 1 for the latest event with an item of the catalogue, 2
    for the one before, and so on; the seconds are those from the event to the latest one.

    Attributes:
        length: number of last events that count; None for all.
        power: 0 for equal weights, 1 for 1, 1/2, 1/3, ...
        half_life: in events; None for no such decay.
        half_life_s: in seconds; None for no such decay. Without effect where the times of a
            history are unknown.
        distinct: whether an item counts once, at its latest event, and ages are those of the
            distinct items.
    """

    length: Annotated[int, Field(gt=0, strict=True)] | None = None
    power: Annotated[float, Field(ge=0, strict=True)] = 0.0
    half_life: Annotated[float, Field(gt=0, strict=True)] | None = None
    half_life_s: Annotated[float, Field(gt=0, strict=True)] | None = None
    distinct: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    def matrix(self, query: Query, vocabulary_size: int) -> sparse.csr_matrix:
        """The weights by request and item: (batch, vocabulary) in float64; repeats are summed."""
        rows, items, weights = self.entries(query, vocabulary_size)
        return sparse.csr_matrix((weights, (rows, items)), shape=(len(query), vocabulary_size))

    def entries(self, query: Query, vocabulary_size: int) -> HistoryEntries:
        """The events that count, request by request, oldest first, with their weights."""
        offsets, items = query.histories
        rows = np.repeat(np.arange(len(query)), np.diff(offsets))
        counts = (items >= N_SPECIALS) & (items < vocabulary_size)
        if self.distinct:
            counts[counts] = _is_latest(rows[counts], items[counts].astype(np.int64))
        rows, items = rows[counts], items[counts]
        ends = np.cumsum(np.bincount(rows, minlength=len(query)))
        ages = ends[rows] - np.arange(len(rows))
        weights = self.of_ages(ages)
        if self.half_life_s is not None and query.times is not None:
            times = query.times[counts]
            seconds = (times[np.maximum(ends[rows] - 1, 0)] - times) / US_PER_SECOND
            weights *= 0.5 ** (np.maximum(seconds, 0) / self.half_life_s)
        if self.length is not None:
            is_recent = ages <= self.length
            rows, items, weights = rows[is_recent], items[is_recent], weights[is_recent]
        return HistoryEntries(rows, items, weights)

    def of_ages(self, ages: Int64[np.ndarray, " events"]) -> Float64[np.ndarray, " events"]:
        """The weights of events by age, from 1, without ``half_life_s``; 0 beyond ``length``."""
        weights = 1.0 / ages**self.power
        if self.half_life is not None:
            weights *= 0.5 ** ((ages - 1) / self.half_life)
        if self.length is not None:
            weights[ages > self.length] = 0
        return weights


HistoryRankerT = TypeVar("HistoryRankerT", bound="HistoryRanker")


class HistoryRanker(ScoringRanker):
    """A ranker that scores by a weighted history; ties are ordered by popularity.

    Attributes:
        counts: by item its training count.
        history_weights: how much each event of a history counts.
    """

    def __init__(
        self,
        name: str,
        counts: Int64[np.ndarray, " vocabulary"],
        history_weights: HistoryWeights,
        *,
        fit_on_validation: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Set what rankers of every kind of fit have.

        Args:
            name: name in results.
            counts: by item its training count, which orders ties.
            history_weights: how much each event of a history counts.
            fit_on_validation: whether validation events were used.
            notes: caveats to report with the results.
        """
        self.name = name
        self.fit_on_validation = fit_on_validation
        self.notes = notes
        self.vocabulary_size = len(counts)
        self.counts = counts
        self.history_weights = history_weights
        self._tie_breakers = tie_breakers(counts)

    def with_history(self: HistoryRankerT, weights: HistoryWeights) -> HistoryRankerT:
        """The same ranker with other weights of the history; the fit is shared."""
        ranker = copy(self)
        ranker.history_weights = weights
        return ranker


class ItemItemRanker(HistoryRanker):
    """Scores an item by the sum of its weights from the items of the history.

    Co-occurrence, item-kNN and truncated linear models are of this form; they differ in the
    matrix and in the weights of the events. Ties are ordered by popularity.
    """

    def __init__(
        self,
        name: str,
        pairs: sparse.csr_matrix,
        counts: Int64[np.ndarray, " vocabulary"],
        history_weights: HistoryWeights,
        *,
        divisors: Float64[np.ndarray, " vocabulary"] | None = None,
        fit_on_validation: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Create the ranker from its matrix.

        Args:
            name: as in ``HistoryRanker``; so are the arguments without a line here.
            pairs: (vocabulary, vocabulary) float32; row i has the weights from item i.
            divisors: by item, what the weights of its row are divided by; None for 1. Apart from
                ``pairs``, so that these can be integers, whose sums tie exactly.
        """
        super().__init__(
            name, counts, history_weights, fit_on_validation=fit_on_validation, notes=notes
        )
        self.pairs = pairs
        self.divisors = divisors

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        return break_ties_of_sparse(self.sparse_scores(query), self._tie_breakers)

    def sparse_scores(self, query: Query) -> sparse.csr_matrix:
        """The scores without popularity: (batch, vocabulary); other items score 0."""
        weights = self.history_weights.matrix(query, self.vocabulary_size)
        if self.divisors is not None:
            weights.data /= self.divisors[weights.indices]
        return product(weights, self.pairs)


def _is_latest(
    rows: Int64[np.ndarray, " events"], items: Int64[np.ndarray, " events"]
) -> Bool[np.ndarray, " events"]:
    """Whether an event is the last one of its item in its row; rows are in ascending order."""
    keys = rows * (items.max(initial=0) + 1) + items
    _, last_in_reverse = np.unique(keys[::-1], return_index=True)
    is_latest = np.zeros(len(keys), bool)
    is_latest[len(keys) - 1 - last_in_reverse] = True
    return is_latest
