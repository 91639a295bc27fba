"""EASE: the linear model that predicts each item of a sequence from all the others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from scipy.linalg import get_lapack_funcs

from segue.axes import N_SPECIALS
from segue.baselines.events import count_items
from segue.baselines.popularity import below_one
from segue.baselines.sets import history_sets, item_sets
from segue.dataset import Dataset
from segue.ranking import Queries, ScoringRanker

HEAD = 5_000
"""Items that are modelled, the most popular ones: their matrix is inverted as a whole, which
takes 200 MB and some seconds. The time grows with the third power, the memory with the second."""
REGULARISATION = 500.0
"""Added to each item's count on the diagonal."""
BACKOFF = 1e-6
"""Weight of popularity, which alone ranks the items outside the head."""
COLUMNS_PER_BLOCK = 256
"""Columns of the co-occurrence matrix that are counted at a time."""


class Ease(ScoringRanker):
    """Scores an item by the learnt weights of the history's items, each counted once.

    The weights are the ridge regression of every item of the head on all the others, in
    closed form: with P the inverse of the regularised co-occurrence matrix,
    ``B[i, j] = -P[i, j] / P[j, j]``, and 0 on the diagonal.

    Source: Steck, Embarrassingly shallow autoencoders for sparse data, WWW 2019
    (arXiv 1905.03375).
    """

    name = "ease"

    def __init__(
        self,
        weights: Float32[np.ndarray, "head head"],
        backoff: Float32[np.ndarray, " table"],
        *,
        refit: bool = False,
    ) -> None:
        """Wrap weights.

        Args:
            weights: entry (i, j) is what the i-th item of the catalogue says for the j-th.
            backoff: what every item scores at least.
        """
        self.refit = refit
        self.table_size = len(backoff)
        self._head = slice(N_SPECIALS, N_SPECIALS + len(weights))
        self._weights = weights
        self._backoff = backoff

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> Ease:
        """Solve for the weights of the head of the catalogue."""
        head = min(HEAD, dataset.n_catalogue)
        weights = solve(count_shared(dataset, head, refit), REGULARISATION)
        return cls(weights, BACKOFF * below_one(count_items(dataset, refit)), refit=refit)

    def scores(self, queries: Queries) -> Float32[np.ndarray, "batch table"]:
        histories = history_sets(queries, self.table_size)[:, self._head]
        scores = np.tile(self._backoff, (len(queries), 1))
        scores[:, self._head] += histories @ self._weights
        return scores


def count_shared(
    dataset: Dataset, head: int, refit: bool = False
) -> Float64[np.ndarray, "head head"]:
    """How many sequences hold both of two items, for the first ``head`` of the catalogue."""
    shared = np.zeros((head, head))
    for sets in item_sets(dataset, refit):
        of_head = sets[:, N_SPECIALS : N_SPECIALS + head]
        holders = of_head.T.tocsr()
        for begin in range(0, head, COLUMNS_PER_BLOCK):
            block = slice(begin, begin + COLUMNS_PER_BLOCK)
            shared[block] += (holders[block] @ of_head).toarray()
    return shared


def solve(
    shared: Float64[np.ndarray, "head head"], regularisation: float
) -> Float32[np.ndarray, "head head"]:
    """The weights by EASE's closed form; ``shared`` is overwritten.

    The regularised matrix is symmetric and positive definite, so that its Cholesky factor
    gives the inverse in half the time, and in the matrix's own memory.
    """
    shared[np.diag_indices_from(shared)] += regularisation
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (shared,))
    # LAPACK reads columns first; to it the transposed view is the same symmetric matrix.
    factor, _ = factorise(shared.T, lower=1, overwrite_a=1)
    inverse, _ = invert(factor, lower=1, overwrite_c=1)
    weights = np.tril(inverse.astype(np.float32))
    diagonal = np.diag(weights).copy()
    weights += np.tril(weights, -1).T
    weights /= -diagonal
    np.fill_diagonal(weights, 0)
    return weights
