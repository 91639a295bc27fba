"""Distinct texts, numbered as they turn up, in little memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

NUMBERS = np.int32


class Numbering:
    """Gives every text a number: 0, 1, 2, ... as texts turn up.

    A dictionary from text to number, in arrays: some 60 bytes for an id of 36 characters
    instead of 160. Texts are found by their hashes, and compared with the one that has the
    number, so that two of one hash stay two.
    """

    def __init__(self) -> None:
        self._data = bytearray()  # grows in place; an Arrow array would be copied
        self._ends = bytearray(np.int64(0).tobytes())
        self._runs: list[_Run] = []
        self._sharing: dict[str | None, int] = {}

    def __len__(self) -> int:
        return len(self._ends) // np.int64().nbytes - 1

    def numbers(self, texts: pa.Array) -> Int32[np.ndarray, " texts"]:
        """The number of each text; new ones get the next numbers, in their order."""
        hashes, first, inverse = np.unique(_hashes(texts), return_index=True, return_inverse=True)
        found = self._find(hashes)
        new = np.flatnonzero(found < 0)
        if len(new):
            new_by_place = new[np.argsort(first[new])]
            found[new_by_place] = self._append(texts.take(pa.array(first[new_by_place])))
            self._remember(_Run(hashes[new], found[new]))
        numbers = found[inverse]
        for place in np.flatnonzero(self._differ(texts, numbers)).tolist():
            numbers[place] = self._number_of_sharing(texts[place].as_py())
        return numbers

    def take(self, numbers: Int32[np.ndarray, " n"] | Int64[np.ndarray, " n"]) -> pa.StringArray:
        """The texts with the given numbers."""
        return self._texts().take(pa.array(numbers)).cast(pa.string())

    def sorted(self) -> Int64[np.ndarray, " numbers"]:
        """All numbers in the order of their texts."""
        return pc.call_function("sort_indices", [self._texts()]).to_numpy().astype(np.int64)

    def _texts(self) -> pa.LargeStringArray:
        """All texts by number, where they lie: nothing can be added while this is held."""
        ends, data = pa.py_buffer(self._ends), pa.py_buffer(self._data)
        return pa.LargeStringArray.from_buffers(len(self), ends, data)

    def _find(self, hashes: Int64[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
        """The number under each hash, -1 where there is none."""
        found = np.full(len(hashes), -1, NUMBERS)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run.hashes, hashes), len(run.hashes) - 1)
            here = run.hashes[place] == hashes
            found[here] = run.numbers[place[here]]
        return found

    def _append(self, texts: pa.Array) -> Int32[np.ndarray, " texts"]:
        first = len(self)
        _, ends, data = texts.cast(pa.large_string()).buffers()
        lengths_end = np.frombuffer(ends, np.int64)[1 : len(texts) + 1]
        self._ends += (lengths_end + len(self._data)).tobytes()
        if data is not None:
            self._data += memoryview(data)[: lengths_end[-1]]
        return np.arange(first, len(self), dtype=NUMBERS)

    def _remember(self, run: _Run) -> None:
        """Keep a run, each at least twice as long as the next: few to look into."""
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2].hashes) < 2 * len(self._runs[-1].hashes):
            hashes, numbers = (
                np.concatenate(parts) for parts in zip(*self._runs[-2:], strict=True)
            )
            order = np.argsort(hashes, kind="stable")  # which merges what is sorted in parts
            self._runs[-2:] = [_Run(hashes[order], numbers[order])]

    def _differ(self, texts: pa.Array, numbers: Int32[np.ndarray, " n"]) -> np.ndarray:
        same = pc.call_function("equal", [texts.cast(pa.string()), self.take(numbers)])
        return ~same.fill_null(False).to_numpy(zero_copy_only=False)

    def _number_of_sharing(self, text: str | None) -> int:
        """The number of a text whose hash another one had before."""
        if text not in self._sharing:
            [self._sharing[text]] = self._append(pa.array([text], pa.string())).tolist()
        return self._sharing[text]


class _Run(NamedTuple):
    """Numbers by the hashes of their texts, which rise."""

    hashes: Int64[np.ndarray, " n"]
    numbers: Int32[np.ndarray, " n"]


def _hashes(texts: pa.Array) -> Int64[np.ndarray, " texts"]:
    return np.fromiter(map(hash, texts.to_pylist()), np.int64, len(texts))
