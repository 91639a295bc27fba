"""Sparse interaction matrices: one row per sequence or history, one column per item."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32
from scipy import sparse

from segue.dataset import Dataset
from segue.dataset.training_events import readable_event_blocks
from segue.ranking import Query
from segue.tokens import N_SPECIALS


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


def add_to_backoff(
    sparse_scores: sparse.csr_matrix, backoff: Float[np.ndarray, " vocabulary"]
) -> Float[np.ndarray, "batch vocabulary"]:
    """Dense sum of sparse scores (batch, vocabulary) and the backoff score of each item."""
    lengths = np.diff(sparse_scores.indptr)
    scores = np.tile(backoff, (len(lengths), 1))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    scores[rows, sparse_scores.indices] += sparse_scores.data
    return scores


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
