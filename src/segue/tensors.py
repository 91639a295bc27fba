"""Named arrays in a safetensors file, written and read without a second copy in memory.

The library's own functions make one: of the whole file where they return bytes, of an array
where they read it.
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

DTYPES = {
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
"""The format's names of types. Whole numbers of 16 bits are halves: see ``bits``."""

BLOCK_BYTES = 1 << 25
"""Read at a time: 32 MiB."""


class OtherArraysError(ValueError):
    """A file holds other arrays than those that were asked for."""


def write_tensors(
    path: Path, arrays: Mapping[str, Array | np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays from where they lie; the same ones give the same bytes.

    They come by falling size of their entries, so that each is aligned, then by name.

    Raises:
        OSError: it cannot be written; half of it may be there.
    """
    views = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    ordered = sorted(views, key=lambda name: (-views[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in ordered:
        view, begin = views[name], end
        end += view.nbytes
        kind, shape = DTYPES[view.dtype.name], list(np.shape(arrays[name]))
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as stream:
        stream.write(len(head).to_bytes(8, "little") + head)
        for name in ordered:
            stream.write(views[name].reshape(-1).view(np.uint8).data)


def read_tensors(path: Path, like: Mapping[str, Any]) -> dict[str, Array]:
    """Read arrays onto the default device, a large one some rows at a time.

    Args:
        like: something with ``shape`` and ``dtype`` for every array in the file.

    Raises:
        OSError: the file cannot be opened.
        ValueError: it is damaged.
        OtherArraysError: its arrays are others than those of ``like``.
    """
    begins = _begins(path, like)
    with path.open("rb") as stream:
        return {name: _read(stream, begins[name], like[name]) for name in like}


def _begins(path: Path, like: Mapping[str, Any]) -> dict[str, int]:
    """Where each array begins in a file, whose header is checked."""
    try:
        with safe_open(path, "numpy"):
            pass  # the library knows whether the file is what its header says
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    if wrong := sorted(header.keys() ^ like.keys()):
        raise OtherArraysError(f"{wrong[0]!r} is missing or has no place")
    for name, found in header.items():
        expected = DTYPES[np.dtype(like[name].dtype).name], list(like[name].shape)
        if (found["dtype"], found["shape"]) != expected:
            got = (found["dtype"], found["shape"])
            raise OtherArraysError(f"{name!r} has another shape: {got}, expected {expected}")
    return {name: 8 + size + found["data_offsets"][0] for name, found in header.items()}


def _read(stream: BinaryIO, begin: int, like: Any) -> Array:
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)

    def values(first: int, *shape: int) -> np.ndarray:
        stream.seek(begin + first * dtype.itemsize)
        content = np.fromfile(stream, np.uint8, math.prod(shape) * dtype.itemsize)
        return content.view(dtype).reshape(shape)

    width = math.prod(shape[1:])
    rows = max(1, BLOCK_BYTES // max(width * dtype.itemsize, 1))
    if not shape or shape[0] <= rows:
        # A copy, since JAX would not write in place into what numpy owns.
        return jnp.array(values(0, *shape))
    whole = jnp.zeros(shape, dtype)
    for first in range(0, shape[0], rows):
        # The last block begins where it fits, over rows of the one before.
        start = min(first, shape[0] - rows)
        block = values(start * width, rows, *shape[1:])
        whole = _put(whole, block, np.int32(start)).block_until_ready()
    return whole


@partial(jax.jit, donate_argnums=0)
def _put(whole: Array, block: Array, start: Int32[Array, ""]) -> Array:
    return jax.lax.dynamic_update_slice_in_dim(whole, block, start, axis=0)
