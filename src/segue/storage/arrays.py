"""Named arrays in a safetensors file, written and read without a second copy in memory.

The functions of the ``safetensors`` package make such a copy: of the entire file when they
serialise to bytes, of each array when they read it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from segue.storage.array_header import SAFETENSORS_DTYPES, ArrayHeader, read_header
from segue.storage.reading import Problems, one_line, open_regular

BLOCK_BYTES = 1 << 25
"""Bytes read at a time: 32 MiB."""


class ArraysMismatchError(ValueError):
    """The names, shapes or dtypes of the arrays in a file are not the expected ones."""


def write_arrays(
    path: Path, arrays: Mapping[str, Array | np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays without copying them; equal arrays give equal bytes.

    They are ordered by descending item size, which aligns each of them, then by name.

    Raises:
        OSError: the file cannot be written; an incomplete file may remain.
    """
    views = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    ordered = sorted(views, key=lambda name: (-views[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in ordered:
        view, start = views[name], end
        end += view.nbytes
        dtype, shape = SAFETENSORS_DTYPES[view.dtype.name], list(np.shape(arrays[name]))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as stream:
        stream.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in ordered:
            stream.write(views[name].reshape(-1).view(np.uint8).data)


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
    with open_regular(path, problems) as stream:
        header = read_header(stream, path, problems)
        _check_like(header, like)
        arrays = {}
        for name in like:
            start = header.data_start + header.entries[name].data_offsets[0]
            try:
                arrays[name] = _read(stream, start, like[name], finite=finite)
            except (OSError, ValueError) as error:
                raise problems.damaged(path, f"array {one_line(repr(name))}: {error}") from None
        return arrays


def _check_like(header: ArrayHeader, like: Mapping[str, Any]) -> None:
    if mismatched := sorted(header.entries.keys() ^ like.keys()):
        name = mismatched[0]
        problem = "missing from the file" if name in like else "in the file, but not expected"
        raise ArraysMismatchError(f"array {one_line(repr(name))} is {problem}")
    for name, entry in header.entries.items():
        expected = SAFETENSORS_DTYPES[np.dtype(like[name].dtype).name], list(like[name].shape)
        actual = entry.dtype, entry.shape
        if actual != expected:
            raise ArraysMismatchError(
                f"array {name!r} has the dtype and shape {actual}, expected {expected}"
            )


def _is_finite(values: np.ndarray) -> bool:
    if values.dtype == np.uint16:  # bit patterns of bfloat16: the exponent is not all ones
        return bool(((values & 0x7F80) != 0x7F80).all())
    return bool(np.isfinite(values).all())


def _read(stream: BinaryIO, start: int, like: Any, *, finite: bool) -> Array:
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)

    def read_values(first: int, *shape: int) -> np.ndarray:
        stream.seek(start + first * dtype.itemsize)
        content = np.fromfile(stream, np.uint8, math.prod(shape) * dtype.itemsize)
        values = content.view(dtype).reshape(shape)
        if finite and not _is_finite(values):
            raise ValueError("it has numbers that are not finite")
        return values

    width = math.prod(shape[1:])
    block_rows = max(1, BLOCK_BYTES // max(width * dtype.itemsize, 1))
    if not shape or shape[0] <= block_rows:
        # A copy, because JAX does not write in place into memory that numpy owns.
        return jnp.array(read_values(0, *shape))
    array = jnp.zeros(shape, dtype)
    for block_start in range(0, shape[0], block_rows):
        # The last block is moved back to fit; it repeats some rows of the one before.
        first_row = min(block_start, shape[0] - block_rows)
        block = read_values(first_row * width, block_rows, *shape[1:])
        array = _write_block(array, block, np.int32(first_row)).block_until_ready()
    return array


@partial(jax.jit, donate_argnums=0)
def _write_block(array: Array, block: Array, first_row: Int32[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(array, block, first_row, axis=0)
