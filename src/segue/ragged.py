"""Ragged rows: rows of different lengths stored end to end, with offsets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.tokens import INDEX_DTYPE

BLOCK_EVENTS = 1 << 20
"""Events per block, where a dataset is processed in blocks because it may exceed memory."""


class Ragged(NamedTuple):
    """Rows of different lengths, stored end to end.

    Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    """

    offsets: Int64[np.ndarray, " rows+1"]
    values: Int32[np.ndarray, " values"]

    def row(self, i: int) -> Int32[np.ndarray, " row"]:
        """The values of row ``i``."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def slice(self, start: int, end: int) -> Ragged:
        """Rows ``start`` to ``end``, exclusive; their values are a view."""
        offsets = self.offsets[start : end + 1]
        return Ragged(offsets - offsets[0], self.values[offsets[0] : offsets[-1]])

    def select(self, mask: Bool[np.ndarray, " rows"]) -> Ragged:
        """The rows where the mask is true."""
        lengths = np.diff(self.offsets)
        return Ragged(offsets_of(lengths[mask]), self.values[np.repeat(mask, lengths)])

    def append(self, values: Int32[np.ndarray, " rows"], mask: Bool[np.ndarray, " rows"]) -> Ragged:
        """Append a value to the end of each row where the mask is true."""
        ends = self.offsets[1:][mask]
        offsets = self.offsets + np.concatenate([[0], np.cumsum(mask)])
        return Ragged(offsets, np.insert(self.values, ends, values[mask]))

    def join(self, rows: Ragged) -> Ragged:
        """Each row followed by that of another array with as many rows."""
        own, added = np.diff(self.offsets), np.diff(rows.offsets)
        offsets = self.offsets + rows.offsets
        values = np.empty(offsets[-1], self.values.dtype)
        values[span_indices(offsets[:-1], own)] = self.values
        values[span_indices(offsets[:-1] + own, added)] = rows.values
        return Ragged(offsets, values)

    def any(self, flags: Bool[np.ndarray, " values"]) -> Bool[np.ndarray, " rows"]:
        """Whether a row has a value whose flag is true."""
        sums = np.append(0, np.cumsum(flags))
        return np.diff(sums[self.offsets]) > 0

    @property
    def n_rows(self) -> int:
        """Number of rows, including empty ones."""
        return len(self.offsets) - 1

    @classmethod
    def from_rows(cls, rows: list[np.ndarray] | list[list[int]]) -> Ragged:
        """Concatenate separate rows."""
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        arrays = [np.asarray(row, dtype=INDEX_DTYPE) for row in rows]
        values = np.concatenate(arrays) if arrays else np.zeros(0, INDEX_DTYPE)
        return cls(offsets_of(lengths), values)


def offsets_of(lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows+1"]:
    """Offsets of rows stored end to end, from their lengths."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def span_indices(
    starts: Int64[np.ndarray, " rows"], lengths: Int64[np.ndarray, " rows"]
) -> Int64[np.ndarray, " values"]:
    """The indices ``starts[i]``, ``starts[i] + 1``, ... of every span, concatenated."""
    total_before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - total_before, lengths)


def row_blocks(
    offsets: Int64[np.ndarray, " bounds"], n_events: int | None = None
) -> Iterator[tuple[int, int]]:
    """Divide rows into consecutive blocks ``(first, end)``, ``end`` exclusive.

    A block consists of complete rows with at most ``n_events`` events (by default
    ``BLOCK_EVENTS``). A single longer row is a block of its own.
    """
    n_events = n_events or BLOCK_EVENTS
    first, n_rows = 0, len(offsets) - 1
    while first < n_rows:
        fitting_end = np.searchsorted(offsets, offsets[first] + n_events, side="right") - 1
        end = max(int(fitting_end), first + 1)
        yield first, end
        first = end


def positions_in_rows(offsets: Int64[np.ndarray, " bounds"]) -> Int64[np.ndarray, " values"]:
    """The position of each value in its row: 0, 1, 2, ... per row."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def count_per_row(
    mask: Bool[np.ndarray, " values"], offsets: Int64[np.ndarray, " bounds"]
) -> Int64[np.ndarray, " rows"]:
    """The number of true values in each row."""
    return np.diff(np.concatenate([[0], np.cumsum(mask)])[offsets])


def rows_at(
    values: np.ndarray,
    starts: Int64[np.ndarray, " batch"],
    lengths: Int64[np.ndarray, " batch"],
    positions: Int64[np.ndarray, "batch width"],
    fill_value: int | float,
) -> np.ndarray:
    """Gather values of ragged rows into an array ``[batch, width]``.

    Args:
        values: the values of all rows, end to end.
        starts: where each row of the batch starts in ``values``.
        lengths: the length of each row.
        positions: the positions to gather from each row, counted from its start.
        fill_value: the value at positions before the start or past the end of a row.
    """
    inside = (positions >= 0) & (positions < lengths[:, None])
    gathered = np.full(positions.shape, fill_value, values.dtype)
    gathered[inside] = values[(starts[:, None] + positions)[inside]]
    return gathered
