"""Ensemble members: dense ones score by inner product, sparse ones add a bonus to some items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Float32, Int64
from scipy import sparse

from segue.baselines.item_item import ItemItemRanker
from segue.errors import RequestError
from segue.ranking import Query
from segue.recommender.item_item_scores import ItemItemScores
from segue.recommender.padding import padded_rows
from segue.tokens import N_SPECIALS, UNK

Parameters: TypeAlias = Mapping[str, str | int | float | bool | None]
"""The parameters with which a member was fitted, for display."""


Window: TypeAlias = Literal["last", "moving"]
"""Which tokens of a history longer than the context a transformer reads: the last ones, or a window
that moves by a quarter of the context once it is full (see ``shapes.slide_step``)."""


def check_window(window: Any) -> None:
    """Raise a ``RequestError`` for an unknown window."""
    if window not in get_args(Window):
        hint = "give last or moving"
        raise RequestError(f"window is {window!r}, expected 'last' or 'moving'", hint)


class DenseMember(ABC):
    """Scores every item by the inner product of a state with the item's vector.

    A member whose scores do not depend on the request has one dimension and the state 1.
    """

    name: str
    """Name in the ensemble."""
    vectors: Any
    """(vocabulary, dim): one vector per item index; in bfloat16 as in ``segue.bfloat16``."""

    @abstractmethod
    def states(self, query: Query, n_rows: int) -> Float[Array | np.ndarray, "rows dim"]:
        """One state per request, then padding, ``n_rows`` rows in all."""

    def caching(self) -> DenseMember:
        """The member for queries whose histories grow: it may keep what it computed for the last
        one. Its states are the same; it is for one thread at a time."""
        return self

    def with_window(self, window: Window) -> DenseMember:  # noqa: ARG002
        """The member with another window; itself if it reads whole histories."""
        return self


@runtime_checkable
class SparseScores(Protocol):
    """A ranker that scores only some items of a request, such as ``CoOccurrence``."""

    name: str

    def sparse_scores(self, query: Query) -> sparse.csr_matrix:
        """Scores by request and item index: (batch, vocabulary); items left out score 0."""
        ...


@dataclass(frozen=True)
class SparseMember:
    """Adds a bonus w log(1 + p / e) to the score of every item that a count-based ranker scores.

    p is the ranker's score of the item as a share of all its scores for the request. Seen items
    are left out of the shares; what else a request excludes has no influence on them.

    Attributes:
        ranker: its item indices are those of the model.
        weight: w, in nats, 0 or more.
        scale: e, the share at which the bonus is w log 2; above 0.
        parameters: of the ranker's fit.
    """

    ranker: SparseScores
    weight: float
    scale: float
    parameters: Parameters = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the ranker."""
        return self.ranker.name

    def __post_init__(self) -> None:
        largest = np.finfo(np.float32).max
        if not (0 <= self.weight <= largest and 0 < self.scale <= largest):
            raise RequestError(
                f"weight is {self.weight} and scale is {self.scale}, expected a weight from 0 up "
                "and a scale above 0",
                "1 and 0.01 are usual",
            )

    def bonus(self, query: Query) -> sparse.csr_matrix:
        """The bonus by request and item index, without entries of 0: (batch, vocabulary)."""
        scores = self.ranker.sparse_scores(query).copy()
        scores.sum_duplicates()
        n_rows, n_items = len(query), int(np.shape(scores)[1])
        rows = np.repeat(np.arange(n_rows), np.diff(scores.indptr))
        seen_rows = np.repeat(np.arange(n_rows), np.diff(query.seen.offsets))
        is_seen = np.isin(
            rows * n_items + scores.indices,
            (seen_rows * n_items + query.seen.values)[query.seen.values < n_items],
        )
        scores.data[is_seen | (scores.indices < N_SPECIALS) | ~(scores.data > 0)] = 0
        sums = np.bincount(rows, scores.data, minlength=n_rows)
        shares = scores.data / np.maximum(sums[rows], np.finfo(np.float64).tiny)
        scores.data = (self.weight * np.log1p(shares / self.scale)).astype(np.float32)
        scores.eliminate_zeros()
        return scores

    def dense_bonus(self, query: Query, n_rows: int) -> Float32[np.ndarray, "rows vocabulary"]:
        """The bonus of every item, in ``n_rows`` rows; those beyond the requests are zeros.

        In float32, up to whose rounding it is equal to ``bonus``.
        """
        bonus = self._scores_of_all(query, n_rows)
        shares = bonus[: len(query)]  # the padding stays as it is
        rows = np.repeat(np.arange(len(query)), np.diff(query.seen.offsets))
        is_inside = query.seen.values < shares.shape[1]
        shares[rows[is_inside], query.seen.values[is_inside]] = 0
        shares[:, :N_SPECIALS] = 0
        np.maximum(shares, 0, out=shares)
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        shares /= np.float32(self.scale)
        np.log1p(shares, out=shares)
        shares *= np.float32(self.weight)
        return bonus

    def _scores_of_all(self, query: Query, n_rows: int) -> Float32[np.ndarray, "rows vocabulary"]:
        if self._item_item is not None:
            return self._item_item.scores(query, n_rows)
        scores = self.ranker.sparse_scores(query).toarray().astype(np.float32)
        return padded_rows(scores, n_rows)

    @cached_property
    def _item_item(self) -> ItemItemScores | None:
        return ItemItemScores(self.ranker) if isinstance(self.ranker, ItemItemRanker) else None


