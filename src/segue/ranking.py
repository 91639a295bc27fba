"""``Query`` and the ``Ranker`` interface: full-catalogue ranking for a batch of requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Int64

from segue.controls import Controls
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

SCORES_PER_BLOCK = 1 << 22
"""Largest array of scores that a ``ScoringRanker`` allocates, 16 MiB of float32. The allocator
requests larger arrays from the operating system every time, and the page faults cost more than
the scoring."""

GROUPS_PER_RESULT = 4
"""Groups of columns per requested item in the search for the k best."""


@dataclass(frozen=True)
class Query:
    """A batch of requests for the next item, one per row.

    Item indices are those of the ranker's dataset. Items outside its vocabulary are ``UNK`` or have
    an index of ``vocabulary_size`` or more.

    Attributes:
        histories: item indices of all events before the target, oldest first.
        seen: items that are left out because the user has seen them, in any order. The caller
            decides which these are: ``Recommender.recommend`` by ``include_seen``,
            ``segue.evaluation.instances`` by the protocol's ``seen``.
        rows: the dataset row of the sequence of each request; -1 for a sequence that is not in
            the dataset.
        k: number of items to rank by ``Ranker.top``.
        excluded: further items that must not be recommended, in any order; None for none. Unlike
            ``seen`` they never change the score of another item.
        times: the time of each event of ``histories``, in microseconds since 1970; None if
            unknown.
        sequence_features: values of sequence features by name, one mapping per row; None if
            there are none.
        controls: filters, examples, caps and dials of each row; None if no row has any.
    """

    histories: Ragged
    seen: Ragged
    rows: Int64[np.ndarray, " batch"]
    k: int = 10
    excluded: Ragged | None = None
    times: Int64[np.ndarray, " events"] | None = None
    sequence_features: Sequence[Mapping[str, Any]] | None = None
    controls: Sequence[Controls] | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise RequestError(f"k is {self.k}, expected 1 or more", "10 is usual")
        sizes = {"histories": len(self), "seen": self.seen.n_rows, "rows": len(self.rows)}
        if self.excluded is not None:
            sizes["excluded"] = self.excluded.n_rows
        if self.sequence_features is not None:
            sizes["sequence_features"] = len(self.sequence_features)
        if self.controls is not None:
            sizes["controls"] = len(self.controls)
        for name, size in sizes.items():
            if size != len(self):
                message = f"{name} has {size} rows, but there are {len(self)} histories"
                raise RequestError(message, "give one row per history")

    def __len__(self) -> int:
        return self.histories.n_rows

    def with_k(self, k: int) -> Query:
        """The same requests for ``k`` items."""
        return replace(self, k=k)

    def slice(self, start: int, end: int) -> Query:
        """The requests ``start`` to ``end``, exclusive."""
        bounds = self.histories.offsets[[start, end]]
        return replace(
            self,
            histories=self.histories.slice(start, end),
            seen=self.seen.slice(start, end),
            rows=self.rows[start:end],
            excluded=None if self.excluded is None else self.excluded.slice(start, end),
            times=None if self.times is None else self.times[bounds[0] : bounds[1]],
            sequence_features=(
                None if self.sequence_features is None else self.sequence_features[start:end]
            ),
            controls=None if self.controls is None else self.controls[start:end],
        )

    def select(self, mask: Bool[np.ndarray, " batch"]) -> Query:
        """The requests where the mask is true."""
        rows = np.flatnonzero(mask).tolist()
        features, controls = self.sequence_features, self.controls
        lengths = np.diff(self.histories.offsets)
        return replace(
            self,
            histories=self.histories.select(mask),
            seen=self.seen.select(mask),
            rows=self.rows[mask],
            excluded=None if self.excluded is None else self.excluded.select(mask),
            times=None if self.times is None else self.times[np.repeat(mask, lengths)],
            sequence_features=None if features is None else [features[row] for row in rows],
            controls=None if controls is None else [controls[row] for row in rows],
        )

    def check_no_controls(self, ranker: str) -> None:
        """Refuse controls that a ranker would not obey.

        Raises:
            RequestError: a row has controls.
        """
        if self.controls is not None:
            message = f"{ranker} does not support the controls of a request"
            raise RequestError(message, "leave filters, caps, examples and dials out")

    def blocks(self, size: int) -> Iterator[tuple[slice, Query]]:
        """Blocks of at most ``size`` requests, each with the slice of the rows that it covers."""
        if 0 < len(self) <= size:
            yield slice(0, len(self)), self
            return
        for start in range(0, len(self), size):
            block = slice(start, min(start + size, len(self)))
            yield block, self.slice(block.start, block.stop)


class Ranked(NamedTuple):
    """Top-k lists, best item first; missing entries are ``PAD`` with the score -inf."""

    items: Int32[np.ndarray, "batch k"]
    scores: Float32[np.ndarray, "batch k"]


class Ranker(ABC):
    """Interface: ranks all candidate items for each request of a batch.

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
        self, query: Query, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        """The rank of the target of each request among all candidates, counted from 1.

        Candidates are the items that may be recommended, without the seen and excluded ones. A
        target that ties with other candidates gets the mean of the tied ranks, rounded up. NaN
        scores are treated pessimistically: a target with a NaN score ranks last, a candidate with
        a NaN score ranks above the target.

        Args:
            query: a batch of requests.
            targets: one item index per request, a candidate.

        Returns:
            One rank per request; 0 for a target that the ranker does not rank (for example,
            one that is missing from an external list).
        """

    @abstractmethod
    def top(self, query: Query) -> Ranked:
        """The ``query.k`` best candidates per request; ties in any deterministic order."""


