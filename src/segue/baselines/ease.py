"""EASE baseline: a linear item-item model in closed form, on the most popular items."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int
from scipy.linalg import get_lapack_funcs

from segue.baselines.head_ranker import HeadRanker, columns_of, head_of
from segue.baselines.interaction_matrix import interaction_matrices
from segue.baselines.item_item import HistoryWeights
from segue.baselines.parameters import HistoryParameters, Regularisation
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events

COLUMNS_PER_BLOCK = 256
"""Columns of the co-occurrence matrix counted per block."""


class EaseParameters(HistoryParameters):
    """The parameters of ``Ease``."""

    regularisation: Regularisation = 500.0
    """L2 regularisation, added to the diagonal of the co-occurrence matrix."""
    history: HistoryWeights = HistoryWeights(distinct=True)


class Ease(HeadRanker):
    """Scores an item by the sum of its EASE weights from the distinct items of the history.

    The weights are the ridge regression of each head item on all the others, in closed form:
    with P the inverse of the regularised co-occurrence matrix, ``B[i, j] = -P[i, j] / P[j, j]``,
    and 0 on the diagonal.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019
    (arXiv 1905.03375).
    """

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: EaseParameters | None = None,
    ) -> Ease:
        """Solve for the weights of the head of the catalogue."""
        parameters = parameters or EaseParameters()
        head = head_of(dataset)
        counts = count_cooccurrences(dataset, head, fit_on_validation)
        return cls(
            "ease",
            head,
            solve_ease(counts, parameters.regularisation),
            count_training_events(dataset, fit_on_validation),
            parameters.history,
            fit_on_validation=fit_on_validation,
        )


def count_cooccurrences(
    dataset: Dataset, head: Int[np.ndarray, " head"], fit_on_validation: bool = False
) -> Float64[np.ndarray, "head head"]:
    """Number of sequences that contain both the i-th and the j-th item of ``head``."""
    counts = np.zeros((len(head), len(head)))
    for interactions in interaction_matrices(dataset, fit_on_validation):
        head_interactions = interactions[:, columns_of(head)]
        transposed = head_interactions.T.tocsr()
        for start in range(0, len(head), COLUMNS_PER_BLOCK):
            block = slice(start, start + COLUMNS_PER_BLOCK)
            counts[block] += (transposed[block] @ head_interactions).toarray()
    return counts


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
