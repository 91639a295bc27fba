"""The sequences of a prepared dataset: events laid end to end in memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int8, Int32, Int64

from segue.errors import DatasetError

NO_TARGET = -1
"""Under the split ``windows``: an event too early in its sequence to be a target."""
TRAIN_TARGET = 0
"""Under the split ``windows``: an event that is trained on."""
TEST_TARGET = 1
"""Under the split ``windows``: an event that is held out as a target of the test."""
VALID_TARGET = 2
"""Under the split ``windows``: an event that is held out as a target of validation."""

BLOCK_EVENTS = 1 << 20
"""Events that are worked on at a time where a dataset is larger than memory should hold."""


class MappedFile(NamedTuple):
    """A file that arrays are views of, and what it was when it was mapped."""

    path: Path
    inode: int
    size: int

    @classmethod
    def of(cls, path: Path) -> MappedFile:
        """The file as it is now."""
        found = path.stat()
        return cls(path, found.st_ino, found.st_size)

    def check(self) -> None:
        """See that the file is still whole.

        The system ends a process, without a word, that reads where a mapped file was cut: as
        ``cp`` cuts one that it overwrites. A file that was removed or replaced by another is
        still mapped as it was.

        Raises:
            DatasetError: it has another size than before.
        """
        try:
            now = self.path.stat()
        except OSError:
            return
        if now.st_ino == self.inode and now.st_size != self.size:
            raise DatasetError(
                f"{self.path} was overwritten while it was read: it has {now.st_size:,} bytes "
                f"and had {self.size:,}",
                "put the dataset back as it was; a run then continues with --resume",
            )


@dataclass(frozen=True)
class Sequences:
    """All sequences of a dataset, in its order; sequence ``i`` is *row* ``i``.

    The arrays are read-only views over the mapped file: opening costs nothing, and pages
    are read as they are touched.

    Attributes:
        ids: the caller's name of each sequence.
        offsets: row ``i`` owns the events ``offsets[i]`` up to ``offsets[i + 1]``.
        items: item indices of all events; never a special token, and at or above the
            dataset's ``table_size`` where an item is outside the catalogue.
        times: microseconds since 1970 in UTC, or None where the log has no times.
        ratings: the ratings, NaN where an event has none, or None where the log has none.
        train_end: events before this position in their sequence are training events.
        valid_end: those from ``train_end`` up to here are validation, the rest test events.
        target_parts: under the split ``windows`` alone, each event's ``TRAIN_TARGET``,
            ``VALID_TARGET``, ``TEST_TARGET`` or ``NO_TARGET``; the cut positions then say
            nothing.
        attributes: one row a sequence, such as a playlist's name; may have no column.
        file: what the arrays are views of; None where they are in memory.
    """

    ids: pa.StringArray
    offsets: Int64[np.ndarray, " bounds"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    ratings: Float32[np.ndarray, " events"] | None
    train_end: Int32[np.ndarray, " sequences"]
    valid_end: Int32[np.ndarray, " sequences"]
    target_parts: Int8[np.ndarray, " events"] | None
    attributes: pa.Table
    file: MappedFile | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_events(self) -> int:
        """Events in all sequences together."""
        return len(self.items)

    @cached_property
    def lengths(self) -> Int64[np.ndarray, " sequences"]:
        """Events in each sequence."""
        return np.diff(self.offsets)

    def row(self, i: int) -> Int32[np.ndarray, " events"]:
        """Item indices of sequence ``i``, oldest first, as a view."""
        return self.items[self.offsets[i] : self.offsets[i + 1]]

    def check(self) -> None:
        """See that the arrays can still be read, before a read that a run depends on.

        Raises:
            DatasetError: their file was overwritten.
        """
        if self.file is not None:
            self.file.check()

    def find(self, sequence_id: str) -> int | None:
        """The row of a sequence by the caller's id, None where there is no such sequence."""
        row = self.ids.index(sequence_id).as_py()
        return row if row >= 0 else None


def row_blocks(
    offsets: Int64[np.ndarray, " bounds"], n_events: int | None = None
) -> Iterator[tuple[int, int]]:
    """Cut rows into consecutive blocks ``(first, end)``.

    A block holds whole rows and at most ``n_events`` events (``BLOCK_EVENTS`` unless told
    otherwise), except that a single longer row is a block of its own.
    """
    n_events = n_events or BLOCK_EVENTS
    first, n_rows = 0, len(offsets) - 1
    while first < n_rows:
        within = np.searchsorted(offsets, offsets[first] + n_events, side="right") - 1
        end = max(int(within), first + 1)
        yield first, end
        first = end


def positions_in_rows(offsets: Int64[np.ndarray, " bounds"]) -> Int64[np.ndarray, " values"]:
    """0, 1, 2, ... within each row, for rows laid end to end."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def count_per_row(
    mask: Bool[np.ndarray, " values"], offsets: Int64[np.ndarray, " bounds"]
) -> Int64[np.ndarray, " rows"]:
    """How many values of each row are true."""
    return np.diff(np.concatenate([[0], np.cumsum(mask)])[offsets])
