"""What the behaviour of lists is held against: who holds the items, and what they are like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64
from scipy import sparse

from segue.axes import N_SPECIALS
from segue.baselines.events import fitting_events
from segue.dataset import Dataset
from segue.metrics import Background

ATTRIBUTES = ("genres", "artist")
"""What similarity is taken from, the first that the catalogue has."""
SEQUENCES = "sequences"
"""Without attributes: items are alike as far as the same training sequences hold them."""

MAX_HELD = 1 << 24
"""Pairs of sequence and item that similarity by ``sequences`` is taken from, some 200 MB; of
a longer log every second, third, ... sequence counts."""


def background(data: Dataset, max_held: int = MAX_HELD) -> Background:
    """Count over the training events, whatever the rankers were fitted on.

    Memory grows with the catalogue, and up to ``max_held`` pairs where it has no attributes.
    """
    holders = np.zeros(data.table_size, np.int64)
    n_sequences = 0
    for held in _held(data):
        holders += np.bincount(held.items, minlength=data.table_size)
        n_sequences += len(np.unique(held.rows))
    for name in ATTRIBUTES:
        features = _attribute(data, name)
        if features is not None:
            return Background(holders, max(n_sequences, 1), features, name)
    step = max(1, -(-int(holders.sum()) // max_held))
    return Background(holders, max(n_sequences, 1), _by_sequences(data, step), SEQUENCES)


class _Held(NamedTuple):
    """Which sequence holds which item, each pair once."""

    rows: Int64[np.ndarray, " pairs"]
    items: Int32[np.ndarray, " pairs"]


def _held(data: Dataset) -> Iterator[_Held]:
    """Pairs of the training events, by blocks of whole sequences."""
    for events in fitting_events(data):
        rows, items = events.rows[events.learnable], events.items[events.learnable]
        pairs = np.unique(rows * data.table_size + items)
        rows, items = np.divmod(pairs, data.table_size)
        yield _Held(rows, items.astype(np.int32))


def _attribute(data: Dataset, name: str) -> sparse.csr_array | None:
    """Features from a column of words or of lists of words; None where no item has any."""
    if name not in data.items.table.column_names:
        return None
    column = data.items.table.column(name).slice(0, data.n_catalogue).combine_chunks()
    rows = np.arange(len(column))
    if pa.types.is_list(column.type):
        rows = pc.call_function("list_parent_indices", [column]).to_numpy()
        column = pc.call_function("list_flatten", [column])
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    codes = column.dictionary_encode().indices.fill_null(0).to_numpy()
    if not valid.any():
        return None
    return _unit_rows(rows[valid] + N_SPECIALS, codes[valid], data.table_size)


def _by_sequences(data: Dataset, step: int) -> sparse.csr_array:
    """Features from every ``step``-th training sequence."""
    items, rows = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for held in _held(data):
        kept = held.rows % step == 0
        items.append(held.items[kept])
        rows.append(held.rows[kept] // step)
    return _unit_rows(np.concatenate(items), np.concatenate(rows), data.table_size)


def _unit_rows(
    items: Int64[np.ndarray, " pairs"] | Int32[np.ndarray, " pairs"],
    codes: Int64[np.ndarray, " pairs"] | Int32[np.ndarray, " pairs"],
    table_size: int,
) -> sparse.csr_array:
    """Sets as rows: equal entries where an item has the code, scaled to unit length."""
    shape = (table_size, int(codes.max(initial=0)) + 1)
    features = sparse.csr_array((np.ones(len(items)), (items, codes)), shape=shape)
    features.sum_duplicates()
    sizes = np.diff(features.indptr)
    features.data = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    return features
