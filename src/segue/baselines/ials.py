"""iALS baseline: matrix factorisation of the training log by alternating least squares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64
from scipy import sparse

from segue.baselines.factor_ranker import FactorRanker
from segue.baselines.interaction_matrix import interaction_matrices
from segue.baselines.item_item import HistoryWeights
from segue.baselines.parameters import Count, HistoryParameters, Positive, Seed
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events
from segue.ranking import Query

ROWS_PER_BLOCK = 256
"""Rows solved at a time: 8 MB of their matrices with 64 factors."""
INITIAL_SCALE = 0.1
"""Standard deviation of the initial entries, times the square root of the number of factors."""


class IalsParameters(HistoryParameters):
    """The parameters of ``Ials``."""

    factors: Count = 64
    """Number of factors."""
    regularisation: Positive = 0.003
    """L2 regularisation, times the weight of all entries of the row or column."""
    unobserved_weight: Positive = 0.1
    """Weight of an entry that is not observed; an observed one weighs 1 more."""
    iterations: Count = 8
    """Passes over sequences and items."""
    seed: Seed = 0
    """Of the initial vectors."""
    history: HistoryWeights = HistoryWeights(distinct=True)


@dataclass(frozen=True)
class LeastSquares:
    """The ridge regressions of rows on fixed vectors, one per row.

    The loss of a row is the weighted squared error of 1 for its observed entries, plus the
    squared score of every entry times ``unobserved_weight``, plus the squared length of the
    solution times ``regularisation`` times the weight of all entries.

    Attributes:
        vectors: the fixed vectors, one per column.
        regularisation: see ``IalsParameters``.
        unobserved_weight: see ``IalsParameters``.
        gram: the Gram matrix of the vectors.
    """

    vectors: Float32[np.ndarray, "columns factors"]
    regularisation: float
    unobserved_weight: float
    gram: Float64[np.ndarray, "factors factors"]

    @classmethod
    def of(
        cls, vectors: Float32[np.ndarray, "columns factors"], parameters: IalsParameters
    ) -> LeastSquares:
        """The regressions on some vectors."""
        gram = (vectors.T @ vectors).astype(np.float64)
        return cls(vectors, parameters.regularisation, parameters.unobserved_weight, gram)

    def solve(self, observed: sparse.csr_matrix) -> Float32[np.ndarray, "rows factors"]:
        """The solution of each row; zeros for a row without an observed entry.

        Args:
            observed: (rows, columns): the weight of each observed entry.
        """
        offsets = np.asarray(observed.indptr)
        solutions = np.zeros((len(offsets) - 1, self.vectors.shape[1]), np.float32)
        for start in range(0, len(solutions), ROWS_PER_BLOCK):
            rows = np.arange(start, min(start + ROWS_PER_BLOCK, len(solutions)))
            rows = rows[offsets[rows + 1] > offsets[rows]]
            if len(rows):
                solutions[rows] = self._solve_block(observed[rows])
        return solutions

    def _solve_block(self, observed: sparse.csr_matrix) -> Float64[np.ndarray, "rows factors"]:
        factors = self.vectors.shape[1]
        offsets = np.asarray(observed.indptr)
        weights = observed.data.astype(np.float32)
        matrices = np.empty((len(offsets) - 1, factors, factors))
        for row, (first, end) in enumerate(pairwise(offsets.tolist())):
            vectors = self.vectors[observed.indices[first:end]]
            matrices[row] = (vectors * weights[first:end, None]).T @ vectors
        matrices += self.unobserved_weight * self.gram
        totals = observed @ np.ones(len(self.vectors))
        penalties = totals + self.unobserved_weight * len(self.vectors)
        diagonal = np.arange(factors)
        matrices[:, diagonal, diagonal] += (self.regularisation * penalties)[:, None]
        right_sides = np.asarray(observed @ self.vectors)
        return np.linalg.solve(matrices, right_sides[:, :, None])[:, :, 0]


class Ials(FactorRanker):
    """Scores an item by its vector and the least-squares state of the history.

    Sequences and items have vectors whose inner products approximate the matrix of sequences by
    items. No vector of a sequence is kept: the state of a request is the solution for its
    history, as in the fit, each event with its weight.

    Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM
    2008; regularisation and initial scale of Rendle, Krichene, Zhang and Koren, Revisiting the
    performance of iALS on item recommendation benchmarks, RecSys 2022.
    """

    _least_squares: LeastSquares

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: IalsParameters | None = None,
    ) -> Ials:
        """Alternate between the vectors of the sequences and those of the items.

        Memory: both, in float32, and the matrix of sequences by items twice.
        """
        parameters = parameters or IalsParameters()
        blocks = list(interaction_matrices(dataset, fit_on_validation))
        by_sequence = sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
        by_item = sparse.csr_matrix(by_sequence.T)
        random = np.random.default_rng(parameters.seed)
        shape = (dataset.vocabulary_size, parameters.factors)
        vectors = random.standard_normal(shape, np.float32)
        vectors *= np.float32(INITIAL_SCALE / np.sqrt(parameters.factors))
        vectors[np.diff(by_item.indptr) == 0] = 0
        for _ in range(parameters.iterations):
            sequence_vectors = LeastSquares.of(vectors, parameters).solve(by_sequence)
            vectors = LeastSquares.of(sequence_vectors, parameters).solve(by_item)
        ranker = cls(
            "ials",
            vectors,
            count_training_events(dataset, fit_on_validation),
            parameters.history,
            fit_on_validation=fit_on_validation,
        )
        ranker._least_squares = LeastSquares.of(vectors, parameters)
        return ranker

    def states(self, query: Query) -> Float32[np.ndarray, "batch factors"]:
        return self._least_squares.solve(self.history_weights.matrix(query, self.vocabulary_size))
