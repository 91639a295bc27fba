"""Lists of numbers of the items: vectors of a text or of a sound, made elsewhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from segue.axes import N_SPECIALS


def is_vector(kind: pa.DataType) -> bool:
    """Whether the values of a column are lists of numbers with decimals."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def standardised(column: pa.Array, table_size: int) -> Float32[np.ndarray, "table numbers"]:
    """Vectors of the items with mean 0 and variance 1 in each place; zeros without one."""
    present = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    vectors = present_vectors(column)
    if not len(vectors):
        return np.zeros((table_size, 0), np.float32)
    # The mean in 64 bits: it is exact where all are equal, and nothing is left of them.
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = centred.std(axis=0)
    found = np.zeros((table_size, vectors.shape[1]), np.float32)
    found[N_SPECIALS + present] = centred / np.where(spread > 0, spread, 1)
    return found


def present_vectors(column: pa.Array) -> Float32[np.ndarray, "items numbers"]:
    """The vectors of the items that have one."""
    n_present = len(column) - column.null_count
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat.reshape(n_present, -1) if n_present else np.zeros((0, 0), np.float32)
