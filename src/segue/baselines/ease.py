"""EASE baseline: a linear item-item model in closed form, on the most popular items."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32, Int64
from scipy.linalg import get_lapack_funcs

from segue.baselines.interaction_matrix import history_matrix, interaction_matrices
from segue.baselines.tie_breaking import break_ties, tie_breakers
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS

HEAD_ITEMS = 5_000
"""Number of most popular items that are modelled (the head of the catalogue). Inverting their
matrix takes 200 MB and a few seconds; the memory grows with the square, the time with the cube."""
REGULARISATION = 500.0
"""L2 regularisation, added to the diagonal of the co-occurrence matrix."""
COLUMNS_PER_BLOCK = 256
"""Columns of the co-occurrence matrix counted per block."""


class Ease(ScoringRanker):
    """Scores an item by the sum of its EASE weights from the distinct items of the history.

    The weights are the ridge regression of each head item on all the others, in closed form:
    with P the inverse of the regularised co-occurrence matrix, ``B[i, j] = -P[i, j] / P[j, j]``,
    and 0 on the diagonal.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019
    (arXiv 1905.03375).
    """

    name = "ease"

    def __init__(
        self,
        head: Int32[np.ndarray, " head"],
        weights: Float32[np.ndarray, "head head"],
        counts: Int64[np.ndarray, " vocabulary"],
        *,
        fit_on_validation: bool = False,
    ) -> None:
        """Create the ranker from weights.

        Args:
            head: item indices of the items that are modelled.
            weights: entry (i, j) is the weight from the i-th to the j-th item of the head.
            counts: by item its training count, which orders ties, such as all items outside the
                head.
            fit_on_validation: whether validation events were used.
        """
        self.fit_on_validation = fit_on_validation
        self.vocabulary_size = len(counts)
        self._head = _columns(head)
        self._weights = weights
        self._tie_breakers = tie_breakers(counts)

    @classmethod
    def fit(cls, dataset: Dataset, fit_on_validation: bool = False) -> Ease:
        """Solve for the weights of the head of the catalogue."""
        head = dataset.popularity_order.items[N_SPECIALS:][:HEAD_ITEMS]
        counts = count_cooccurrences(dataset, head, fit_on_validation)
        return cls(
            head,
            solve_ease(counts, REGULARISATION),
            count_training_events(dataset, fit_on_validation),
            fit_on_validation=fit_on_validation,
        )

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        histories = history_matrix(query, self.vocabulary_size)[:, self._head]
        scores = np.zeros((len(query), self.vocabulary_size), np.float32)
        scores[:, self._head] = histories @ self._weights
        return break_ties(scores, self._tie_breakers)


def count_cooccurrences(
    dataset: Dataset, head: Int[np.ndarray, " head"], fit_on_validation: bool = False
) -> Float64[np.ndarray, "head head"]:
    """Number of sequences that contain both the i-th and the j-th item of ``head``."""
    counts = np.zeros((len(head), len(head)))
    for interactions in interaction_matrices(dataset, fit_on_validation):
        head_interactions = interactions[:, _columns(head)]
        transposed = head_interactions.T.tocsr()
        for start in range(0, len(head), COLUMNS_PER_BLOCK):
            block = slice(start, start + COLUMNS_PER_BLOCK)
            counts[block] += (transposed[block] @ head_interactions).toarray()
    return counts


def _columns(items: Int[np.ndarray, " items"]) -> slice | Int[np.ndarray, " items"]:
    """An index of the columns of some items; a slice, which needs no copy, where they are a range.

    They are in a freshly prepared dataset.
    """
    is_range = bool((np.diff(items) == 1).all())
    return slice(int(items[0]), int(items[-1]) + 1) if is_range else items


def solve_ease(
    counts: Float64[np.ndarray, "head head"], regularisation: float
) -> Float32[np.ndarray, "head head"]:
    """Item-item weights by the closed form of EASE; overwrites ``counts``.

    The regularised matrix is symmetric positive definite, so the inverse is computed from its
    Cholesky factor: in half the time, and in place.
    """
    counts[np.diag_indices_from(counts)] += regularisation
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (counts,))
    # LAPACK is column-major; the transposed view of the symmetric matrix avoids a copy.
    factor, _ = factorise(counts.T, lower=1, overwrite_a=1)
    inverse, _ = invert(factor, lower=1, overwrite_c=1)
    weights = np.tril(inverse.astype(np.float32))
    diagonal = np.diag(weights).copy()
    weights += np.tril(weights, -1).T
    weights /= -diagonal
    np.fill_diagonal(weights, 0)
    return weights
