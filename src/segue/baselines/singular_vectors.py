"""Singular vectors of the training sequences, by a randomised range finder."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from segue.baselines.interaction_matrix import interaction_matrices
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events

POPULARITY_EXPONENT = 0.2
"""Each item's column is divided by the item's count to this power. With 0 the popular items
dominate the leading vectors; with 0.5 the rare items weigh as much, with their noise. Chosen by how
well sums of vectors continue the playlists of a validation part: see docs/experiments.md."""
OVERSAMPLING = 16
"""Random vectors of the range finder beyond the number of singular vectors wanted."""
POWER_ITERATIONS = 3
MIN_SQUARED_VALUE = 1e-6
"""Squared singular values below this share of the largest are rounding noise of float32."""
MIN_BASIS_VALUE = 1e-12
"""The same for the Gram matrix of a basis, whose eigenvalues are fourth powers of singular
values."""
BLOCK_ROWS = 1 << 14
"""Rows per block where a float64 copy is made."""


def singular_item_vectors(
    data: Dataset,
    width: int,
    seed: int,
    *,
    popularity_exponent: float = POPULARITY_EXPONENT,
    fit_on_validation: bool = False,
) -> Float32[np.ndarray, "vocabulary dim"]:
    """The leading right singular vectors of the matrix of training sequences by items.

    Each row of the matrix is divided by the square root of the sequence's length, each column by
    the item's count to the power ``popularity_exponent``. The vectors are computed by a
    randomised range finder with power iterations.

    Args:
        data: the dataset.
        width: number of singular vectors.
        seed: of the random start.
        popularity_exponent: higher for more weight of rare items.
        fit_on_validation: whether to use validation events too.

    Returns:
        One row per special token and item. The mean square of the entries, weighted by the
        items' training events, is 1. Special tokens and items without training events have
        zeros. If there are fewer sequences or items than ``width``, the remaining columns are
        zero.

    Source: PureSVD of Cremonesi, Koren and Turrin, RecSys 2010; the algorithm of Halko,
    Martinsson and Tropp, Finding structure with randomness, SIAM Review 53(2), 2011.
    """
    matrix = _weighted_matrix(data, popularity_exponent, fit_on_validation)
    size = min(len(matrix.indptr) - 1, data.vocabulary_size)
    n_vectors, n_random = min(width, size), min(width + OVERSAMPLING, size)
    random = np.random.default_rng(seed)
    transposed = sparse.csr_matrix(matrix.T)
    item_vectors = random.standard_normal((data.vocabulary_size, n_random), np.float32)
    for _ in range(1 + POWER_ITERATIONS):
        sequence_vectors = matrix @ item_vectors
        _orthonormalise(sequence_vectors)
        item_vectors = transposed @ sequence_vectors
        del sequence_vectors
    small = item_vectors.T
    # The right singular vectors of the small matrix follow from its left ones.
    values, left = np.linalg.eigh(small @ small.T)
    order = np.flatnonzero(values > values[-1] * MIN_SQUARED_VALUE)[::-1][:n_vectors]
    vectors = np.zeros((data.vocabulary_size, width), np.float32)
    vectors[:, : len(order)] = small.T @ left[:, order] / np.sqrt(values[order])
    counts = count_training_events(data, fit_on_validation).astype(np.float64)
    mean_square = np.average(np.square(vectors).mean(axis=1), weights=counts)
    return vectors / np.float32(max(np.sqrt(mean_square), np.finfo(np.float32).tiny))


def _orthonormalise(basis: Float32[np.ndarray, "rows vectors"]) -> None:
    """Make the columns orthonormal in place, block of rows by block of rows.

    Uses the eigenvectors of the Gram matrix. A QR decomposition would need four times the memory,
    too much for a log of millions of sequences. Directions that are only noise become zero.
    """
    size = basis.shape[1]
    blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(basis), BLOCK_ROWS)]
    gram = np.zeros((size, size))
    for block in blocks:
        rows = basis[block].astype(np.float64)
        gram += rows.T @ rows
    values, vectors = np.linalg.eigh(gram)
    is_noise = values <= values[-1] * MIN_BASIS_VALUE
    rotation = vectors * np.where(is_noise, 0, 1 / np.sqrt(np.where(is_noise, 1, values)))
    for block in blocks:
        basis[block] = basis[block] @ rotation


def _weighted_matrix(
    data: Dataset, popularity_exponent: float, fit_on_validation: bool
) -> sparse.csr_matrix:
    """Matrix (sequences, vocabulary), weighted by sequence length and item count."""
    blocks = [*interaction_matrices(data, fit_on_validation)]
    matrix = sparse.csr_matrix(sparse.vstack(blocks, dtype=np.float32))
    lengths = np.diff(matrix.indptr)
    counts = np.maximum(np.bincount(matrix.indices, minlength=data.vocabulary_size), 1)
    by_length = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
    matrix.data = (by_length / counts[matrix.indices] ** popularity_exponent).astype(np.float32)
    return matrix
