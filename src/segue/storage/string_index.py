"""Distinct strings mapped to consecutive integers, in less memory than a dictionary takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64, UInt64

STRING_INDEX_DTYPE = np.int32
_WORD_BYTES = 8


class StringIndex:
    """Maps strings to 0, 1, 2, ... in the order of their first occurrence.

    Equivalent to a dictionary from string to integer, but stored in arrays: about 60 bytes
    instead of 160 for an id of 36 characters. A string is looked up by its hash and then
    compared with the stored string, so two strings with the same hash get different indices.
    """

    def __init__(self) -> None:
        self._data = bytearray()  # grows in place; an Arrow array would be copied
        self._ends = bytearray(np.int64(0).tobytes())
        self._runs: list[_Run] = []
        self._colliding: dict[str | None, int] = {}

    def __len__(self) -> int:
        return len(self._ends) // np.int64().nbytes - 1

    @property
    def nbytes(self) -> int:
        """Bytes that the strings and their hashes take."""
        hashes = sum(run.hashes.nbytes + run.indices.nbytes for run in self._runs)
        return len(self._data) + len(self._ends) + hashes

    def encode(self, strings: pa.Array) -> Int32[np.ndarray, " strings"]:
        """The index of each string; new strings are added, in their order."""
        hashes, first_positions, inverse = np.unique(
            _hashes(strings), return_index=True, return_inverse=True
        )
        indices_by_hash = self._find(hashes)
        new_positions = np.flatnonzero(indices_by_hash < 0)
        if len(new_positions):
            new_in_order = new_positions[np.argsort(first_positions[new_positions])]
            new_strings = strings.take(pa.array(first_positions[new_in_order]))
            indices_by_hash[new_in_order] = self._append(new_strings)
            self._add_run(_Run(hashes[new_positions], indices_by_hash[new_positions]))
        indices = indices_by_hash[inverse]
        for position in np.flatnonzero(self._differ(strings, indices)).tolist():
            indices[position] = self._index_of_colliding(strings[position].as_py())
        return indices

    def decode(self, indices: Int32[np.ndarray, " n"] | Int64[np.ndarray, " n"]) -> pa.StringArray:
        """The strings with the given indices."""
        return self._strings().take(pa.array(indices)).cast(pa.string())

    def sorted_indices(self) -> Int64[np.ndarray, " indices"]:
        """All indices, in the lexicographic order of their strings."""
        return pc.call_function("sort_indices", [self._strings()]).to_numpy().astype(np.int64)

    def _strings(self) -> pa.LargeStringArray:
        """All strings in index order, as a view: no string can be added while it exists."""
        ends, data = pa.py_buffer(self._ends), pa.py_buffer(self._data)
        return pa.LargeStringArray.from_buffers(len(self), ends, data)

    def _find(self, hashes: Int64[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
        """The index of the string with each hash, -1 where there is none."""
        indices = np.full(len(hashes), -1, STRING_INDEX_DTYPE)
        for run in self._runs:
            positions = np.minimum(np.searchsorted(run.hashes, hashes), len(run.hashes) - 1)
            in_run = run.hashes[positions] == hashes
            indices[in_run] = run.indices[positions[in_run]]
        return indices

    def _append(self, strings: pa.Array) -> Int32[np.ndarray, " strings"]:
        first = len(self)
        _, ends, data = strings.cast(pa.large_string()).buffers()
        new_ends = np.frombuffer(ends, np.int64)[1 : len(strings) + 1]
        self._ends += (new_ends + len(self._data)).tobytes()
        if data is not None:
            self._data += memoryview(data)[: new_ends[-1]]
        return np.arange(first, len(self), dtype=STRING_INDEX_DTYPE)

    def _add_run(self, run: _Run) -> None:
        """Add a run, merging so that each is at least twice as long as the next.

        The number of runs that a lookup searches is then logarithmic in the number of strings.
        """
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2].hashes) < 2 * len(self._runs[-1].hashes):
            hashes, indices = (
                np.concatenate(parts) for parts in zip(*self._runs[-2:], strict=True)
            )
            order = np.argsort(hashes, kind="stable")  # merges the two sorted halves
            self._runs[-2:] = [_Run(hashes[order], indices[order])]

    def _differ(self, strings: pa.Array, indices: Int32[np.ndarray, " n"]) -> np.ndarray:
        """Whether each string differs from the stored string with its index."""
        same = pc.call_function("equal", [strings.cast(pa.string()), self.decode(indices)])
        return ~same.fill_null(False).to_numpy(zero_copy_only=False)

    def _index_of_colliding(self, string: str | None) -> int:
        """The index of a string whose hash belongs to an earlier string."""
        if string not in self._colliding:
            [self._colliding[string]] = self._append(pa.array([string], pa.string())).tolist()
        return self._colliding[string]


class _Run(NamedTuple):
    """Hashes in ascending order, with the index of the string behind each."""

    hashes: Int64[np.ndarray, " n"]
    indices: Int32[np.ndarray, " n"]


def _hashes(strings: pa.Array) -> Int64[np.ndarray, " strings"]:
    """A hash of each string: its length, mixed with its bytes in words of eight."""
    strings = strings.cast(pa.large_string())
    _, ends, data = strings.buffers()
    offsets = np.frombuffer(ends, np.int64)[strings.offset :][: len(strings) + 1]
    starts, lengths = offsets[:-1], np.diff(offsets)
    n_bytes = int(offsets[-1]) if len(strings) else 0
    text = np.zeros(n_bytes + _WORD_BYTES, np.uint8)
    if data is not None:
        text[:n_bytes] = np.frombuffer(data, np.uint8, n_bytes)
    word_at = np.ndarray(n_bytes + 1, "<u8", text, strides=(1,))  # the word from each byte on
    hashes = lengths.astype(np.uint64)
    for position in range(0, int(lengths.max(initial=0)), _WORD_BYTES):
        rows = np.flatnonzero(lengths > position)
        n_beyond = np.maximum(position + _WORD_BYTES - lengths[rows], 0)
        words = word_at[starts[rows] + position] << (8 * n_beyond).astype(np.uint64)
        hashes[rows] = _mixed(hashes[rows] ^ words)
    return hashes.view(np.int64)


def _mixed(numbers: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """The last steps of splitmix64, which map no two numbers to the same one."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
