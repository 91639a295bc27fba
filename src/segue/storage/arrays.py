"""Named arrays of a safetensors file onto the device, without a second copy in memory.

The functions of the ``safetensors`` package read a whole array before it is copied to the device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from segue.storage.array_files import read_each, read_values
from segue.storage.reading import Problems

BLOCK_BYTES = 1 << 25
"""Bytes read at a time: 32 MiB."""


def read_arrays(
    path: Path, like: Mapping[str, Any], problems: Problems, *, finite: bool = False
) -> dict[str, Array]:
    """Read arrays onto the default device, large ones in blocks of rows.

    The header is compared with the size of the file and with ``like`` before anything is
    allocated.

    Args:
        path: the file.
        like: an object with ``shape`` and ``dtype`` for each array in the file, by name.
        problems: the error to raise.
        finite: whether numbers that are not finite are an error.

    Raises:
        problems.error: the file cannot be read, or is damaged.
        ArraysMismatchError: its arrays are not those of ``like``.
    """
    return read_each(path, like, problems, partial(_read_on_device, finite=finite))


def _read_on_device(stream: BinaryIO, start: int, like: Any, *, finite: bool) -> Array:
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)

    def rows(first: int, *shape: int) -> np.ndarray:
        return read_values(stream, start + first * dtype.itemsize, shape, dtype, finite=finite)

    width = math.prod(shape[1:])
    block_rows = max(1, BLOCK_BYTES // max(width * dtype.itemsize, 1))
    if not shape or shape[0] <= block_rows:
        # A copy, because JAX does not write in place into memory that numpy owns.
        return jnp.array(rows(0, *shape))
    array = jnp.zeros(shape, dtype)
    for block_start in range(0, shape[0], block_rows):
        # The last block is moved back to fit; it repeats some rows of the one before.
        first_row = min(block_start, shape[0] - block_rows)
        block = rows(first_row * width, block_rows, *shape[1:])
        array = _write_block(array, block, np.int32(first_row)).block_until_ready()
    return array


@partial(jax.jit, donate_argnums=0)
def _write_block(array: Array, block: Array, first_row: Int32[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(array, block, first_row, axis=0)
