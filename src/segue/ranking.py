"""What it takes to be evaluated: a ranker answers queries over the whole catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from segue.axes import INDEX_DTYPE, N_SPECIALS, PAD, Ragged

SCORES_PER_BLOCK = 1 << 22
"""Scores that a ``ScoringRanker`` holds at a time, 16 MiB of float32: larger arrays come as
fresh pages from the system every time, which costs more than the scoring."""

GROUPS_PER_PLACE = 4
"""Groups of items for each place of a list, when the best are looked for."""


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

    def slice(self, begin: int, end: int) -> Queries:
        """The queries ``begin`` up to ``end``."""
        return Queries(
            self.histories.slice(begin, end),
            self.excluded.slice(begin, end),
            self.rows[begin:end],
        )


class Ranked(NamedTuple):
    """Ranked lists: the best first. Places that cannot be filled hold ``PAD`` and -inf."""

    items: Int32[np.ndarray, "batch k"]
    scores: Float32[np.ndarray, "batch k"]


class Ranker(ABC):
    """Anything that ranks the whole catalogue for a history: a model, a baseline, a list."""

    name: str
    """How results call it."""

    refit: bool | None = False
    """Whether validation events were fitted too; None where there is nothing to say, as for
    a list from elsewhere."""

    data_fingerprint: str | None = None
    """The prepared dataset that it was fitted on, where it is known."""

    begins: bool = True
    """Whether it can rank with no history at all."""

    notes: tuple[str, ...] = ()
    """What a reader of its results has to know, such as candidates that it never met."""

    @abstractmethod
    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        """The place, from 1, of one target a query among all candidates.

        Candidates are the catalogue without the query's excluded items. A target that ties
        with others takes the mean of the places that the tie covers, rounded up. The
        targets are in the catalogue and not excluded. 0 stands for "nowhere" (a list from
        elsewhere that does not hold the target). A score that is not a number never helps:
        as a target's it comes last, as another's it counts as higher.
        """

    @abstractmethod
    def top(self, queries: Queries, k: int) -> Ranked:
        """The ``k`` best candidates of each query; ties in any fixed order."""


class ScoringRanker(Ranker):
    """A ranker that scores the whole item table on the host, a block of queries at a time."""

    table_size: int
    """Rows of the item table: the special tokens and the catalogue."""

    @abstractmethod
    def scores(self, queries: Queries) -> Float[np.ndarray, "batch table"]:
        """A score for every row of the item table, higher is better; may be overwritten."""

    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        found = [
            ranks_from_scores(scores, targets[block])
            for block, scores in self._candidate_scores(queries)
        ]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def top(self, queries: Queries, k: int) -> Ranked:
        found = [top_from_scores(scores, k) for _, scores in self._candidate_scores(queries)]
        items = [np.zeros((0, k), INDEX_DTYPE), *(ranked.items for ranked in found)]
        scores = [np.zeros((0, k), np.float32), *(ranked.scores for ranked in found)]
        return Ranked(np.concatenate(items), np.concatenate(scores))

    def _candidate_scores(
        self, queries: Queries
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block table"]]]:
        """Scores by blocks of queries, with -inf for what is no candidate."""
        size = max(1, SCORES_PER_BLOCK // self.table_size)
        for begin in range(0, len(queries), size):
            block = slice(begin, min(begin + size, len(queries)))
            scores = self.scores(queries.slice(block.start, block.stop))
            exclude(scores, queries.excluded.slice(block.start, block.stop))
            yield block, scores


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
    # What is not lower or equal, rather than what is higher: NaN compares as neither.
    higher = scores.shape[1] - np.count_nonzero(scores <= own, axis=1)
    tied = np.count_nonzero(scores == own, axis=1)
    # The tie covers the places higher + 1 .. higher + tied; their mean, rounded up.
    return higher + (tied + 2) // 2


def top_from_scores(scores: Float[np.ndarray, "batch table"], k: int) -> Ranked:
    """The ``k`` best of each row, ties by lower index; non-candidates must hold -inf.

    A score that is not a number is no candidate.
    """
    if np.isnan(scores.max(initial=-np.inf)):
        scores = np.where(np.isnan(scores), -np.inf, scores)
    k_found = min(k, scores.shape[1])
    order = _stable_top(scores, k_found)
    best = np.take_along_axis(scores, order, axis=1)
    items = np.where(np.isneginf(best), PAD, order).astype(INDEX_DTYPE)
    padding = ((0, 0), (0, k - k_found))
    return Ranked(
        np.pad(items, padding, constant_values=PAD),
        np.pad(best.astype(np.float32), padding, constant_values=-np.inf),
    )


def _stable_top(scores: Float[np.ndarray, "batch table"], k: int) -> np.ndarray:
    """Column numbers of the ``k`` best of each row, ties by lower column."""
    found = np.empty((len(scores), k), dtype=np.int64)
    for i, (row, bound) in enumerate(zip(scores, _lower_bounds(scores, k), strict=True)):
        chosen = np.flatnonzero(row > bound)
        if len(chosen) < k:
            level = np.flatnonzero(row == bound)[: k - len(chosen)]
            chosen = np.concatenate([chosen, level])
        found[i] = chosen[np.argsort(-row[chosen], kind="stable")[:k]]
    return found


def _lower_bounds(scores: Float[np.ndarray, "batch table"], k: int) -> Float[np.ndarray, " batch"]:
    """For each row a value that at least ``k`` scores reach, and few more.

    The k-th largest of the maxima of interleaved groups of columns. A partition of whole
    rows would give the exact value, but is ten times slower where many scores tie.
    """
    groups = min(GROUPS_PER_PLACE * k, scores.shape[1])
    depth = scores.shape[1] // groups
    maxima = scores[:, : depth * groups].reshape(len(scores), depth, groups).max(axis=1)
    return np.partition(maxima, -k, axis=1)[:, -k]
