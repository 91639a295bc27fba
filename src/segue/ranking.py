"""The ``Ranker`` interface: full-catalogue ranking for a batch of queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from segue.ragged import Ragged
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

SCORES_PER_BLOCK = 1 << 22
"""Largest array of scores that a ``ScoringRanker`` allocates, 16 MiB of float32. The allocator
requests larger arrays from the operating system every time, and the page faults cost more than
the scoring."""

GROUPS_PER_RESULT = 4
"""Groups of columns per requested item in the search for the k best."""


@dataclass(frozen=True)
class Queries:
    """A batch of next-item queries, one per row.

    Attributes:
        histories: item indices of all events before the target, oldest first. Items outside
            the catalogue have an index of ``vocabulary_size`` or more.
        excluded: item indices that must not be recommended, in any order. The caller puts the
            items that the user has seen here: ``Recommender.recommend`` for a request,
            ``segue.evaluation.instances`` by the protocol's ``seen``.
        rows: the dataset row of the sequence of each query; -1 for a sequence that is not in
            the dataset.
    """

    histories: Ragged
    excluded: Ragged
    rows: Int64[np.ndarray, " batch"]

    def __len__(self) -> int:
        return self.histories.n_rows

    def slice(self, start: int, end: int) -> Queries:
        """The queries ``start`` to ``end``, exclusive."""
        return Queries(
            self.histories.slice(start, end),
            self.excluded.slice(start, end),
            self.rows[start:end],
        )


class Ranked(NamedTuple):
    """Top-k lists, best item first; missing entries are ``PAD`` with the score -inf."""

    items: Int32[np.ndarray, "batch k"]
    scores: Float32[np.ndarray, "batch k"]


class Ranker(ABC):
    """Interface: ranks all candidate items for each query of a batch.

    Trained models, baselines and external lists implement it.
    """

    name: str
    """Name in results."""

    fit_on_validation: bool | None = False
    """Whether validation events were used for fitting; None where that is unknown, as for
    external lists."""

    data_fingerprint: str | None = None
    """Fingerprint of the prepared dataset that it was fitted on; None if unknown."""

    supports_empty_history: bool = True
    """Whether it can rank for an empty history."""

    notes: tuple[str, ...] = ()
    """Caveats to report with the results, such as candidates missing from the model's
    catalogue."""

    @abstractmethod
    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        """The rank of the target of each query among all candidates, counted from 1.

        Candidates are the catalogue without the query's excluded items. A target that ties
        with other candidates gets the mean of the tied ranks, rounded up. NaN scores are
        treated pessimistically: a target with a NaN score ranks last, a candidate with a NaN
        score ranks above the target.

        Args:
            queries: a batch of queries.
            targets: one item index per query, in the catalogue and not excluded.

        Returns:
            One rank per query; 0 for a target that the ranker does not rank (for example,
            one that is missing from an external list).
        """

    @abstractmethod
    def top(self, queries: Queries, k: int) -> Ranked:
        """The ``k`` best candidates per query; ties in any deterministic order."""


class ScoringRanker(Ranker):
    """A ranker that computes a score per item on the host, in blocks of queries."""

    vocabulary_size: int
    """Number of special tokens and catalogue items: the number of scores per query."""

    @abstractmethod
    def scores(self, queries: Queries) -> Float[np.ndarray, "batch vocabulary"]:
        """One score per query and item index, higher is better.

        The caller may overwrite the array. Scores of special tokens and excluded items are
        ignored.
        """

    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        ranks = [
            ranks_from_scores(scores, targets[block])
            for block, scores in self._candidate_scores(queries)
        ]
        return np.concatenate([np.zeros(0, np.int64), *ranks])

    def top(self, queries: Queries, k: int) -> Ranked:
        blocks = [top_from_scores(scores, k) for _, scores in self._candidate_scores(queries)]
        items = [np.zeros((0, k), INDEX_DTYPE), *(ranked.items for ranked in blocks)]
        scores = [np.zeros((0, k), np.float32), *(ranked.scores for ranked in blocks)]
        return Ranked(np.concatenate(items), np.concatenate(scores))

    def _candidate_scores(
        self, queries: Queries
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block vocabulary"]]]:
        """Scores per block of queries, -inf for items that are not candidates."""
        size = max(1, SCORES_PER_BLOCK // self.vocabulary_size)
        for start in range(0, len(queries), size):
            block = slice(start, min(start + size, len(queries)))
            scores = self.scores(queries.slice(block.start, block.stop))
            mask_excluded(scores, queries.excluded.slice(block.start, block.stop))
            yield block, scores


def mask_excluded(scores: Float[np.ndarray, "batch vocabulary"], excluded: Ragged) -> None:
    """Set the scores of special tokens and excluded items to -inf, in place."""
    scores[:, :N_SPECIALS] = -np.inf
    rows = np.repeat(np.arange(excluded.n_rows), np.diff(excluded.offsets))
    in_catalogue = excluded.values < scores.shape[1]
    scores[rows[in_catalogue], excluded.values[in_catalogue]] = -np.inf


def ranks_from_scores(
    scores: Float[np.ndarray, "batch vocabulary"], targets: Int32[np.ndarray, " batch"]
) -> Int64[np.ndarray, " batch"]:
    """Ranks of the targets by the tie rule of ``Ranker.ranks``.

    Scores of items that are not candidates must be -inf.
    """
    target_scores = scores[np.arange(len(targets)), targets][:, None]
    # "Not lower or equal" instead of "higher", so that NaN counts as higher.
    higher = scores.shape[1] - np.count_nonzero(scores <= target_scores, axis=1)
    tied = np.count_nonzero(scores == target_scores, axis=1)
    # The tied ranks are higher + 1 .. higher + tied; their mean, rounded up.
    return higher + (tied + 2) // 2


def top_from_scores(scores: Float[np.ndarray, "batch vocabulary"], k: int) -> Ranked:
    """The ``k`` best items per row; ties go to the lower index.

    Scores of items that are not candidates must be -inf. Items with a NaN score are left out.
    """
    if np.isnan(scores.max(initial=-np.inf)):
        scores = np.where(np.isnan(scores), -np.inf, scores)
    n_results = min(k, scores.shape[1])
    order = _stable_top(scores, n_results)
    best = np.take_along_axis(scores, order, axis=1)
    items = np.where(np.isneginf(best), PAD, order).astype(INDEX_DTYPE)
    padding = ((0, 0), (0, k - n_results))
    return Ranked(
        np.pad(items, padding, constant_values=PAD),
        np.pad(best.astype(np.float32), padding, constant_values=-np.inf),
    )


def _stable_top(scores: Float[np.ndarray, "batch vocabulary"], k: int) -> np.ndarray:
    """Columns of the ``k`` best scores per row, best first; ties go to the lower column."""
    columns = np.empty((len(scores), k), dtype=np.int64)
    for i, (row, bound) in enumerate(zip(scores, _lower_bounds(scores, k), strict=True)):
        selected = np.flatnonzero(row > bound)
        if len(selected) < k:
            tied = np.flatnonzero(row == bound)[: k - len(selected)]
            selected = np.concatenate([selected, tied])
        columns[i] = selected[np.argsort(-row[selected], kind="stable")[:k]]
    return columns


def _lower_bounds(
    scores: Float[np.ndarray, "batch vocabulary"], k: int
) -> Float[np.ndarray, " batch"]:
    """A lower bound per row on its k-th largest score, reached by few more than ``k`` scores.

    The bound is the k-th largest of the maxima of interleaved groups of columns. Partitioning
    the full row would give the exact value, but takes ten times as long where many scores tie.
    """
    groups = min(GROUPS_PER_RESULT * k, scores.shape[1])
    group_size = scores.shape[1] // groups
    maxima = scores[:, : group_size * groups].reshape(len(scores), group_size, groups).max(axis=1)
    return np.partition(maxima, -k, axis=1)[:, -k]
