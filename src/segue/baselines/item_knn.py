"""Item-kNN baseline: nearest neighbours of items by cosine similarity."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int, Int32
from scipy import sparse

from segue.baselines.interaction_matrix import (
    interaction_matrices,
    largest_k_mask,
    tie_positions,
)
from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.baselines.parameters import Count, HistoryParameters, NotNegative, Share
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events
from segue.ragged import offsets_of, row_blocks

MAX_PAIRS = 50_000_000
"""Largest number of stored neighbours of all items together, 400 MB."""
PAIRS_PER_BLOCK = 1 << 23
"""Item pairs whose similarity is computed per block, about 200 MB."""


class ItemKnnParameters(HistoryParameters):
    """The parameters of ``ItemKNN``."""

    neighbours: Count = 300
    """Neighbours stored per item; fewer if ``MAX_PAIRS`` limits them."""
    shrinkage: NotNegative = 20.0
    """Added to the product of the norms, which lowers similarities of few shared sequences."""
    source_power: Share = 0.5
    """Power of the number of sequences of the item in the history, in the product of the norms;
    the other item has 1 minus this. One half is the cosine."""
    history: HistoryWeights = HistoryWeights(distinct=True)


class ItemKNN(ItemItemRanker):
    """Scores an item by the summed similarity of its neighbours in the history, then by popularity.

    Items are compared by the sequences that contain them; repeats within a sequence or history
    count once. The similarity of two items is the shrunk cosine: the number of shared sequences
    divided by (the product of the square roots of their sequence counts + the shrinkage). The
    neighbours of an item are the other items most similar to it.

    Source: Sarwar, Karypis, Konstan and Riedl, Item-based collaborative filtering
    recommendation algorithms, WWW 2001; the shrinkage as in Ferrari Dacrema, Cremonesi and
    Jannach, Are we really making much progress?, RecSys 2019.
    """

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: ItemKnnParameters | None = None,
    ) -> ItemKNN:
        """Compute the neighbours of all items.

        Memory: 16 bytes per event, 8 bytes per neighbour, and one block of pairs.
        """
        parameters = parameters or ItemKnnParameters()
        n_neighbours = max(1, min(parameters.neighbours, MAX_PAIRS // dataset.vocabulary_size))
        interactions = sparse.csr_matrix(
            sparse.vstack(list(interaction_matrices(dataset, fit_on_validation)), format="csr")
        )
        counts = count_training_events(dataset, fit_on_validation)
        nearest = nearest_neighbours(
            interactions,
            n_neighbours,
            parameters.shrinkage,
            positions=tie_positions(dataset),
            source_power=parameters.source_power,
        )
        return cls(
            "item-knn",
            nearest.T.tocsr(),
            counts,
            parameters.history,
            fit_on_validation=fit_on_validation,
        )


def nearest_neighbours(
    interactions: sparse.csr_matrix,
    n_neighbours: int,
    shrinkage: float,
    pairs_per_block: int = PAIRS_PER_BLOCK,
    positions: Int32[np.ndarray, " vocabulary"] | None = None,
    source_power: float = 0.5,
) -> sparse.csr_matrix:
    """Shrunk cosine similarities of each item to its nearest neighbours.

    Args:
        interactions: binary matrix (sequences, vocabulary).
        n_neighbours: maximum number of neighbours per item.
        shrinkage: added to the product of the norms.
        pairs_per_block: item pairs computed per block.
        positions: ties go to the item with the lower position; by default to the lower index.
        source_power: power of the number of sequences of the neighbour, in the product of the
            norms; that of the item has 1 minus this.

    Returns:
        (vocabulary, vocabulary) float32; row i has the similarities of item i to its neighbours.
    """
    transposed = interactions.T.tocsr()
    n_sequences = np.diff(transposed.indptr)
    norms = _power(n_sequences, 1 - source_power)
    neighbour_norms = _power(n_sequences, source_power)
    # The lengths of an item's sequences add up to an upper bound on its number of neighbours.
    max_pairs = np.minimum(transposed @ np.diff(interactions.indptr), len(norms)).astype(np.int64)
    nearest = []
    for first, end in row_blocks(offsets_of(max_pairs), pairs_per_block):
        similarities = (transposed[first:end] @ interactions).tocsr()
        similarities.sort_indices()
        rows = np.repeat(np.arange(first, end), np.diff(similarities.indptr))
        similarities.data /= norms[rows] * neighbour_norms[similarities.indices] + np.float32(
            shrinkage
        )
        similarities.data[rows == similarities.indices] = 0  # an item is not its own neighbour
        nearest.append(_keep_largest_per_row(similarities, n_neighbours, positions))
    return sparse.csr_matrix(sparse.vstack(nearest, format="csr"))


def _power(counts: Int[np.ndarray, " n"], power: float) -> Float32[np.ndarray, " n"]:
    """Counts to a power, in float32; the square root is correctly rounded."""
    values = np.sqrt(counts) if power == 0.5 else counts.astype(np.float64) ** power
    return values.astype(np.float32)


def _keep_largest_per_row(
    similarities: sparse.csr_matrix, k: int, positions: Int32[np.ndarray, " vocabulary"] | None
) -> sparse.csr_matrix:
    """Keep the ``k`` largest entries above 0 of each row, in place."""
    for start, end in zip(similarities.indptr[:-1], similarities.indptr[1:], strict=True):
        if end - start > k:
            row = similarities.data[start:end]
            columns = similarities.indices[start:end]
            tie_keys = None if positions is None else positions[columns]
            row[~largest_k_mask(row, k, tie_keys)] = 0
    similarities.eliminate_zeros()
    return similarities
