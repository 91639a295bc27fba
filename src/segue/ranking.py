"""What it takes to be evaluated: a ranker answers queries over the whole catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from segue.axes import INDEX_DTYPE, N_SPECIALS, PAD, Ragged


@dataclass(frozen=True)
class Queries:
    """A block of questions "what comes next?", one a row.

    Attributes:
        histories: all events before the target, oldest first, as item indices; items
            outside the catalogue keep their own index (at or above ``table_size``).
        excluded: item indices that must not be recommended, in any order.
        rows: the sequence that each query comes from, as a row of the dataset; -1 where it
            comes from outside.
    """

    histories: Ragged
    excluded: Ragged
    rows: Int64[np.ndarray, " batch"]

    def __len__(self) -> int:
        return self.histories.n_rows


class Ranked(NamedTuple):
    """Ranked lists: the best first. Places that cannot be filled hold ``PAD`` and -inf."""

    items: Int32[np.ndarray, "batch k"]
    scores: Float32[np.ndarray, "batch k"]


class Ranker(ABC):
    """Anything that ranks the whole catalogue for a history: a model, a baseline, a list."""

    name: str
    """How results call it."""

    @abstractmethod
    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        """The place, from 1, of one target a query among all candidates.

        Candidates are the catalogue without the query's excluded items. A target that ties
        with others takes the mean of the places that the tie covers, rounded up. The
        targets are in the catalogue and not excluded. 0 stands for "nowhere" (a list from
        elsewhere that does not hold the target).
        """

    @abstractmethod
    def top(self, queries: Queries, k: int) -> Ranked:
        """The ``k`` best candidates of each query; ties in any fixed order."""


class ScoringRanker(Ranker):
    """A ranker that scores the whole item table on the host, a block of queries at a time."""

    @abstractmethod
    def scores(self, queries: Queries) -> Float[np.ndarray, "batch table"]:
        """A score for every row of the item table, higher is better; may be overwritten."""

    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        return ranks_from_scores(self._candidate_scores(queries), targets)

    def top(self, queries: Queries, k: int) -> Ranked:
        return top_from_scores(self._candidate_scores(queries), k)

    def _candidate_scores(self, queries: Queries) -> Float[np.ndarray, "batch table"]:
        scores = self.scores(queries)
        exclude(scores, queries.excluded)
        return scores


def exclude(scores: Float[np.ndarray, "batch table"], excluded: Ragged) -> None:
    """Set special tokens and excluded items to -inf, in place."""
    scores[:, :N_SPECIALS] = -np.inf
    rows = np.repeat(np.arange(excluded.n_rows), np.diff(excluded.offsets))
    known = excluded.values < scores.shape[1]
    scores[rows[known], excluded.values[known]] = -np.inf


def ranks_from_scores(
    scores: Float[np.ndarray, "batch table"], targets: Int32[np.ndarray, " batch"]
) -> Int64[np.ndarray, " batch"]:
    """Ranks by the tie rule of ``Ranker.ranks``; non-candidates must hold -inf."""
    own = scores[np.arange(len(targets)), targets][:, None]
    higher = np.count_nonzero(scores > own, axis=1)
    tied = np.count_nonzero(scores == own, axis=1)
    # The tie covers the places higher + 1 .. higher + tied; their mean, rounded up.
    return higher + (tied + 2) // 2


def top_from_scores(scores: Float[np.ndarray, "batch table"], k: int) -> Ranked:
    """The ``k`` best of each row, ties by lower index; non-candidates must hold -inf."""
    k_found = min(k, scores.shape[1])
    if k_found < scores.shape[1]:
        # argpartition alone would break ties at the cut arbitrarily: keep the lowest indices
        # by a full stable sort of the few rows' best values only.
        order = _stable_top(scores, k_found)
    else:
        order = np.argsort(-scores, axis=1, kind="stable")
    best = np.take_along_axis(scores, order, axis=1)
    items = np.where(np.isneginf(best), PAD, order).astype(INDEX_DTYPE)
    padding = ((0, 0), (0, k - k_found))
    return Ranked(
        np.pad(items, padding, constant_values=PAD),
        np.pad(best.astype(np.float32), padding, constant_values=-np.inf),
    )


def _stable_top(scores: Float[np.ndarray, "batch table"], k: int) -> np.ndarray:
    """Column numbers of the ``k`` best of each row, ties by lower column."""
    threshold = np.partition(scores, -k, axis=1)[:, -k]
    found = np.empty((len(scores), k), dtype=np.int64)
    for i, row in enumerate(scores):
        above = np.flatnonzero(row > threshold[i])
        level = np.flatnonzero(row == threshold[i])[: k - len(above)]
        chosen = np.concatenate([above, level])
        found[i] = chosen[np.argsort(-row[chosen], kind="stable")]
    return found
