"""Ensemble members: dense ones score by inner product, sparse ones add a bonus to some items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Float32
from scipy import sparse

from segue.errors import RequestError, RunError
from segue.ranking import Query
from segue.storage.arrays import ArraysMismatchError, read_arrays, write_arrays
from segue.storage.atomic import replace_file
from segue.storage.reading import Problems
from segue.tokens import N_SPECIALS, UNK

ARRAY_NAME = "item_vectors"
"""Name of the array in the safetensors file of ``PureSVD``."""


class DenseMember(ABC):
    """Scores every item by the inner product of a state with the item's vector.

    A member whose scores do not depend on the request has one dimension and the state 1.
    """

    vectors: Any
    """(vocabulary, dim): one vector per item index; in bfloat16 as in ``segue.bfloat16``."""

    @abstractmethod
    def states(self, query: Query, n_rows: int) -> Float[Array | np.ndarray, "rows dim"]:
        """One state per request, then padding, ``n_rows`` rows in all."""


@runtime_checkable
class SparseScores(Protocol):
    """A ranker that scores only some items of a request, such as ``CoOccurrence``."""

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
    """

    ranker: SparseScores
    weight: float
    scale: float

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


@dataclass(frozen=True)
class PureSVD(DenseMember):
    """Item vectors of PureSVD and the weight of their scores: a dense ensemble member.

    After short histories of one to five items, a transformer trained on few sequences ranks
    better than neighbourhood methods. After long histories in no particular order it ranks worse.
    PureSVD is strong exactly there, because it adds up the evidence of all items of the history.

    Attributes:
        vectors: one row per item index; zeros for items without training events.
        weight: the score, in nats, of an item vector of length 1 in the direction of the history.
    """

    vectors: Float32[np.ndarray, "vocabulary dim"]
    weight: float

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
        return np.pad(states, ((0, n_rows - len(query)), (0, 0)))

    def write(self, path: Path) -> None:
        """Write the vectors as a safetensors file.

        Raises:
            StorageError: no space or no permission.
        """
        replace_file(path, lambda partial: write_arrays(partial, {ARRAY_NAME: self.vectors}))

    @classmethod
    def load(cls, path: Path, shape: tuple[int, int], weight: float) -> PureSVD:
        """Read the vectors from a safetensors file.

        Args:
            path: the file.
            shape: expected vocabulary size and number of dimensions.
            weight: weight of the scores in the ensemble, in nats.

        Raises:
            RunError: the file is missing, damaged or of another shape, or a number in it is not
                finite.
        """
        like = {ARRAY_NAME: np.broadcast_to(np.float32(0), shape)}
        problems = Problems(RunError, "restore the file from a copy, or train again")
        try:
            arrays = read_arrays(path, like, problems, finite=True)
        except ArraysMismatchError as error:
            raise problems.cannot_read(path, error) from None
        return cls(np.asarray(arrays[ARRAY_NAME]), weight)
