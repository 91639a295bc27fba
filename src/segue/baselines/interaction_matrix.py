"""Sparse interaction matrices: one row per sequence or history, one column per item."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from scipy import sparse

from segue.dataset import Dataset
from segue.dataset.training_events import readable_event_blocks
from segue.ragged import offsets_of, row_blocks
from segue.ranking import Query
from segue.tokens import N_SPECIALS

TERMS_PER_BLOCK = 1 << 22
"""Terms that ``product`` adds up per block, about 50 MB."""


def interaction_matrices(
    dataset: Dataset, fit_on_validation: bool = False, block_events: int | None = None
) -> Iterator[sparse.csr_matrix]:
    """Binary sequence-item matrices of the training events, one per block of sequences.

    Args:
        dataset: the prepared dataset.
        fit_on_validation: whether to include validation events.
        block_events: events per block, as in ``row_blocks``.

    Yields:
        (sequences, vocabulary) float32 matrices with a 1 for each item of a sequence. Sequences
        without training events have no row.
    """
    for events in readable_event_blocks(dataset, fit_on_validation, block_events):
        _, rows = np.unique(events.rows[events.is_training], return_inverse=True)
        n_rows = int(rows.max(initial=-1)) + 1
        yield _binarise(
            count_matrix(rows, events.items[events.is_training], (n_rows, dataset.vocabulary_size))
        )


def history_matrix(query: Query, vocabulary_size: int) -> sparse.csr_matrix:
    """Binary matrix (batch, vocabulary) in float32 of the catalogue items in each history."""
    offsets, items = query.histories
    rows = np.repeat(np.arange(len(query)), np.diff(offsets))
    in_catalogue = (items >= N_SPECIALS) & (items < vocabulary_size)
    return _binarise(
        count_matrix(rows[in_catalogue], items[in_catalogue], (len(query), vocabulary_size))
    )


def count_matrix(
    rows: Int[np.ndarray, " pairs"], columns: Int[np.ndarray, " pairs"], shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Sparse matrix in float32 that counts how often each (row, column) pair occurs."""
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def product(left: sparse.csr_matrix, right: sparse.csr_matrix) -> sparse.csr_matrix:
    """The product of two sparse matrices in float64, where the right one is float32.

    Only the rows of the right one that occur are converted, in blocks.

    Args:
        left: (batch, vocabulary) float64.
        right: (vocabulary, vocabulary) float32.
    """
    n_terms = np.diff(right.indptr).astype(np.int64)[np.asarray(left.indices)]
    offsets = offsets_of(n_terms)[np.asarray(left.indptr)]
    blocks = [
        _product_of_block(left[first:end], right)
        for first, end in row_blocks(offsets, TERMS_PER_BLOCK)
    ]
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))


def _product_of_block(left: sparse.csr_matrix, right: sparse.csr_matrix) -> sparse.csr_matrix:
    rows, columns = np.unique(left.indices, return_inverse=True)
    shape = (len(np.asarray(left.indptr)) - 1, len(rows))
    compact = sparse.csr_matrix((left.data, columns, left.indptr), shape)
    selected: sparse.csr_matrix = right[rows]
    return compact @ selected.astype(np.float64)


def largest_k_mask(
    values: Float32[np.ndarray, " n"], k: int, tie_keys: Int[np.ndarray, " n"] | None = None
) -> Bool[np.ndarray, " n"]:
    """Mask of the ``k`` largest values (1 <= ``k`` <= n).

    Args:
        tie_keys: ties go to the lower key; by default to the value that comes first.
    """
    bound = np.partition(values, -k)[-k]
    mask = values > bound
    tied = np.flatnonzero(values == bound)
    if tie_keys is not None:
        tied = tied[np.argsort(tie_keys[tied])]
    mask[tied[: k - np.count_nonzero(mask)]] = True
    return mask


def tie_positions(dataset: Dataset) -> Int32[np.ndarray, " vocabulary"] | None:
    """The position of each item in order of popularity; None if it is that of the indices."""
    popularity_order = dataset.popularity_order
    return None if popularity_order.tie_order is None else popularity_order.positions


def _binarise(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Set all stored entries to 1, in place."""
    counts.data[:] = 1
    return counts
