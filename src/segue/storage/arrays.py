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
from safetensors import SafetensorError, safe_open

SAFETENSORS_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "uint32": "U32",
    "uint8": "U8",
    "bool": "BOOL",
}
"""The format's name of each dtype. Arrays of uint16 are bfloat16 bit patterns: see
``segue.bfloat16``."""

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


def read_arrays(path: Path, like: Mapping[str, Any]) -> dict[str, Array]:
    """Read arrays onto the default device, large ones in blocks of rows.

    Args:
        like: an object with ``shape`` and ``dtype`` for each array in the file, by name.

    Raises:
        OSError: the file cannot be opened.
        ValueError: the file is damaged.
        ArraysMismatchError: its arrays are not those of ``like``.
    """
    starts = _checked_starts(path, like)
    with path.open("rb") as stream:
        return {name: _read(stream, starts[name], like[name]) for name in like}


def _checked_starts(path: Path, like: Mapping[str, Any]) -> dict[str, int]:
    """The byte at which each array starts in the file, after checks of the header."""
    try:
        with safe_open(path, "numpy"):
            pass  # the package checks that the file's size agrees with its header
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    if mismatched := sorted(header.keys() ^ like.keys()):
        name = mismatched[0]
        problem = "missing from the file" if name in like else "in the file, but not expected"
        raise ArraysMismatchError(f"array {name!r} is {problem}")
    for name, entry in header.items():
        expected = SAFETENSORS_DTYPES[np.dtype(like[name].dtype).name], list(like[name].shape)
        actual = entry["dtype"], entry["shape"]
        if actual != expected:
            raise ArraysMismatchError(
                f"array {name!r} has the dtype and shape {actual}, expected {expected}"
            )
    return {name: 8 + size + entry["data_offsets"][0] for name, entry in header.items()}


def _read(stream: BinaryIO, start: int, like: Any) -> Array:
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)

    def read_values(first: int, *shape: int) -> np.ndarray:
        stream.seek(start + first * dtype.itemsize)
        content = np.fromfile(stream, np.uint8, math.prod(shape) * dtype.itemsize)
        return content.view(dtype).reshape(shape)

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
