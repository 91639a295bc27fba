"""Sequences and histories as sets of items, in sparse matrices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy import sparse

from segue.axes import N_SPECIALS
from segue.baselines.events import fitting_events
from segue.dataset import Dataset
from segue.ranking import Queries


def item_sets(
    dataset: Dataset, refit: bool = False, block_events: int | None = None
) -> Iterator[sparse.csr_matrix]:
    """What may be learnt of each sequence, as a set: blocks of (sequences, table) float32.

    A sequence of which nothing may be learnt has no row.
    """
    for events in fitting_events(dataset, refit, block_events):
        _, rows = np.unique(events.rows[events.learnable], return_inverse=True)
        n_rows = int(rows.max(initial=-1)) + 1
        yield _once(counts_at(rows, events.items[events.learnable], (n_rows, dataset.table_size)))


def history_sets(queries: Queries, table_size: int) -> sparse.csr_matrix:
    """The catalogue items of each history, as a set: (batch, table) float32."""
    offsets, items = queries.histories
    rows = np.repeat(np.arange(len(queries)), np.diff(offsets))
    known = (items >= N_SPECIALS) & (items < table_size)
    return _once(counts_at(rows[known], items[known], (len(queries), table_size)))


def counts_at(
    rows: Int[np.ndarray, " places"], columns: Int[np.ndarray, " places"], shape: tuple[int, int]
) -> sparse.csr_matrix:
    """How often each place is named, in float32."""
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def over_backoff(
    found: sparse.csr_matrix, backoff: Float[np.ndarray, " table"]
) -> Float[np.ndarray, "batch table"]:
    """Sparse scores (batch, table), each added to what its item scores at least."""
    lengths = np.diff(found.indptr)
    scores = np.tile(backoff, (len(lengths), 1))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    scores[rows, found.indices] += found.data
    return scores


def heaviest(values: Float32[np.ndarray, " n"], k: int) -> Bool[np.ndarray, " n"]:
    """Which are the ``k`` greatest (1 <= ``k`` <= n), ties by place."""
    bound = np.partition(values, -k)[-k]
    chosen = values > bound
    level = np.flatnonzero(values == bound)
    chosen[level[: k - np.count_nonzero(chosen)]] = True
    return chosen


def _once(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """An item that comes twice counts once; in place."""
    counts.data[:] = 1
    return counts
