"""Named arrays in a safetensors file: written without a copy, and read into host memory.

The functions of the ``safetensors`` package serialise to bytes, a copy of the entire file. JAX is
not needed here; ``segue.storage.arrays`` reads onto the device.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from segue.storage.array_header import SAFETENSORS_DTYPES, ArrayHeader, read_header
from segue.storage.reading import Problems, one_line, open_regular


class ArraysMismatchError(ValueError):
    """The names, shapes or dtypes of the arrays in a file are not the expected ones."""


class ArrayType(NamedTuple):
    """The expected shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: Any


def write_arrays(
    path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None
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


def read_host_arrays(
    path: Path, like: Mapping[str, Any], problems: Problems, *, finite: bool = False
) -> dict[str, np.ndarray]:
    """Read arrays into host memory, in any dtype: JAX has no 64-bit numbers by default.

    The arguments and errors are those of ``read_arrays``.
    """
    return read_each(path, like, problems, partial(_read_on_host, finite=finite))


def read_each(
    path: Path, like: Mapping[str, Any], problems: Problems, read: Callable[..., Any]
) -> dict[str, Any]:
    """Read each array by a function of the stream, the position of its data and its type.

    The other arguments and the errors are those of ``read_arrays``.
    """
    with open_regular(path, problems) as stream:
        header = read_header(stream, path, problems)
        _check_like(header, like)
        arrays = {}
        for name in like:
            start = header.data_start + header.entries[name].data_offsets[0]
            try:
                arrays[name] = read(stream, start, like[name])
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


def read_values(
    stream: BinaryIO, start: int, shape: tuple[int, ...], dtype: np.dtype, *, finite: bool
) -> np.ndarray:
    """Read consecutive numbers from a position of the stream.

    Raises:
        ValueError: there are too few, or some are not finite and ``finite`` is true.
    """
    stream.seek(start)
    content = np.fromfile(stream, np.uint8, math.prod(shape) * dtype.itemsize)
    values = content.view(dtype).reshape(shape)
    if finite and not _is_finite(values):
        raise ValueError("it has numbers that are not finite")
    return values


def _read_on_host(stream: BinaryIO, start: int, like: Any, *, finite: bool) -> np.ndarray:
    return read_values(stream, start, tuple(like.shape), np.dtype(like.dtype), finite=finite)
