"""Singular vectors of the training sequences: embeddings to begin with, scores to blend in.

A fresh table knows nothing, and a small log has too few events to place many rare items.
Singular vectors of the sequences place them all at once, in seconds.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float32
from scipy import sparse

from segue.baselines.sets import item_sets
from segue.bits import stored, widened
from segue.config import Config
from segue.dataset import Dataset
from segue.recommender import Blend
from segue.run_folder import RunFolder

POPULARITY_POWER = 0.2
"""What items are divided by is their count to this power: 0 leaves the popular ones all the
directions, 0.5 gives the rare ones as many, noise and all. Chosen by how well sums of vectors
continue playlists on a validation part: docs/experiments.md has the values tried."""
WARM_SCALE = 2.5
"""Root mean square of the vectors' entries, over events, in units of ``initial_scale``: what is
known outweighs the features and positions that begin at random."""
OVERSAMPLING = 16
POWER_ITERATIONS = 3
SMALLEST = 1e-6
"""Squared singular values below this share of the largest are noise of float32."""
SMALLEST_OF_BASIS = 1e-12
"""The same of a basis, whose squared values are of the fourth power of singular values."""
BLOCK_ROWS = 1 << 14
"""Sequences taken at a time where a copy is made."""


def singular_item_vectors(data: Dataset, width: int, seed: int) -> Float32[np.ndarray, "table dim"]:
    """The leading right singular vectors of the matrix of training sequences by items.

    Sequences count 1 over the root of their length. Found by a randomised range finder with
    a few power iterations. The mean square of an entry, over events, is 1; special tokens and
    items without a training event have zeros. Where there are fewer sequences or items than
    dimensions, the dimensions that remain are zeros too.

    Source: PureSVD of Cremonesi, Koren and Turrin, RecSys 2010; the algorithm of Halko,
    Martinsson and Tropp, Finding structure with randomness, SIAM Review 53(2), 2011.
    """
    weighted = _weighted(data)
    size = min(len(weighted.indptr) - 1, data.table_size)
    n_found, sample = min(width, size), min(width + OVERSAMPLING, size)
    random = np.random.default_rng(seed)
    across = sparse.csr_matrix(weighted.T)
    of_items = random.standard_normal((data.table_size, sample), np.float32)
    for _ in range(1 + POWER_ITERATIONS):
        of_sequences = weighted @ of_items
        _orthonormalise(of_sequences)
        of_items = across @ of_sequences
        del of_sequences
    small = of_items.T
    # Of the small matrix's own vectors only the left ones are needed: rows follow from them.
    values, left = np.linalg.eigh(small @ small.T)
    found = np.flatnonzero(values > values[-1] * SMALLEST)[::-1][:n_found]
    vectors = np.zeros((data.table_size, width), np.float32)
    vectors[:, : len(found)] = small.T @ left[:, found] / np.sqrt(values[found])
    counts = data.items.training_counts[: data.table_size].astype(np.float64)
    mean_square = np.average(np.square(vectors).mean(axis=1), weights=counts)
    return vectors / np.float32(max(np.sqrt(mean_square), np.finfo(np.float32).tiny))


def _orthonormalise(basis: Float32[np.ndarray, "rows vectors"]) -> None:
    """Make the columns orthonormal in place, a block of rows at a time.

    By the eigenvectors of their products: a QR decomposition would take four times the memory,
    of which a log of millions of sequences has none. Directions that are noise become zeros.
    """
    size = basis.shape[1]
    blocks = [slice(begin, begin + BLOCK_ROWS) for begin in range(0, len(basis), BLOCK_ROWS)]
    products = np.zeros((size, size))
    for block in blocks:
        rows = basis[block].astype(np.float64)
        products += rows.T @ rows
    values, vectors = np.linalg.eigh(products)
    is_noise = values <= values[-1] * SMALLEST_OF_BASIS
    turned = vectors * np.where(is_noise, 0, 1 / np.sqrt(np.where(is_noise, 1, values)))
    for block in blocks:
        basis[block] = basis[block] @ turned


def _weighted(data: Dataset) -> sparse.csr_matrix:
    """(sequences, table): who holds what, by the length of one and the count of the other."""
    sets = sparse.csr_matrix(sparse.vstack([*item_sets(data)], dtype=np.float32))
    lengths = np.diff(sets.indptr)
    counts = np.maximum(np.bincount(sets.indices, minlength=data.table_size), 1)
    by_length = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
    sets.data = (by_length / counts[sets.indices] ** POPULARITY_POWER).astype(np.float32)
    return sets


def begin_with_singular_vectors(params: nnx.State, config: Config, data: Dataset) -> None:
    """Put singular vectors in the place of fresh item embeddings, in place; what was never
    trained on, special tokens among it, stays as it is."""
    vectors = singular_item_vectors(data, config.model.width, config.training.seed)
    fresh = jnp.asarray(params["item_table"][...])
    known = np.abs(vectors).sum(axis=1, keepdims=True) > 0
    vectors *= np.float32(WARM_SCALE * config.model.initial_scale)
    begun = jnp.where(known, vectors, widened(fresh))
    params["item_table"] = nnx.Param(stored(begun, fresh.dtype))


def blend_of(config: Config, data: Dataset, folder: RunFolder) -> Blend | None:
    """What a run's answers are blended with, written to its folder at the first start.

    Vectors have the length 1, as a root mean square over the training events.

    Raises:
        StorageError: they cannot be written.
        RunError: those of an earlier start were damaged since.
    """
    count, weight = config.blend.vectors, config.blend.weight
    if not count:
        return None
    if folder.item_vectors.exists():
        return Blend.load(folder.item_vectors, (data.table_size, count), weight)
    vectors = singular_item_vectors(data, count, config.training.seed) / np.float32(count**0.5)
    blend = Blend(vectors, weight)
    blend.write(folder.item_vectors)
    return blend
