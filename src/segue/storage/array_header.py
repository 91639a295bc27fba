"""The header of a safetensors file: the names, dtypes, shapes and positions of its arrays."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple

import msgspec

from segue.storage.reading import MAX_COUNT, Problems, decode_object, open_regular, typed

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

_ITEM_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "U8": 1}
_ITEM_BYTES["BOOL"] = 1
"""Bytes per number, by the format's name of the dtype."""

HEADER_BYTES = 100_000_000
"""Largest size of a header, as in the ``safetensors`` package."""


Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class ArrayEntry(msgspec.Struct):
    """An array in the header: its data are the bytes from the first to the second offset."""

    dtype: str
    shape: Annotated[list[Size], msgspec.Meta(max_length=8)]
    data_offsets: tuple[Size, Size]


class ArrayHeader(NamedTuple):
    """The arrays of a file, and the byte at which their data begin."""

    entries: dict[str, ArrayEntry]
    data_start: int


def check_arrays(path: Path, problems: Problems) -> dict[str, tuple[int, ...]]:
    """Check that the header of a file describes all of its bytes; no array is read.

    Returns:
        The shape of each array, by name.

    Raises:
        problems.error: the file cannot be read, or is damaged.
    """
    with open_regular(path, problems) as stream:
        header = read_header(stream, path, problems)
    return {name: tuple(entry.shape) for name, entry in header.entries.items()}


def read_header(stream: BinaryIO, path: Path, problems: Problems) -> ArrayHeader:
    """Read the header and check that its arrays fill the rest of the file without a gap.

    Raises:
        problems.error: they do not, or the header is damaged.
    """
    file_size = os.fstat(stream.fileno()).st_size
    size = int.from_bytes(stream.read(8), "little")
    if file_size < 8 or size > min(file_size - 8, HEADER_BYTES):
        reason = f"it has {file_size:,} bytes and says that its header has {size:,}"
        raise problems.damaged(path, reason)
    content = decode_object(stream.read(size), path, problems)
    content.pop("__metadata__", None)
    entries = typed(content, dict[str, ArrayEntry], path, problems)
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        item_bytes = _ITEM_BYTES.get(entry.dtype)
        n_bytes = math.prod(entry.shape) * (item_bytes or 0)
        if item_bytes is None or entry.data_offsets != (end, end + n_bytes):
            reason = (
                f"array {name!r} has the dtype {entry.dtype}, the shape {entry.shape} and the "
                f"bytes {entry.data_offsets}, where {end} is the end of the array before it"
            )
            raise problems.damaged(path, reason)
        end += n_bytes
    if 8 + size + end != file_size:
        reason = f"it has {file_size:,} bytes, but its header describes {8 + size + end:,}"
        raise problems.damaged(path, reason)
    return ArrayHeader(entries, 8 + size)