class ScoringRanker(Ranker):
    """A ranker that computes a score per item on the host, in blocks of requests."""

    vocabulary_size: int
    """Number of special tokens and catalogue items: the number of scores per request."""

    left_out: Int[np.ndarray, " items"] = np.zeros(0, INDEX_DTYPE)
    """Items of the vocabulary that are never recommended."""

    tie_order: Int[np.ndarray, " vocabulary"] | None = None
    """All item indices, in the order in which ``top`` lists ties; None for ascending order."""

    @abstractmethod
    def scores(self, query: Query) -> Float[np.ndarray, "batch vocabulary"]:
        """One score per request and item index, higher is better; -inf is the lowest one.

        The caller may overwrite the array. Scores of items that are not candidates are ignored.
        """

    def ranks(
        self, query: Query, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        ranks = [
            ranks_from_scores(scores, targets[block])
            for block, scores in self._candidate_scores(query)
        ]
        return np.concatenate([np.zeros(0, np.int64), *ranks])

    def top(self, query: Query) -> Ranked:
        blocks = [
            top_from_scores(scores, query.k, self.tie_order)
            for _, scores in self._candidate_scores(query)
        ]
        items = [np.zeros((0, query.k), INDEX_DTYPE), *(ranked.items for ranked in blocks)]
        scores = [np.zeros((0, query.k), np.float32), *(ranked.scores for ranked in blocks)]
        return Ranked(np.concatenate(items), np.concatenate(scores))

    def _candidate_scores(
        self, query: Query
    ) -> Iterator[tuple[slice, Float[np.ndarray, "block vocabulary"]]]:
        """Scores per block of requests, -inf for items that are not candidates."""
        query.check_no_controls(self.name)
        for block, block_query in query.blocks(max(1, SCORES_PER_BLOCK // self.vocabulary_size)):
            scores = self.scores(block_query)
            if np.isneginf(scores.min(initial=0)):  # -inf is for items that are not candidates
                np.maximum(scores, np.finfo(scores.dtype).min, out=scores)
            mask_items(scores, block_query.seen)
            scores[:, self.left_out] = -np.inf
            if block_query.excluded is not None:
                mask_items(scores, block_query.excluded)
            yield block, scores


def mask_items(scores: Float[np.ndarray, "batch vocabulary"], items: Ragged) -> None:
    """Set the scores of special tokens and of each row's ``items`` to -inf, in place."""
    scores[:, :N_SPECIALS] = -np.inf
    rows = np.repeat(np.arange(items.n_rows), np.diff(items.offsets))
    in_catalogue = items.values < scores.shape[1]
    scores[rows[in_catalogue], items.values[in_catalogue]] = -np.inf


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


def top_from_scores(
    scores: Float[np.ndarray, "batch vocabulary"],
    k: int,
    tie_order: Int[np.ndarray, " vocabulary"] | None = None,
) -> Ranked:
    """The ``k`` best items per row.

    Scores of items that are not candidates must be -inf. Items with a NaN score are left out.

    Args:
        tie_order: all item indices, those first that ties go to; None for ascending order.
    """
    if tie_order is not None:
        ranked = top_from_scores(scores[:, tie_order], k)
        is_item = ~np.isneginf(ranked.scores)
        items = np.where(is_item, tie_order[ranked.items], PAD).astype(INDEX_DTYPE)
        return Ranked(items, ranked.scores)
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