@dataclass(frozen=True)
class PureSVD(DenseMember):
    """Item vectors of PureSVD and the weight of their scores: a dense ensemble member.

    After short histories of one to five items, a transformer trained on few sequences ranks
    better than neighbourhood methods. After long histories in no particular order it ranks worse.
    PureSVD is strong exactly there, because it adds up the evidence of all items of the history.

    Attributes:
        vectors: one row per item index; zeros for items without training events.
        weight: the score, in nats, of an item vector of length 1 in the direction of the history.
        parameters: of the fit.
    """

    vectors: Float32[np.ndarray, "vocabulary dim"]
    weight: float
    parameters: Parameters = field(default_factory=dict)
    name: str = "puresvd"

    def states(self, query: Query, n_rows: int) -> Float32[np.ndarray, "rows dim"]:
        """The sum of the item vectors of each history, scaled to the length ``weight``.

        Empty histories and padding rows have zero states.

        Source: PureSVD of Cremonesi, Koren and Turrin, RecSys 2010. Its ranking does not depend
        on the length of the sum.
        """
        offsets, items = query.histories
        items = np.where(items < len(self.vectors), items, UNK)
        ones = np.ones(len(items), np.float32)
        shape = (len(query), len(self.vectors))
        sums = sparse.csr_matrix((ones, items, offsets), shape=shape) @ self.vectors
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        states = np.float32(self.weight) * sums / np.maximum(lengths, np.finfo(np.float32).tiny)
        return padded_rows(states, n_rows)


@dataclass(frozen=True)
class ItemBias(DenseMember):
    """A score per item that no request changes: a dense member of one dimension.

    It orders the items that no other member scores.

    Attributes:
        vectors: the score per item index.
        weight: factor on the scores.
        parameters: of the fit.
    """

    vectors: Float32[np.ndarray, "vocabulary 1"]
    weight: float
    parameters: Parameters = field(default_factory=dict)
    name: str = "popularity"

    @classmethod
    def of_popularity(cls, counts: Int64[np.ndarray, " vocabulary"], weight: float) -> ItemBias:
        """Scores of log(1 + count).

        Args:
            counts: training count by item index.
            weight: factor on the scores.
        """
        return cls(np.log1p(counts).astype(np.float32)[:, None], weight)

    def states(
        self,
        query: Query,  # noqa: ARG002 - the same for every request
        n_rows: int,
    ) -> Float32[np.ndarray, "rows 1"]:
        """The weight, for every request."""
        return np.full((n_rows, 1), self.weight, np.float32)
